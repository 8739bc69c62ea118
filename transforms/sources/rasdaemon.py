"""What rasdaemon recorded, as `ras-mc-ctl --errors` prints it or as its SQLite file, to kernel_events.

    MCE events:
    1 2026-03-02 03:52:38 +0000 error: Corrected error, no action required., CPU 2, bank Unified
    Memory Controller (bank=17), mcg mcgstatus=0, status=0x9c2040000000011b, walltime=0x63...

Both forms give the same rows for memory controllers, PCIe, machine checks and disks. Also read are
Arm processor, firmware (extlog) and memory failure records; devlink, CXL and signal records are
passed over. `line_no` is the line, or the number of the record in the database.
"""

import re
from collections.abc import Callable

from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.ras_database import MAGIC, database_records
from transforms.sources.ras_records import (
    Record,
    check_words,
    kernel_events,
    memory_words,
    pci_address,
    refused,
)
from transforms.sources.text import decode
from transforms.tables.observed import KERNEL_EVENTS

_HEADING = re.compile(r"^([A-Z][\w ]*?) ?(?:events|errors):$")
_NONE = re.compile(r"^No [\w ]+\.?$")
_ROW = re.compile(
    r"^\d+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: ?[+-]\d\d:?\d\d)?|\.+|\(null\)|) (?:error: )?(.*)$"
)
_MEMORY = re.compile(
    r"^(\d+) (\w+) error\(s\): (.*?) at (.*) location: (-?\d+(?::-?\d+)*), addr (\S+), grain \S+, syndrome \S+ ?(.*)$"
)
_AER = re.compile(r"^(?:(\S+) )??((?:Unc|C)orrected(?: \([\w-]+\))?|Unknown severity) error: (.*)$")
_CPU = re.compile(r"\bCPU (\d+)\b|\bcpu=(?:0x)?(\d+)")


def parse(data: bytes, origin: Origin) -> Parsed:
    """One row per record of the kinds that are read."""
    if data.startswith(MAGIC):
        records, ignored = database_records(data)
    else:
        records, ignored = _text_records(decode(data))
    texts = {record.line_no: record.text for record in records}
    rows = kernel_events(records, origin)
    good, bad = refuse_faulty(KERNEL_EVENTS, rows, lambda n: texts[n])
    return Parsed(
        frames={KERNEL_EVENTS.name: good},
        rejects=rejects(sorted(bad)),
        records=len(records) + ignored,
        accepted=len(records) - len(bad),
        rejected=len(bad),
        ignored=ignored,
    )


def _text_records(text: str) -> tuple[list[Record], int]:
    records: list[Record] = []
    ignored, section = 0, ""
    for line_no, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or _NONE.match(line):
            continue
        if heading := _HEADING.match(line):
            section = heading[1]
            continue
        row, read = _ROW.match(line), _SECTIONS.get(section)
        if read is None or row is None:
            # A record's dump may go on over lines; only a numbered line begins one.
            if read is not None and re.match(r"\d+ ", line):
                records.append(refused(line_no, line, "neither a time nor dots after the number"))
            else:
                ignored += 1
            continue
        told = read(row[2])
        if told is None:
            records.append(refused(line_no, line, f"cannot be read as one of the {section} events"))
            continue
        kind, device, detail = told
        stamp = row[1] if row[1][:1].isdigit() else _walltime(row[2])
        records.append(Record(line_no, kind, device, detail, stamp, line))
    return records, ignored


def _memory(said: str) -> tuple[str, str, str] | None:
    if (match := _MEMORY.match(said)) is None:
        return None
    count, kind, message, label, place, *_ = match.groups()
    return "edac", f"mc{place.partition(':')[0]}", memory_words(count, kind, message, label, place)


def _aer(said: str) -> tuple[str, str, str] | None:
    if (match := _AER.match(said)) is None:
        return None
    return "aer", pci_address(match[1]), f"{match[2]} error: {match[3]}"


def _check(said: str) -> tuple[str, str, str] | None:
    cpu = _CPU.search(said)
    bank = re.search(r"\bbank=(0x[0-9a-f]{1,8}\b|\d{1,9}\b)", said)
    status = re.search(r"(?<!g)\bstatus=0x([0-9a-f]{1,16})\b", said)
    named = re.search(r"\bbank ([^,=]+?)(?: \(bank=\d+\))?,", said)
    mcg = re.search(r"\bmcgstatus=(?:0x)?([0-9a-f]{1,8})\b", said)
    message = said.partition(", CPU ")[0]
    if cpu is None:
        return None
    number = str(int(bank[1], 16 if bank[1].startswith("0x") else 10)) if bank else ""
    words = (named[1] if named else None, message)
    state = int(status[1], 16) if status else None
    mcgstatus = int(mcg[1], 16) if mcg else 0
    return "mce", "", check_words(cpu[1] or cpu[2], mcgstatus, number, state, words)


def _walltime(said: str) -> str | None:
    """The time as epoch seconds, where the daemon wrote dots for it."""
    found = re.search(r"\bwalltime=0x([0-9a-f]{1,8})\b", said)
    return str(int(found[1], 16)) if found and int(found[1], 16) else None


def _firmware(said: str) -> tuple[str, str, str] | None:
    severity = re.search(r"\bseverity=(\w+)", said)
    return ("mce", "", f"event severity: {severity[1]}, {said.rstrip(', ')}") if severity else None


def _arm(said: str) -> tuple[str, str, str] | None:
    return "mce", "", f"Arm processor error: {said}"


def _disk(said: str) -> tuple[str, str, str] | None:
    device = re.search(r"\bdev=([^,]+),", said)
    return ("nvme", device[1], said.rstrip(", ")) if device else None


def _failure(said: str) -> tuple[str, str, str] | None:
    return "edac", "", f"UE memory failure: {said.rstrip(', ')}"


_SECTIONS: dict[str, Callable[[str], tuple[str, str, str] | None]] = {
    "Memory controller": _memory,
    "PCIe AER": _aer,
    "MCE": _check,
    "Extlog": _firmware,
    "ARM processor": _arm,
    "Disk": _disk,
    "Memory failure": _failure,
}


def sniff(head: str, name: str) -> int:
    """Surely, by the headings of the print, or by a table in the database's first page."""
    if head.startswith(MAGIC.decode()):
        return 2 if re.search(r"CREATE TABLE (?:mc_event|mce_record|aer_event)\b", head) else 0
    lines = {line.strip() for line in head.split("\n")[:2000]}
    headings = {f"{name} events:" for name in _SECTIONS} | {"Disk errors:"}
    nothing = {"No Memory errors.", "No PCIe AER errors.", "No MCE errors.", "No Extlog errors."}
    return 2 if lines & headings and (lines & nothing or any(map(_ROW.match, lines))) else 0


SOURCE = Source(
    name="rasdaemon",
    title="rasdaemon: ras-mc-ctl --errors, or its database ras-mc_event.db",
    example="1 2026-03-02 03:09:05 +0000 1 Corrected error(s): memory read error at CPU0_DIMM_A1 location: 0:0:1:0, addr 0, grain 6, syndrome 0",
    makes=(KERNEL_EVENTS,),
    sniff=sniff,
    parse=parse,
)
