"""Scrapes of a made-up fleet as dcgm-exporter writes them, at any scale, each value known.

    for node in range(512): text = capture(node, scrapes=240, seed=1)

A fleet is nodes of eight GPUs, asked every 15 s for 24 metrics. Values behave as they do on a
training cluster: temperatures and power are noisy, clocks mostly stand still, energy and PCIe
traffic are large whole numbers, shares of time have six digits, errors are nearly always zero.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

GPUS = 8
STEP_S = 15
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
MILLI, MICRO = 1e3, 1e6
METRICS: tuple[tuple[str, str, str], ...] = (
    ("DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz)."),
    ("DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz)."),
    ("DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C)."),
    ("DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    ("DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    ("DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ)."),
    ("DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries."),
    ("DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),
    ("DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %)."),
    ("DEV_ENC_UTIL", "gauge", "Encoder utilization (in %)."),
    ("DEV_DEC_UTIL", "gauge", "Decoder utilization (in %)."),
    ("DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered."),
    ("DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    ("DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    ("DEV_ECC_SBE_VOL_TOTAL", "counter", "Total number of single-bit volatile ECC errors."),
    ("DEV_ECC_DBE_VOL_TOTAL", "counter", "Total number of double-bit volatile ECC errors."),
    ("DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Remapped rows for uncorrectable errors"),
    ("DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Remapped rows for correctable errors"),
    ("DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed"),
    ("PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active."),
    ("PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor (HMMA) pipe is active."),
    ("PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles the device memory interface is active."),
    ("PROF_PCIE_TX_BYTES", "gauge", "The rate of data transmitted over the PCIe bus."),
    ("PROF_PCIE_RX_BYTES", "gauge", "The rate of data received over the PCIe bus."),
)
SAMPLES = GPUS * len(METRICS)
"""Samples of one scrape of one node."""
DIGITS = {"DEV_POWER_USAGE": 6, **{n: 6 for n, *_ in METRICS if n.endswith("_ACTIVE")}}
"""Digits after the point, as the exporter prints them; the others are whole numbers."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Node:
    """One node's GPUs: what its labels say."""

    number: int

    @property
    def host(self) -> str:
        return f"gpu-{self.number:05}"

    def uuid(self, gpu: int) -> str:
        text = "".join(f"{x:02x}" for x in np.random.default_rng([self.number, gpu]).bytes(16))
        return f"GPU-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def labels(self, gpu: int) -> str:
        return (
            f'gpu="{gpu}",UUID="{self.uuid(gpu)}",pci_bus_id="00000000:{0x1B + 0x14 * gpu:02X}:00.0",'
            f'device="nvidia{gpu}",modelName="NVIDIA H100 80GB HBM3",Hostname="{self.host}",'
            f'DCGM_FI_DRIVER_VERSION="550.90.07"'
        )


def instants(scrapes: int, since: datetime = BEGAN) -> list[datetime]:
    return [since + timedelta(seconds=STEP_S * i) for i in range(scrapes)]


def values(node: int, scrapes: int, seed: int = 0) -> dict[str, Floats]:
    """What the node measured: metric to an array (scrapes, GPUS), in the exporter's units."""
    chance = np.random.default_rng([seed, node])
    shape = (scrapes, GPUS)

    def whole(low: float, high: float, changes: float = 1.0) -> Floats:
        drawn = np.floor(chance.uniform(low, high + 1, shape))
        return _held(drawn, chance.random(shape) < changes)

    def share(middle: float, spread: float) -> Floats:
        return np.round(np.clip(chance.normal(middle, spread, shape), 0, 1) * MICRO) / MICRO

    busy = np.repeat(np.where(chance.random(GPUS) < 0.9, 1.0, 0.02)[None, :], scrapes, 0)
    watts = np.round((110 + 520 * busy + chance.normal(0, 18, shape)) * MILLI) / MILLI
    energy = chance.integers(10**11, 10**13, GPUS) + np.cumsum(np.round(watts * STEP_S * MILLI), 0)
    base = np.floor(chance.uniform(38, 62, GPUS))
    used = whole(70_000, 70_030, 0.01) * (busy > 0.5)
    slow = chance.random(shape) < 0.004
    zero = np.zeros(shape)
    errors = np.cumsum(chance.random(shape) < 2e-5, 0).astype(float)
    told = {
        "DEV_SM_CLOCK": np.where(slow, whole(1200, 1965), 1980.0),
        "DEV_MEM_CLOCK": zero + 2619,
        "DEV_MEMORY_TEMP": base + 8 + whole(-2, 2, 0.4),
        "DEV_GPU_TEMP": base + whole(-2, 2, 0.5),
        "DEV_POWER_USAGE": watts,
        "DEV_TOTAL_ENERGY_CONSUMPTION": energy,
        "DEV_PCIE_REPLAY_COUNTER": zero,
        "DEV_GPU_UTIL": np.where(busy > 0.5, whole(97, 100, 0.3), 0.0),
        "DEV_MEM_COPY_UTIL": np.where(busy > 0.5, whole(40, 62, 0.8), 0.0),
        "DEV_ENC_UTIL": zero,
        "DEV_DEC_UTIL": zero,
        "DEV_XID_ERRORS": zero,
        "DEV_FB_FREE": 81_079 - used,
        "DEV_FB_USED": used,
        "DEV_ECC_SBE_VOL_TOTAL": errors,
        "DEV_ECC_DBE_VOL_TOTAL": zero,
        "DEV_UNCORRECTABLE_REMAPPED_ROWS": zero,
        "DEV_CORRECTABLE_REMAPPED_ROWS": zero,
        "DEV_ROW_REMAP_FAILURE": zero,
        "PROF_GR_ENGINE_ACTIVE": share(0.985, 0.01) * (busy > 0.5),
        "PROF_PIPE_TENSOR_ACTIVE": share(0.41, 0.05) * (busy > 0.5),
        "PROF_DRAM_ACTIVE": share(0.52, 0.06) * (busy > 0.5),
        "PROF_PCIE_TX_BYTES": whole(2e8, 6e9),
        "PROF_PCIE_RX_BYTES": whole(2e8, 6e9),
    }
    assert list(told) == [name for name, *_ in METRICS]
    return told


def _held(drawn: Floats, is_new: npt.NDArray[np.bool_]) -> Floats:
    """The value drawn last where none is new."""
    is_new[0] = True
    row = np.maximum.accumulate(np.where(is_new, np.arange(len(drawn))[:, None], 0), 0)
    return np.take_along_axis(drawn, row, 0)


def texts(node: int, scrapes: int, seed: int = 0, stamps: list[int] | None = None) -> list[bytes]:
    """The node's scrapes, one after the other; with `stamps` (ms) every sample bears one."""
    told = values(node, scrapes, seed)
    labels = [Node(node).labels(gpu) for gpu in range(GPUS)]
    pieces: list[str] = []
    columns: list[list[str]] = []
    tail = ""
    for name, kind, text in METRICS:
        tail += f"# HELP DCGM_FI_{name} {text}\n# TYPE DCGM_FI_{name} {kind}\n"
        digits = DIGITS.get(name, 0)
        for gpu in range(GPUS):
            pieces.append(f"{tail}DCGM_FI_{name}{{{labels[gpu]}}} ")
            column = told[name][:, gpu]
            if digits:
                columns.append([f"{value:.{digits}f}" for value in column.tolist()])
            else:
                columns.append(list(map(str, column.astype(np.int64).tolist())))
            tail = "\n"
        tail = "\n"
    found = []
    for i, row in enumerate(zip(*columns, strict=True)):
        end = f" {stamps[i]}" if stamps else ""
        body = "".join(f"{piece}{value}{end}" for piece, value in zip(pieces, row, strict=True))
        found.append(f"{body}\n".encode())
    return found


def capture(node: int, scrapes: int, seed: int = 0, since: datetime = BEGAN) -> bytes:
    """The node's scrapes in one file, each below the instant at which it was taken."""
    told = zip(instants(scrapes, since), texts(node, scrapes, seed), strict=True)
    return b"".join(f"# scraped_at: {at:%Y-%m-%dT%H:%M:%SZ}\n".encode() + text for at, text in told)


def enormous(lines: int) -> bytes:
    """One scrape of a whole fleet through one exporter: four metrics of `lines` / 4 GPUs."""
    text = [b"# scraped_at: 2026-03-02T00:01:00Z\n"]
    for name, value in (("GPU_TEMP", 61), ("POWER_USAGE", 655), ("SM_CLOCK", 1980), ("FB_USED", 7)):
        text.append(b"# TYPE DCGM_FI_DEV_%b gauge\n" % name.encode())
        text += [
            b'DCGM_FI_DEV_%b{gpu="%d",UUID="GPU-%08d",Hostname="n-%05d"} %d\n'
            % (name.encode(), i % GPUS, i, i // GPUS, value)
            for i in range(lines // 4)
        ]
    return b"".join(text)
