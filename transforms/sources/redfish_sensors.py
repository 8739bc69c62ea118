"""Redfish Thermal, Power and Sensor resources, as JSON, to node samples.

    {"@odata.type": "#Thermal.v1_7_0.Thermal", "Temperatures": [{"Name": "Inlet Temp",
      "ReadingCelsius": 24, "PhysicalContext": "Intake", "Status": {"State": "Enabled", "Health": "OK"}}], "Fans": [...]}

A record is one sensor, fan or power supply; `line_no` counts them. Read are the resources, expanded
collections of sensors, and arrays or lines of any of these. They tell no time: samples are dated by
the file, and the node is `--node`. What is absent or disabled says nothing. Fans that tell their
speed as a percentage only count for their state.
"""

import re
from collections.abc import Iterator
from typing import Any

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
from transforms.sources.json_cursor import clean
from transforms.sources.json_records import records
from transforms.sources.text import decode
from transforms.tables.samples import NODE_SAMPLES

_HEALTH = {"ok": OK, "warning": WARNING, "critical": CRITICAL}
_LISTS = {
    "Temperatures": ("temperature", "ReadingCelsius"),
    "Fans": ("fan", "Reading"),
    "Voltages": ("voltage", "ReadingVolts"),
    "PowerControl": ("power", "PowerConsumedWatts"),
    "PowerSupplies": ("power", ""),
}
_TYPES = {"Temperature": "temperature", "Rotational": "fan", "Power": "power", "Voltage": "voltage", "Current": "current"}  # fmt: skip
_OURS = re.compile(r'"(?:ReadingCelsius|PowerConsumedWatts|ReadingVolts|ReadingType)"\s*:')
_TYPE = re.compile(r"#(?:Thermal|Power|Sensor|SensorCollection)\.(?:v\d|SensorC)")
_DEEPEST = 4


def parse(data: bytes, origin: Origin) -> Parsed:
    """Every sensor of every resource."""
    sensors: list[Sensor] = []
    for record in records(decode(data)):
        before = len(sensors)
        if record.fault is None:
            for kind, field, told in _within(record.value, 0):
                sensors.append(_sensor(len(sensors) + 1, kind, field, told))
        if len(sensors) == before:
            why = record.fault or "holds no sensor, fan or power supply"
            sensors.append(
                Sensor(len(sensors) + 1, record.text[:300], "", "", "", None, None, fault=why)
            )
    return sampled(sensors, origin)


def _within(found: Any, depth: int) -> Iterator[tuple[str, str, Any]]:
    """(kind, field of the reading, resource) of every sensor below."""
    if not isinstance(found, dict) or depth > _DEEPEST:
        return
    if "ReadingType" in found or "#Sensor.v" in str(found.get("@odata.type")):
        yield str(_TYPES.get(str(found.get("ReadingType")), "other")), "Reading", found
        return
    for name, (kind, field) in _LISTS.items():
        for told in found[name] if isinstance(found.get(name), list) else ():
            yield kind, field, told
    for name in ("Members", "Sensors"):
        for told in found[name] if isinstance(found.get(name), list) else ():
            yield from _within(told, depth + 1)


def _sensor(number: int, kind: str, field: str, told: Any) -> Sensor:
    text = clean(str(told)[:300])
    if not isinstance(told, dict):
        return Sensor(
            number, text, "", "", kind, None, None, fault="no resource: an object is promised"
        )
    name = str(told.get("Name") or told.get("FanName") or told.get("MemberId") or "")
    status = told.get("Status")
    status = status if isinstance(status, dict) else {}
    if str(status.get("State", "Enabled")) in ("Absent", "Disabled", "UnavailableOffline"):
        return Sensor(number, text, "", name, "absent", None, None)
    value = told.get(field) if field else None
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        why = f"{field} {str(value)[:40]!r} is no number"
        return Sensor(number, text, "", name, kind, None, None, fault=why)
    units = str(told.get("ReadingUnits") or "").lower()
    if kind == "fan" and units not in ("rpm", "rev/min", "{rev}/min", ""):
        value = None
    if value is not None and abs(value) > 1e12:
        return Sensor(number, text, "", name, kind, None, None, fault="a number beyond all measure")
    place = str(told.get("PhysicalContext") or "")
    return Sensor(
        number,
        text,
        "",
        name,
        kind,
        None if value is None else float(value),
        _HEALTH.get(str(status.get("Health")).lower()),
        is_inlet=place in ("Intake", "Room") or is_inlet(name),
        whole=field == "PowerConsumedWatts" or is_whole(name),
    )


def sniff(head: str, name: str) -> int:
    """Surely, by the resource's own type beside a reading's name."""
    if not head.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        return 0
    return 2 if _OURS.search(head) and (_TYPE.search(head) or '"@odata.id"' in head) else 0


SOURCE = Source(
    name="redfish_sensors",
    title="Redfish Thermal, Power and Sensor resources",
    example='{"@odata.type": "#Thermal.v1_7_0.Thermal", "Temperatures": [{"Name": "Inlet Temp", "ReadingCelsius": 24, "Status": {"Health": "OK"}}]}',
    makes=(NODE_SAMPLES,),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
