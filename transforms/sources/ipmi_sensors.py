"""`ipmitool sensor` and `ipmitool sdr` (`list`, `elist`) to node samples.

    Inlet Temp       | 24.000     | degrees C  | ok    | na        | 3.000     | 5.000     | 42.000    | 47.000    | na
    FAN1             | 30h | ok  | 29.1 | 4500 RPM

The tools write no time: samples are dated by the file. Each line is one sensor; lines that pdsh or
clush collected name their node first. `nc`, `cr` and `nr` are past a limit (non-critical, critical,
not recoverable); `na` and `ns` are sensors that give nothing.
"""

import re

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.board_readings import (
    CRITICAL,
    OK,
    WARNING,
    Sensor,
    is_inlet,
    is_whole,
    sampled,
)
from transforms.sources.text import decode
from transforms.tables.samples import NODE_SAMPLES

_NODE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62}): ?(?=\S)")
_READING = re.compile(r"^([+-]?\d{1,12}(?:\.\d{1,6})?) ([A-Za-z% ./]+)$")
_UNITS = {"degrees c": "temperature", "rpm": "fan", "watts": "power", "volts": "voltage", "amps": "current"}  # fmt: skip
_STATES = {"ok": OK, "nc": WARNING, "lnc": WARNING, "unc": WARNING, "cr": CRITICAL, "lcr": CRITICAL, "ucr": CRITICAL, "nr": CRITICAL, "lnr": CRITICAL, "unr": CRITICAL}  # fmt: skip
_NO_STATE = re.compile(r"^(?:na|ns|0x[0-9a-f]{4})$")
_LINE = re.compile(
    r"^(?:[\w.-]+: ?)?[^|\n]{1,40}\|[^|\n]*\|\s*(?:(?:ok|ns|nc|cr|nr|lnc|lcr|lnr|unc|ucr|unr)\s*(?:\||$)"
    r"|(?:degrees C|RPM|Watts|Volts|Amps|discrete|percent|unspecified)\s*\|\s*(?:ok|na|nc|cr|nr|0x)).*$",
    re.MULTILINE,
)
NO_SENSOR = (
    "no sensor's line: name | reading | unit | state, or name | id | state | entity | reading"
)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Every line is a sensor, or is refused."""
    lines = enumerate(decode(data).split("\n"), 1)
    return sampled([_sensor(n, line.strip()) for n, line in lines if line.strip()], origin)


def _sensor(line_no: int, line: str) -> Sensor:
    node = _NODE.match(line)
    host, told = (node[1], line[node.end() :]) if node else ("", line)
    parts = [part.strip() for part in told.split("|")]
    if len(parts) >= 10:
        state, reading = parts[3].lower(), f"{parts[1]} {parts[2]}"
    elif len(parts) == 5:
        state, reading = parts[2].lower(), parts[4]
    elif len(parts) == 3:
        state, reading = parts[2].lower(), parts[1]
    else:
        return Sensor(line_no, line, host, "", "", None, None, fault=NO_SENSOR)
    if state not in _STATES and not _NO_STATE.match(state):
        why = f"state {state[:40]!r} is none of ok, nc, cr, nr, ns, na"
        return Sensor(line_no, line, host, parts[0], "", None, None, fault=why)
    found = _READING.match(reading)
    kind = _UNITS.get(found[2].strip().lower(), "other") if found else "other"
    name = parts[0]
    return Sensor(
        line_no,
        line,
        host,
        name,
        kind,
        float(found[1]) if found and state not in ("na", "ns") else None,
        _STATES.get(state) if state != "ok" or found else None,
        is_inlet=is_inlet(name),
        whole=is_whole(name),
    )


def sniff(head: str, name: str) -> int:
    """Surely, if two or more lines are sensors' and they are most of what is there."""
    lines = [line for line in head.split("\n")[:200] if line.strip()]
    found = sum(1 for line in lines if _LINE.match(line.strip()))
    return 2 if found and 2 * found > len(lines) else 0


SOURCE = Source(
    name="ipmi_sensors",
    title="Sensors of a board: ipmitool sensor, ipmitool sdr list or elist",
    example="Inlet Temp       | 24.000     | degrees C  | ok    | na        | 3.000     | 5.000     | 42.000    | 47.000    | na",
    makes=(NODE_SAMPLES,),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
