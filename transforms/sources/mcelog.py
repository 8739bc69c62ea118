"""The machine-check daemon's log (/var/log/mcelog, or its lines in syslog) to kernel_events.

    Hardware event. This is not a software error.
    CPU 3 BANK 0
    TIME 1772446504 Mon Mar  2 10:15:04 2026
    Corrected error
    STATUS 90000040000f0005 MCGSTATUS 0

A record is a block from its first line to the next block's. TIME is epoch seconds; the words after
it are the daemon's local reading of them. The daemon's other lines are none of our business.
"""

import re

from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.ras_records import Record, check_words, kernel_events, refused
from transforms.sources.text import decode
from transforms.tables.observed import KERNEL_EVENTS

_START = re.compile(r"(?i)^(?:MCE \d+\s*)?hardware (?:event|error)\. +this is \*?not\*? a software")
_SYSLOG = re.compile(r"^(?:<\d+>)?(?:[A-Z][a-z]{2} +\d+ [\d:]+ |\S+T\S+ )?(\S+) mcelog(?:\[\d+\])?: ?(.*)$")  # fmt: skip
_OWN = re.compile(r"^mcelog(?:\[\d+\])?: ?(.*)$")
_NUMBER = re.compile(r"\b(CPU|BANK|TIME|STATUS|MCGSTATUS|ADDR|MISC)\b:? +(?:0x)?([0-9a-fA-F]+)\b")
_OLD = re.compile(r"^CPU (\d+) (\d+) ")
_EMPTY = re.compile(r"MCE \d+$|mcelog")
_DULL = re.compile(
    r"(?i)^(?:MCE \d+$|CPU \d+|TIME |MC[GI] status:|MISC |ADDR |STATUS |MCGCAP |CPUID |TSC |PPIN |"
    r"MICROCODE |RIP |Running trigger|Please contact|Error enabled|MCi_\w+ register valid|"
    r"warning: |consider an update|SOCKETID|mcelog)"
)


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per block that names a CPU or a status; a block torn off before that is refused."""
    records, other = [], 0
    for line_no, node, lines in _blocks(decode(data)):
        if lines is None:
            other += 1
        else:
            records.append(_record(line_no, node, lines))
    texts = {record.line_no: record.text for record in records}
    rows = kernel_events(records, origin)
    good, bad = refuse_faulty(KERNEL_EVENTS, rows, lambda n: texts[n])
    return Parsed(
        frames={KERNEL_EVENTS.name: good},
        rejects=rejects(sorted(bad)),
        records=len(records) + other,
        accepted=len(records) - len(bad),
        rejected=len(bad),
        ignored=other,
    )


def _blocks(text: str) -> list[tuple[int, str, list[str] | None]]:
    """First line, node and lines of every block; lines before the first stand alone (None).

    In syslog the daemons of several nodes may speak at once: a line belongs to its node's block.
    """
    found: list[tuple[int, str, list[str] | None]] = []
    open_at: dict[str, int] = {}  # node to the place of its last block
    for line_no, raw in enumerate(text.split("\n"), 1):
        line, node = raw.strip(), ""
        if prefixed := _SYSLOG.match(line):
            node, line = prefixed[1], prefixed[2].strip()
        elif own := _OWN.match(line):
            line = f"mcelog {own[1]}"
        if not line:
            continue
        block = found[open_at[node]][2] if node in open_at else None
        if _START.match(line):
            # A daemon that warns between a block's first line and the rest repeats that line.
            if block is not None and all(_EMPTY.match(said) for said in block):
                found[open_at[node]] = (found[open_at[node]][0], node, None)
            open_at[node] = len(found)
            found.append((line_no, node, []))
        elif block is not None:
            block.append(line)
        else:
            found.append((line_no, node, None))
    return found


def _record(line_no: int, node: str, lines: list[str]) -> Record:
    told = {name: value for line in reversed(lines) for name, value in _NUMBER.findall(line)}
    if old := next((match for line in lines if (match := _OLD.match(line))), None):
        told["BANK"] = old[2]
    text = "; ".join(lines)
    stamp = told.get("TIME", "0")
    words = tuple(line for line in lines if not _DULL.match(line))
    if "STATUS" not in told and "CPU" not in told and not words:
        return refused(line_no, text, "a block without CPU, status or words: cut short")
    status = int(told["STATUS"], 16) if "STATUS" in told else None
    detail = check_words(
        told.get("CPU", "?"),
        int(told.get("MCGSTATUS", "0"), 16),
        told.get("BANK", ""),
        status,
        words,
    )
    fault = "the status has more than 64 bits" if status is not None and status >> 64 else None
    return Record(
        line_no, "mce", "", detail, stamp if stamp.strip("0") else None, text, node, fault
    )


def sniff(head: str, name: str) -> int:
    """Surely, by the daemon's own first line; maybe, where the rest of a syslog stands beside it."""
    lines = [line.strip() for line in head.split("\n")[:400] if line.strip()]
    if any(_START.match(line) for line in lines):
        return 2
    daemon = [match[2] for line in lines if (match := _SYSLOG.match(line))]
    if not any(_START.match(line) for line in daemon):
        return 0
    return 2 if len(daemon) == len(lines) else 1


SOURCE = Source(
    name="mcelog",
    title="mcelog: machine checks that its daemon decoded",
    example="Hardware event. This is not a software error. / CPU 3 BANK 0 / TIME 1772446504 / STATUS 90000040000f0005 MCGSTATUS 0",
    makes=(KERNEL_EVENTS,),
    sniff=sniff,
    parse=parse,
)
