"""The log of NVIDIA's Fabric Manager (fabricmanager.log), which runs a host's NVSwitches.

    [Feb 27 2025 15:10:02] [ERROR] [tid 12727] detected NVSwitch non-fatal error 12028 on fid 0 ...

A switch error carries the number that the driver also logs (SXid): a row of kernel_events. Ports
that go down or come back, partitions, and every other warning or error are reports of
`fabricmanager`, with its own level in front of the words. A request that fails, because a program
asked for what is not there, is a warning whatever the log calls it. Lines without a stamp go on
with the record before them; what the manager does all day is ignored, and so is the end of a
record that a log rotation left without its beginning.
"""

import re
from datetime import datetime

import polars as pl

from transforms.sources import agent_events
from transforms.sources.agent_events import Report
from transforms.sources.base import Origin, Parsed, Source, refuse_broken
from transforms.sources.text import instants, numbered_lines
from transforms.tables.observed import CLUSTER_EVENTS, KERNEL_EVENTS

HEAD = r"^\[(?<stamp>[^\]]{1,40})\] \[(?<level>[A-Z]{1,12})\] \[tid \d{1,10}\] (?<said>.*)$"
QUIET = ("INFO", "DEBUG", "NOTICE", "TRACE")
LEVELS = {"WARNING": "warning", "WARN": "warning"} | dict.fromkeys(QUIET, "info")
TELLING = r"(?i)detected (?:NVSwitch|GPU)|port (?:down|up) event|port failure|partition (?:id )?\d"
SXID = re.compile(
    r"detected NVSwitch (?:non-)?fatal error (?P<code>\d{1,6}) .*?"
    r"pci bus id (?P<device>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})"
)
CLAIMS_SXID = re.compile(r"detected NVSwitch (?:non-)?fatal error")
REQUEST = re.compile(r"(?i)\brequest\b|multicast|\bteam\b|inband")
PARTITION = re.compile(r"(?i)partition (?:id )?(\d+)")
PORT = re.compile(r"switch GUID (0x[0-9a-fA-F]+).*?port num(?:ber)? (\d+)")
PORT_EVENT = re.compile(r"on switch with GUID (0x[0-9a-fA-F]+).*?port num (\d+)")
SPAN = 12  # unstamped lines that go on with a record

# What the words mean: pattern, reason, and a level that overrules the log's own.
SAYINGS: tuple[tuple[re.Pattern[str], str, str | None], ...] = (
    (re.compile(r"(?i)trunk port failure"), "TrunkPortFailure", None),
    (re.compile(r"(?i)access port failure"), "AccessPortFailure", None),
    (re.compile(r"(?i)port down event"), "PortDown", "warning"),
    (re.compile(r"(?i)port up event"), "PortUp", "info"),
    (re.compile(r"(?i)GPU NVL non[- ]?fatal error"), "GpuNvlinkError", "warning"),
    (re.compile(r"(?i)GPU NVL fatal error"), "GpuNvlinkFatal", "critical"),
    (re.compile(r"(?i)driver interface version"), "VersionMismatch", None),
    (PARTITION, "PartitionChanged", None),
    (REQUEST, "RequestFailed", "warning"),
    (re.compile(r"(?i)NVSwitch|NVLink"), "NvlinkTrouble", None),
    (re.compile(""), "FabricManagerTrouble", None),
)


def parse(data: bytes, origin: Origin) -> Parsed:
    """A stamped line is a record, with the unstamped lines under it; see the module's docstring."""
    lines = numbered_lines(data)
    heads = lines.filter(pl.col("line").str.starts_with("[")).with_columns(
        pl.col("line").str.extract_groups(HEAD).alias("head")
    )
    heads = heads.unnest("head").with_columns(follows=pl.col("line_no").shift(-1))
    is_quiet = pl.col("level").is_in(QUIET) & ~pl.col("said").str.contains(TELLING)
    telling = heads.filter(~is_quiet.fill_null(False))
    local = telling["stamp"].str.to_datetime("%b %d %Y %H:%M:%S", strict=False, time_unit="us")
    iso = local.dt.strftime("%Y-%m-%dT%H:%M:%S")
    at = instants(iso, origin.zone)
    texts = dict(heads.select("line_no", "line").iter_rows())
    switch_errors, reports, bad = [], [], []
    for (line_no, level, said, follows), stamp, (instant, fault) in zip(
        telling.select("line_no", "level", "said", "follows").iter_rows(),
        iso,
        at.iter_rows(),
        strict=True,
    ):
        error = SXID.search(said or "")
        if said is None or stamp is None:
            why = "not `[Mon DD YYYY hh:mm:ss] [LEVEL] [tid N] words`"
            bad.append((line_no, why, texts[line_no]))
        elif error and fault is None:
            switch_errors.append(_switch_error(line_no, instant, error, said, origin))
        elif CLAIMS_SXID.search(said):
            why = f"time {fault}" if fault else "a switch error without a number and a bus address"
            bad.append((line_no, why, texts[line_no]))
        else:
            words = _whole(lines, line_no, follows, said)
            reports.append(_report(line_no, stamp, level, said, words, origin))
    events, broken = refuse_broken(KERNEL_EVENTS, _kernel_events(switch_errors), texts.__getitem__)
    first = heads["line_no"][0] if heads.height else lines.height + 1
    is_cut = (pl.col("line_no") < first) & (pl.col("line").str.strip_chars() != "")
    quiet = heads.height - telling.height + lines.filter(is_cut).height
    told = agent_events.parsed(reports, bad + broken, texts.__getitem__, origin, ignored=quiet)
    sound = len(switch_errors) - len(broken)
    return Parsed(
        frames={**told.frames, KERNEL_EVENTS.name: events},
        rejects=told.rejects,
        records=told.records + sound,
        accepted=told.accepted + sound,
        rejected=told.rejected,
        ignored=told.ignored,
    )


def _whole(lines: pl.DataFrame, line_no: int, follows: int | None, said: str) -> str:
    """The message with the unstamped lines that go on with it."""
    end = min(lines.height, line_no + SPAN, (follows or lines.height + 1) - 1)
    more = [str(line).strip() for line in lines["line"][line_no:end]]
    return " ".join([said.strip(), *filter(None, more)])


def _report(line_no: int, stamp: str, level: str, said: str, words: str, origin: Origin) -> Report:
    _, reason, overruled = next(saying for saying in SAYINGS if saying[0].search(said))
    port = PORT.search(said) or PORT_EVENT.search(said)
    partition = PARTITION.search(said)
    return Report(
        line_no=line_no,
        at=stamp,
        node=origin.node,
        reporter="fabricmanager",
        object=f"switch {port[1]}" if port else f"partition {partition[1]}" if partition else "",
        reason=reason,
        detail=f"[{level}] {words}",
        level=overruled or LEVELS.get(level, "critical"),
        device=f"{port[1]}/{port[2]}" if port else agent_events.device(said),
    )


def _switch_error(
    line_no: int, at: datetime, error: re.Match[str], said: str, origin: Origin
) -> dict[str, object]:
    return {
        "cluster": origin.cluster,
        "node": origin.node,
        "observed_at": at,
        "kind": "sxid",
        "code": int(error["code"]),
        "device": agent_events.bus_address(error["device"]),
        "detail": said.strip(),
        "clock": "stamped",
        "boot_id": None,
        "file": origin.file,
        "line_no": line_no,
    }


def _kernel_events(rows: list[dict[str, object]]) -> pl.DataFrame:
    names = [name for name in KERNEL_EVENTS.dtypes.names() if name != "repeat"]
    frame = pl.DataFrame(rows, schema={name: KERNEL_EVENTS.dtypes[name] for name in names})
    # Identical records of one file are told apart by their order in it.
    repeat = pl.int_range(pl.len(), dtype=pl.UInt32).over(*KERNEL_EVENTS.key[:-1])
    return KERNEL_EVENTS.conform(
        frame.with_columns(repeat=repeat).select(KERNEL_EVENTS.dtypes.names())
    )


def sniff(head: str, name: str) -> int:
    """Surely, by the stamp, level and thread that the manager puts before its words."""
    return 2 if re.search(HEAD.replace("?<", "?P<"), head, re.MULTILINE) else 0


SOURCE = Source(
    name="fabric_manager_log",
    title="NVIDIA Fabric Manager's log",
    example="[Feb 27 2025 15:10:02] [ERROR] [tid 12727] detected NVSwitch non-fatal error 12028 on fid 0 on NVSwitch pci bus id 00000000:86:00.0 physical id 3 port 61",
    makes=(KERNEL_EVENTS, CLUSTER_EVENTS),
    sniff=sniff,
    parse=parse,
)
