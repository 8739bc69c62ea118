"""The log of the InfiniBand subnet manager (opensm.log; nvlsm.log, its kin for NVLink switches).

    Jul 19 18:34:55 896261 [85BA8640] 0x02 -> osm_spst_rcv_process: Switch 0xb0cf0e0300e31440 ...

The year is not said: it is the latest that puts the line no more than a day after the file. A
port's change of state, a trap that reports a link, a port that left or joined the subnet are
reports of `opensm`; the device is `guid/port` of the switch, or the lid of the sender. The node is
the switch or host that the description names. A port that goes down only warns: a host that was
rebooted or switched off takes its links down too. What the manager passes on of a trap that it
already told, and its sweeps, are ignored.
"""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from transforms.sources import agent_events
from transforms.sources.agent_events import Report
from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.text import numbered_lines
from transforms.tables.observed import CLUSTER_EVENTS

LINE = re.compile(
    r"^(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<time>\d\d:\d\d:\d\d) (?P<micros>\d{1,6}) "
    r"\[[0-9A-Fa-f]{1,16}\] 0x[0-9A-Fa-f]{2} -> (?P<said>.*)$"
)
TELLING = (
    *("changed state from", "Received Generic Notice", "Removed port with GUID"),
    *("Discovered new port with GUID", "SM port is down", "is unhealthy"),
)
PORT = re.compile(
    r"(?:Switch|Node|CA|Router) (?P<guid>0x[0-9a-fA-F]+) (?P<name>.*?) ?\(?port (?P<port>\d+)\)?"
    r"(?: ?\([^)]*\))? changed state from (?P<old>\w+) to (?P<new>\w+)"
)
TRAP = re.compile(
    r"Received Generic Notice type:\d+ num:(?P<number>\d+)(?: \((?P<words>[^)]*)\))? "
    r"Producer:\d+ \((?P<producer>[^)]*)\) from LID:(?P<lid>\d+)(?: Port:? ?(?P<port>\d+))?"
)
MEMBER = re.compile(
    r"(?P<what>Removed|Discovered new) port with GUID:(?P<guid>0x[0-9a-fA-F]+) .*?of node: ?(?P<name>.*)$"
)
STATES = {"DOWN": ("PortDown", "warning"), "ACTIVE": ("PortUp", "info")}
TRAPS = {128: "LinkStateChanged", 129: "LinkIntegrity", 130: "BufferOverrun", 131: "FlowControl"}
WORRYING = (129, 130, 131)
NAMELESS = re.compile(r"^(?:MT\d+|ConnectX|Mellanox|Quantum|UNKNOWN\b)", re.IGNORECASE)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Each line is a record: a report, none of our business, or refused."""
    lines = numbered_lines(data).filter(pl.col("line").str.strip_chars() != "")
    telling = lines.filter(pl.col("line").str.contains_any(list(TELLING)))
    texts = dict(telling.iter_rows())
    reports: list[Report] = []
    bad: list[tuple[int, str, str]] = []
    for line_no, line in texts.items():
        found = LINE.match(line)
        at = found and _instant(found, origin)
        report = found and at and _report(line_no, at, found["said"], origin)
        if report:
            reports.append(report)
        elif not found or not at:
            bad.append((line_no, "not `Mon DD hh:mm:ss micros [thread] 0xNN -> words`", line))
        else:
            bad.append((line_no, "a port, trap or node that cannot be read", line))
    ignored = lines.height - len(texts)
    return agent_events.parsed(reports, bad, texts.__getitem__, origin, ignored=ignored)


def host(description: str) -> str:
    """The switch or host that a node's description names; '' for a maker's default text."""
    name = description.strip().strip("'\"").removeprefix("Switch:")
    name = re.sub(r"^MF\d+;", "", name)
    if NAMELESS.match(name):
        return ""
    return re.split(r"[:\s]", name, maxsplit=1)[0]


def _instant(found: re.Match[str], origin: Origin) -> str | None:
    """The line's local time as ISO text, in the year that the file's own time gives it."""
    latest = origin.modified + timedelta(days=1)
    text = f"{found['month']} {found['day']} {found['time']}"
    for year in range(latest.year, latest.year - 9, -1):  # 29 February can be eight years away
        try:
            plain = datetime.strptime(f"{year} {text} +0000", "%Y %b %d %H:%M:%S %z")
        except ValueError:
            continue
        if plain.replace(tzinfo=ZoneInfo(origin.zone)) <= latest:
            return f"{plain:%Y-%m-%dT%H:%M:%S}.{int(found['micros']):06d}"
    return None


def _report(line_no: int, at: str, said: str, origin: Origin) -> Report | None:
    if port := PORT.search(said):
        reason, level = STATES.get(port["new"].upper(), ("PortStateChanged", "info"))
        device, name, thing = f"{port['guid']}/{port['port']}", host(port["name"]), "port"
    elif trap := TRAP.search(said):
        number = int(trap["number"])
        reason = TRAPS.get(number, f"Trap{number}")
        level = "warning" if number in WORRYING else "info"
        device = f"lid{trap['lid']}" + (f"/{trap['port']}" if trap["port"] else "")
        name, thing = "", trap["producer"].lower()
    elif member := MEMBER.search(said):
        is_gone = member["what"] == "Removed"
        reason, level = ("PortRemoved", "warning") if is_gone else ("PortDiscovered", "info")
        device, name, thing = member["guid"], host(member["name"]), "port"
    elif "SM port is down" in said:
        reason, level, device, name, thing = "SmPortDown", "critical", "", "", "subnet manager"
    elif "is unhealthy" in said:
        reason, level, device, name, thing = "PortUnhealthy", "warning", "", "", "port"
    else:
        return None
    return Report(
        line_no=line_no,
        at=at,
        node=name,
        reporter="opensm",
        object=f"{thing} {device}".strip(),
        reason=reason,
        detail=said.strip(),
        level=level,
        device=device,
    )


def sniff(head: str, name: str) -> int:
    """Surely, by the manager's own stamp: microseconds, thread and level before an arrow."""
    return 2 if re.search(LINE.pattern, head, re.MULTILINE) else 0


SOURCE = Source(
    name="opensm_log",
    title="Log of the InfiniBand subnet manager: opensm.log, nvlsm.log",
    example="Jul 19 18:34:55 896261 [85BA8640] 0x02 -> osm_spst_rcv_process: Switch 0xb0cf0e0300e31440 MF0;leaf-03:QM9700/U1 port 61 (sw7p1s1) changed state from ACTIVE to DOWN",
    makes=(CLUSTER_EVENTS,),
    sniff=sniff,
    parse=parse,
)
