"""Node Health Check (LBNL NHC 1.4 and 1.5, Azure's health checks 0.2 to 0.4) to cluster_events.

    [1772446504] - ERROR:  nhc:  Health check failed:  check_hw_ib:  No IB port mlx5_5:1 is ACTIVE
    Mar  2 10:15:04 gpu-0417 nhc[812]: Health check failed:  check_fs_mount:  /scratch not mounted
    gpu-0417 | ERROR: nhc: Health check failed: check_gpu_ecc: GPU id 3: SRAM Uncorrectable ECC
    gpu-0418 | Healthy

The log of one node (its lines bare, or through syslog, or stamped with epoch seconds by NHC_TS=1)
and the `.health.log` of Azure's distributed run, a line per node. A failed check is critical: it
takes the node out. A healthy node is information; a node without results, a warning.
A line is a record; passes of single checks,
debug lines and what the checks themselves print are ignored.

A line is dated by its own stamp, else by the stamp in the file's name (`2026-03-02_10-15-04`: in
UTC after `-pssh-`, else in the caller's zone); undated failures are refused, because a log that is
appended to tells by its own time only when its last line was written.
A check finds an Xid in the kernel's log long after it happened, and may find it again at each run.
So an Xid is told at the head of the detail, and never as `code`, which would be an Xid of now.
"""

import re

import polars as pl

from transforms.sources import agent_events, text
from transforms.sources.agent_events import Report
from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.kernel_stamps import stamp
from transforms.tables.observed import CLUSTER_EVENTS

_FAILED = re.compile(r"(?:ERROR: +nhc: +)?Health check failed: +(.*)$")
_CHECK = re.compile(r"([A-Za-z_][A-Za-z0-9_]*): +(.*)$")
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d{1,4})\b")
_CODE = re.compile(r"\bFaultCode: *\w+")
_NODE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*) +\| +(?=ERROR: |Healthy$)(.*)$")
_EPOCH = re.compile(r"\[(\d{1,10})\] - (.*)$")
_SYSLOG = re.compile(r"nhc(?:-detached)?(?:\[\d+\])?: ")
_PASSED = "Node Health Check completed successfully"
_IN_NAME = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)")
_UNDATED = (
    "no time told: run nhc with NHC_TS=1, or give the file a name with YYYY-MM-DD_HH-MM-SS in it"
)


def sniff(head: str, name: str) -> int:
    """Lines that only this tool writes; not where the kernel itself speaks among them."""
    lines = [line.strip() for line in head.splitlines() if line.strip()]
    own = [line for line in lines if _is_own(line)]
    if not own:
        return 0
    return 2 if 4 * len(own) >= len(lines) or own[0] == lines[0] else 1


def _is_own(line: str) -> bool:
    return bool(
        _FAILED.search(line)
        or _NODE.match(line)
        or "nhc:  Health check passed: " in line
        or "Node Health Check starting." in line
        or "Node Health Check completed" in line
    )


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per failed check and per node that is told healthy."""
    lines = text.numbered_lines(data)
    said = pl.col("line").str
    ours = said.contains("Health check failed:", literal=True) | said.contains(
        _PASSED, literal=True
    )
    of_node = said.contains(r"^\s*[A-Za-z0-9][A-Za-z0-9._-]* +\| +(?:ERROR: |Healthy\s*$)")
    candidates = lines.filter(ours | of_node)
    is_blank = lines.get_column("line").str.contains(r"^\s*$")
    stamped = _stamps(candidates, lines, origin)
    reports: list[Report] = []
    bad: list[tuple[int, str, str]] = []
    told: dict[int, str] = {}
    for line_no, line in candidates.iter_rows():
        told[line_no] = line
        at, node, words = stamped.get(line_no, (None, origin.node, line.strip()))
        reporter = "azure-nhc" if _CODE.search(words) else "nhc"
        if found := _NODE.match(words):
            node, words, reporter = found[1], found[2], "azure-nhc"
        at = at or _of_name(origin)
        if at is None:
            bad.append((line_no, _UNDATED, line))
        else:
            reports.append(_report(line_no, at, node, reporter, words.strip()))
    ignored = len(lines) - int(is_blank.sum()) - len(candidates)
    return agent_events.parsed(reports, bad, told.__getitem__, origin, ignored)


def _stamps(
    candidates: pl.DataFrame, lines: pl.DataFrame, origin: Origin
) -> dict[int, tuple[str | None, str, str]]:
    """Time, node and the rest of each line that has a stamp of its own."""
    found: dict[int, tuple[str | None, str, str]] = {}
    of_syslog: list[tuple[int, str]] = []
    for line_no, line in candidates.iter_rows():
        words = line.strip()
        if epoch := _EPOCH.match(words):
            is_told = len(epoch[1]) >= 9  # else seconds since the run began
            found[line_no] = (epoch[1] if is_told else None, origin.node, epoch[2])
        elif not _NODE.match(words) and (program := _SYSLOG.search(words)) and program.start():
            of_syslog.append(
                (line_no, words[: program.start()] + "kernel: " + words[program.end() :])
            )
    read = stamp(pl.DataFrame(of_syslog, schema=text.LINES_SCHEMA, orient="row"), lines, origin)
    for row in read.filter(pl.col("clock") == "stamped").iter_rows(named=True):
        if row["trouble"] is None and row["message"] is not None:
            told = row["observed_at"].isoformat(timespec="microseconds")
            found[row["line_no"]] = (told, row["node"], row["message"])
    return found


def _of_name(origin: Origin) -> str | None:
    found = _IN_NAME.search(origin.file)
    if found is None:
        return None
    in_utc = "Z" if "-pssh-" in origin.file else ""
    return f"{found[1]}T{found[2]}:{found[3]}:{found[4]}{in_utc}"


def _report(line_no: int, at: str, node: str, reporter: str, words: str) -> Report:
    failed = _FAILED.search(words)
    detail = failed[1].strip() if failed else words.removeprefix("ERROR:").strip()
    if failed and (check := _CHECK.match(detail)):
        reason, detail = check[1], check[2].strip()
    elif failed:
        reason = "HealthCheckFailed"
    elif words == "Healthy" or _PASSED in words:
        reason = "Healthy"
    else:
        reason = "HealthCheckError"
    xid = _XID.search(detail)
    level = "info" if reason == "Healthy" else "critical" if failed else "warning"
    return Report(
        line_no=line_no,
        at=at,
        node=node,
        reporter=reporter,
        object=f"node {node}",
        reason=reason,
        detail=f"Xid {xid[2]}: {detail}" if xid else detail,
        level=level,
        device=agent_events.device(xid[1] if xid else ""),
    )


SOURCE = Source(
    name="nhc",
    title="Node Health Check: LBNL NHC's log, Azure's health checks",
    example="[1772446504] - ERROR:  nhc:  Health check failed:  check_hw_ib:  No IB port mlx5_5:1 is ACTIVE (LinkUp 400 Gb/sec).",
    makes=(CLUSTER_EVENTS,),
    sniff=sniff,
    parse=parse,
)
