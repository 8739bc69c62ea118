"""Metrics of one GPU (or MIG instance), by dcgm-exporter, nvidia_gpu_exporter and nvidia-smi.

nvidia_gpu_exporter names its metrics after nvidia-smi's query fields and turns them into base
units, so both names come from the field: `memory.used [MiB]` and `nvidia_smi_memory_used_bytes`.
"""

import re
from typing import Any

Row = tuple[str, str, str, str, str, tuple[tuple[str, float], ...], float, dict[str, Any]]

MIB = 1048576.0
DCGM_FACTORS = {"bytes": MIB, "ratio": 0.01, "s": 1e-9, "J": 1e-3}
"""DCGM's device fields give MiB, %, ns and mJ; its profiling fields are base units already."""
SMI_FACTORS = {"bytes": MIB, "ratio": 0.01, "s": 1e-6}
"""What nvidia-smi's query fields give: MiB, % and us."""
EXPORTER_UNITS = {
    "bytes": ("_bytes", 1.0),
    "ratio": ("_ratio", 1.0),
    "s": ("_seconds", 1.0),
    "W": ("_watts", 1.0),
    "MHz": ("_clock_hz", 1e-6),
}
ANY = (0.0, float("inf"))
FLAG = (0.0, 1.0)
SHARE = (0.0, 1.0)
PROFILED = (0.0, 1.05)  # sampled hardware counters overshoot a little
TEMP = (-50.0, 150.0)
POWER = (0.0, 3000.0)
CLOCK = (0.0, 20000.0)
LANES = (0.0, 64.0)


def _exporter_name(field: str, ending: str) -> str:
    snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", field).lower().replace(".", "_")
    return f"nvidia_smi_{snake}{ending}"


def gpu(
    name: str,
    unit: str,
    kind: str,
    meaning: str,
    span: tuple[float, float],
    dcgm: str = "",
    smi: str = "",
) -> Row:
    """One metric. `dcgm` and `smi` list DCGM fields (without DCGM_FI_) and query fields."""
    names = [
        (f"DCGM_FI_{field}", 1.0 if field.startswith("PROF_") else DCGM_FACTORS.get(unit, 1.0))
        for field in dcgm.split()
    ]
    ending, factor = EXPORTER_UNITS.get(unit, ("", 1.0))
    for field in smi.split():
        names.append((field, SMI_FACTORS.get(unit, 1.0)))
        names.append((_exporter_name(field, ending), factor))
    low, high = span
    return (name, "gpu_samples", unit, kind, meaning, tuple(names), low, {"high": high})


def clock(name: str, meaning: str, dcgm: str = "", smi: str = "") -> Row:
    return gpu(f"{name}_mhz", "MHz", "gauge", meaning, CLOCK, dcgm, smi)


def power(name: str, meaning: str, dcgm: str = "", smi: str = "") -> Row:
    return gpu(f"{name}_w", "W", "gauge", meaning, POWER, dcgm, smi)


def memory(name: str, meaning: str, dcgm: str = "", smi: str = "") -> Row:
    return gpu(f"{name}_bytes", "bytes", "gauge", meaning, (0.0, 2.0**43), dcgm, smi)


def share(name: str, meaning: str, dcgm: str = "", smi: str = "") -> Row:
    span = PROFILED if dcgm.startswith("PROF_") else SHARE
    return gpu(f"{name}_ratio", "ratio", "gauge", meaning, span, dcgm, smi)


def count(name: str, meaning: str, dcgm: str = "", smi: str = "") -> Row:
    return gpu(name, "count", "counter", meaning, ANY, dcgm, smi)


def seconds(name: str, meaning: str, dcgm: str = "", smi: str = "") -> Row:
    return gpu(f"{name}_s", "s", "counter", meaning, ANY, dcgm, smi)


def flag(name: str, meaning: str, dcgm: str = "", smi: str = "") -> Row:
    return gpu(name, "flag", "code", meaning, FLAG, dcgm, smi)


def ecc(corrected: str, lifetime: str, part: str, meaning: str, dcgm: str = "") -> Row:
    """One ECC error counter; volatile ones restart with the driver, aggregate ones never."""
    column = re.sub(r"([a-z])([A-Z])", r"\1_\2", part).lower().replace(".", "_")
    name = f"ecc_{corrected}_{lifetime}" + ("" if part == "total" else f"_{column}")
    text = f"{corrected} ECC errors, {meaning}, {lifetime}"
    return count(name, text, dcgm, f"ecc.errors.{corrected}.{lifetime}.{part}")


def reason(name: str, meaning: str, smi: str) -> Row:
    fields = f"clocks_event_reasons.{smi} clocks_throttle_reasons.{smi}"
    return flag(f"slowed_by_{name}", f"clocks held down now: {meaning}", "", fields)
