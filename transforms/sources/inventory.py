"""The fleet as its owner lists it: CSV of nodes, and of GPUs by serial and slot.

    node,gpus,gpu_model,rack,pdu,leaf_switch,valid_from,valid_to,removal_reason
    gpu-0417,8,H100,r12,pdu-12a,leaf-3,2026-01-15,,

    serial,uuid,node,slot,pci,model,valid_from,valid_to,removal_reason
    1653723052734,GPU-b6c3b2be,gpu-0417,3,00000000:91:00.0,H100,2026-01-15T08:00:00Z,,

Columns come in any order, under their own names or common others (hostname, gpu_count, switch);
what a file does not have is null. A row without valid_from was always there. A day stands for its
first instant, and a time without an offset is local. A comma, semicolon or tab separates.
"""

import csv
from collections.abc import Iterator, Mapping
from functools import partial

import polars as pl

from transforms.contract import UTC, Table
from transforms.sources.base import Origin, Parsed, Source, refuse_broken, rejects
from transforms.sources.text import decode, instants
from transforms.tables.observed import GPUS, NODES

_SPELLS = {
    "cluster": ("cluster", "cluster_name"),
    "valid_from": ("valid_from", "from", "since", "commissioned", "installed", "installed_at"),
    "valid_to": ("valid_to", "to", "until", "decommissioned", "removed", "removed_at"),
    "removal_reason": ("removal_reason", "reason", "removed_because"),
}
_NODE = ("node", "hostname", "host", "host_name", "node_name", "nodename")
_NODE_COLUMNS = {
    "node": (*_NODE, "name"),
    "gpus": ("gpus", "gpu_count", "num_gpus", "n_gpus", "ngpus", "gpus_per_node"),
    "gpu_model": ("gpu_model", "model", "gpu_type", "gpu"),
    "provider": ("provider", "operator", "vendor", "cloud"),
    "hall": ("hall", "data_hall", "room", "building"),
    "rack": ("rack", "rack_name", "rack_id"),
    "pdu": ("pdu", "power", "power_feed"),
    "leaf_switch": ("leaf_switch", "switch", "leaf", "tor"),
    "nvlink_domain": ("nvlink_domain", "nvl_domain", "domain"),
    "cooling_loop": ("cooling_loop", "cooling", "cdu"),
    **_SPELLS,
}
_GPU_COLUMNS = {
    "serial": ("serial", "gpu_serial", "serial_number", "board_serial"),
    "uuid": ("uuid", "gpu_uuid"),
    "node": _NODE,
    "slot": ("slot", "index", "gpu_index", "gpu"),
    "pci": ("pci", "pci_bus_id", "bus_id", "pci_address", "bdf"),
    "model": ("model", "gpu_model", "name", "gpu_name"),
    **_SPELLS,
}
_PCI = r"^0*([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-9a-fA-F])?$"
_DAY = r"^\d{4}-\d\d-\d\d$"
_COUNT = r"^\d{1,5}$"
_U16 = 2**16 - 1
_ALWAYS = pl.lit(0, pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")

_Row = tuple[int, list[str], str]  # line number, fields, what is wrong with it


def _parse(table: Table, data: bytes, origin: Origin) -> Parsed:
    """Read one inventory file into rows of `table` (nodes or gpus)."""
    known = _columns(table)
    separator, rows = _rows(decode(data))
    header = next(rows, None)
    if header is None:
        return Parsed(frames={table.name: table.empty()})
    positions = _positions(header[1], known)
    told = list(rows)
    if fault := _lacks(table, positions, origin):
        refused = [(n, fault, separator.join(fields)) for n, fields, _ in [header, *told]]
        frames = {table.name: table.empty()}
        return Parsed(frames, rejects(refused), records=len(refused), rejected=len(refused))
    texts = {n: separator.join(fields) for n, fields, _ in told}
    width = len(header[1])
    bad = [
        (n, fault or f"{len(fields)} fields under a header of {width}", texts[n])
        for n, fields, fault in told
        if fault or len(fields) != width
    ]
    misshapen = {n for n, _, _ in bad}
    read = _typed(table, [row for row in told if row[0] not in misshapen], positions, origin)
    broken = read.filter(pl.col("trouble").is_not_null()).select("line_no", "trouble")
    bad += [(n, fault, texts[n]) for n, fault in broken.iter_rows()]
    sound = table.conform(read.filter(pl.col("trouble").is_null()).select(table.dtypes.names()))
    good, against_rules = refuse_broken(table, sound, lambda n: texts[n])
    bad = sorted(bad + against_rules)
    return Parsed(
        frames={table.name: good},
        rejects=rejects(bad),
        records=len(told),
        accepted=len(told) - len(bad),
        rejected=len(bad),
    )


def _columns(table: Table) -> Mapping[str, tuple[str, ...]]:
    return _NODE_COLUMNS if table is NODES else _GPU_COLUMNS


def _rows(text: str) -> tuple[str, Iterator[_Row]]:
    """The separator, and every row that is neither blank nor a comment, the header first."""
    first = next((line for line in text.split("\n") if line.strip() and line[0] != "#"), "")
    separator = max(",;\t", key=first.count)
    return separator, _read(text, separator)


def _read(text: str, separator: str) -> Iterator[_Row]:
    lines = (line + "\n" for line in text.split("\n"))
    begun = 1
    reader = csv.reader(lines, delimiter=separator)
    while True:
        before = reader.line_num
        try:
            fields, fault = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            fields, fault = [], f"not CSV: {error}"
        line_no, begun = begun, begun + reader.line_num - before
        if fault:
            reader = csv.reader(lines, delimiter=separator)  # an error leaves the old one astray
            yield line_no, fields, fault
        elif any(field.strip() for field in fields) and not fields[0].startswith("#"):
            yield line_no, fields, ""


def _positions(header: list[str], known: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Where each of our columns stands: under its own name if it is there, else another's."""
    names = [name.strip().lower().replace(" ", "_").replace("-", "_").replace(".", "_") for name in header]  # fmt: skip
    found = {
        column: next((names.index(name) for name in others if name in names), None)
        for column, others in known.items()
    }
    return {column: position for column, position in found.items() if position is not None}


def _lacks(table: Table, positions: Mapping[str, int], origin: Origin) -> str:
    """Which column without which nothing can be said the header does not name."""
    if table is NODES:
        missing = [name for name in ("node", "gpus") if name not in positions]
    else:
        missing = ["node"] if "node" not in positions and not origin.node else []
        missing += [] if {"serial", "uuid"} & positions.keys() else ["serial or uuid"]
    return f"the header names no {', no '.join(missing)}" if missing else ""


def _typed(
    table: Table, rows: list[_Row], positions: Mapping[str, int], origin: Origin
) -> pl.DataFrame:
    """Give the fields their types; `trouble` says what cannot be read."""
    names = list(_columns(table))
    told = [
        [n, *(fields[positions[name]].strip() if name in positions else "" for name in names)]
        for n, fields, _ in rows
    ]
    schema = {"line_no": pl.UInt32, **dict.fromkeys(names, pl.String)}
    raw = pl.DataFrame(told, schema=schema, orient="row")
    raw = raw.with_columns(pl.col(name).replace("", None) for name in names)
    spells = {name: _instants(raw, name, origin.zone) for name in ("valid_from", "valid_to")}
    wanted = {"gpus": _count("gpus")} if table is NODES else _gpu_columns(raw)
    trouble = [
        pl.when(pl.col("node").is_null()).then(pl.lit("no node")),
        *[
            pl.when(spells[name]["fault"].is_not_null()).then(
                pl.format(f"{name} {{}}", spells[name]["fault"])
            )
            for name in spells
        ],
    ]
    unreadable = {"gpus": "gpus is not a count", "slot": "slot is not a count", "pci": "pci is not a bus address"}  # fmt: skip
    trouble += [
        pl.when(value.is_null() & (pl.col(name).is_not_null() | (name == "gpus"))).then(
            pl.lit(unreadable[name])
        )
        for name, value in wanted.items()
        if name in unreadable
    ]
    if table is GPUS:
        nameless = pl.col("serial").is_null() & pl.col("uuid").is_null()
        trouble.append(pl.when(nameless).then(pl.lit("neither serial nor uuid")))
    placed = raw.with_columns(
        pl.col("cluster").fill_null(origin.cluster),
        pl.col("node").fill_null(pl.lit(origin.node or None, pl.String)),
    )
    return placed.with_columns(
        pl.coalesce(*trouble).alias("trouble"),
        spells["valid_from"]["at"].fill_null(pl.select(_ALWAYS).item()).alias("valid_from"),
        spells["valid_to"]["at"].alias("valid_to"),
        pl.lit(origin.file).alias("file"),
        *[value.alias(name) for name, value in wanted.items()],
    )


def _gpu_columns(raw: pl.DataFrame) -> dict[str, pl.Expr]:
    return {
        "slot": _count("slot"),
        "pci": pl.col("pci").str.extract(_PCI).str.to_lowercase(),
        "serial": pl.coalesce("serial", "uuid"),
    }


def _count(name: str) -> pl.Expr:
    is_count = pl.col(name).str.contains(_COUNT)
    number = pl.when(is_count).then(pl.col(name)).cast(pl.Int64)
    return pl.when(number <= _U16).then(number).cast(pl.UInt16)


def _instants(raw: pl.DataFrame, name: str, zone: str) -> pl.DataFrame:
    """Read a column of days or instants: `at`, and `fault` where it cannot be read."""
    days = pl.when(pl.col(name).str.contains(_DAY)).then(pl.col(name) + "T00:00:00")
    texts = raw.select(pl.coalesce(days, name).alias(name)).to_series()
    return instants(texts, zone).with_columns(pl.col("at").cast(UTC))


def _sniff(table: Table, head: str, name: str) -> int:
    """Surely, if the first line names what every row of the table needs."""
    _, rows = _rows(head)
    header = next(rows, None)
    if header is None or len(header[1]) < 2 or any("[" in n or "." in n for n in header[1]):
        return 0
    positions = _positions(header[1], _columns(table))
    is_of_gpus = bool({"serial", "uuid"} & _positions(header[1], _GPU_COLUMNS).keys())
    needed = {"node", "gpus"} if table is NODES else {"node"}
    return 2 if needed <= positions.keys() and is_of_gpus == (table is GPUS) else 0


NODES_SOURCE = Source(
    name="inventory_nodes",
    title="Inventory of nodes: CSV with a header",
    example="gpu-0417,8,H100,r12,pdu-12a,leaf-3,2026-01-15,,",
    makes=(NODES,),
    sniff=partial(_sniff, NODES),
    parse=partial(_parse, NODES),
)
GPUS_SOURCE = Source(
    name="inventory_gpus",
    title="Inventory of GPUs by serial and slot: CSV with a header",
    example="1653723052734,GPU-b6c3b2be,gpu-0417,3,00000000:91:00.0,H100,2026-01-15T08:00:00Z,,",
    makes=(GPUS,),
    sniff=partial(_sniff, GPUS),
    parse=partial(_parse, GPUS),
)
