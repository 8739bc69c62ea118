"""The event log of UFM, NVIDIA's fabric manager for InfiniBand (event.log).

    2026-03-02 07:46:24.442 [1204] [329] WARNING [Link] Switch [default / Switch: leaf-03 / 1/17/1]
    [dev_id: 9c0591030090e000]: Link went down: (Switch:leaf-03:1/17/1)9c0591030090e000:33 - ...

(One line in the log.) Of the codes that only inform, those about links, nodes and switches are
kept; multicast groups, addresses and UFM's own tasks are ignored. A link has two ends and one
record: the device is its first end, the node the host at either end, else the first switch. Times
are local to UFM's host.
"""

import re

import polars as pl

from transforms.sources import agent_events
from transforms.sources.agent_events import Report
from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.opensm_log import host
from transforms.sources.text import numbered_lines
from transforms.tables.observed import CLUSTER_EVENTS

LINE = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?) \[\d+\] \[(?P<code>\d{1,6})\] "
    r"(?P<level>[A-Z]+) \[(?P<topic>[^\]]*)\] (?P<kind>\w+) \[(?P<place>[^\]]*)\]"
    r"(?: \[dev_id: (?P<guid>\w+)\])?: (?P<said>.*)$"
)
LEVELS = {"INFO": "info", "MINOR": "warning", "WARNING": "warning", "CRITICAL": "critical"}
END = re.compile(
    r"\((?P<kind>Switch|Computer|Host|Node|Gateway): ?(?P<name>[^)]*?)\) ?(?P<guid>[0-9a-fA-Fx]{4,18}):(?P<port>\d+)"
)
HOSTS = ("Computer", "Host", "Node")
REASONS = {
    110: "SymbolErrors",
    111: "LinkRecoveries",
    112: "LinkDowned",
    113: "PortReceiveErrors",
    115: "RelayErrors",
    116: "PortDiscards",
    328: "LinkUp",
    329: "LinkDown",
    331: "NodeDown",
    332: "NodeUp",
    394: "SwitchFailed",
    702: "PortUnhealthy",
    907: "SwitchDown",
    908: "SwitchUp",
    917: "SymbolBer",
    918: "SymbolBerWarning",
}
"""UFM's event codes about links, nodes and switches; a number that is not here is `Ufm<code>`."""


def parse(data: bytes, origin: Origin) -> Parsed:
    """Each line is a record: a report, none of our business, or refused."""
    lines = numbered_lines(data).filter(pl.col("line").str.strip_chars() != "")
    texts = dict(lines.iter_rows())
    reports: list[Report] = []
    bad: list[tuple[int, str, str]] = []
    for line_no, line in texts.items():
        found = LINE.match(line)
        if not found:
            bad.append((line_no, "not `time [id] [code] LEVEL [topic] kind [place]: words`", line))
        elif int(found["code"]) in REASONS or LEVELS.get(found["level"]) != "info":
            reports.append(_report(line_no, found))
    ignored = len(texts) - len(reports) - len(bad)
    return agent_events.parsed(reports, bad, texts.__getitem__, origin, ignored=ignored)


def _report(line_no: int, found: re.Match[str]) -> Report:
    code = int(found["code"])
    ends = list(END.finditer(found["said"]))
    hosts = [end for end in ends if end["kind"] in HOSTS]
    # `default / Switch: leaf-03 / 1/17/1`: site, thing, port.
    place = [part.strip() for part in found["place"].split(" / ")]
    thing = place[1] if len(place) > 1 else place[0]
    kind, _, name = thing.rpartition(": ")
    node = (hosts or ends)[0]["name"] if ends else name
    port = place[2] if len(place) > 2 else ""
    guid = found["guid"] or ""
    device = _end(ends[0]) if ends else "/".join(filter(None, (guid and _guid(guid), port)))
    return Report(
        line_no=line_no,
        at=found["at"],
        node=host(node),
        reporter="ufm",
        object=f"{(kind or found['kind']).lower()} {name}".strip(),
        reason=REASONS.get(code, f"Ufm{code}"),
        detail=f"[{code} {found['level']}] {found['said'].strip()}",
        level=LEVELS.get(found["level"], "warning"),
        device=device,
    )


def _end(end: re.Match[str]) -> str:
    return f"{_guid(end['guid'])}/{end['port']}"


def _guid(text: str) -> str:
    return f"0x{text.lower().removeprefix('0x').zfill(16)}"


def sniff(head: str, name: str) -> int:
    """Surely, by UFM's numbered head of a line."""
    return 2 if re.search(LINE.pattern, head, re.MULTILINE) else 0


SOURCE = Source(
    name="ufm_events",
    title="Event log of UFM, the InfiniBand fabric manager",
    example="2026-03-02 07:46:24.442 [1204] [329] WARNING [Link] Switch [default / Switch: leaf-03 / 1/17/1] [dev_id: 9c0591030090e000]: Link went down: (Switch:leaf-03:1/17/1)9c0591030090e000:33 - (Computer:gpu-0417 mlx5_0)fc6a1c0300244e00:1, cable S/N: MT2330FT00000",
    makes=(CLUSTER_EVENTS,),
    sniff=sniff,
    parse=parse,
)
