"""`nvidia-smi --query-gpu=... --format=csv` to GPU samples.

    uuid, timestamp, temperature.gpu, power.draw [W], memory.used [MiB]
    GPU-df6e..., 2026/03/02 10:15:04.123, 41, 88.31 W, 575 MiB

The header is the only thing that says which number is which, so a file without it is refused
whole. A record is one value in a measured column, or one line that cannot be read at all;
columns that say which GPU it is (name, serial, bus address, versions) are no measurements.
"""

import re
from dataclasses import dataclass

import polars as pl

from transforms import cells, contract
from transforms.metrics import Claim, Metric, claims, exact_factor
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.tables.samples import GPU_SAMPLES

FIELD = re.compile(r"([a-z_][A-Za-z0-9_.]*)(?: \[([^\]]*)\])?")
IDENTITY = re.compile(
    r"timestamp|index|count|name|serial|uuid|gpu_(?:name|serial|uuid|bus_id)|compute_cap"
    r"|(?:driver|vbios|kmd|cuda)_version|(?:pci|inforom|driver_model|platform)\..+"
)
UNITS: dict[str, dict[str, float]] = {
    "C": {"C": 1.0},
    "W": {"W": 1.0, "mW": 1e-3, "kW": 1e3},
    "MHz": {"MHz": 1.0, "GHz": 1e3, "kHz": 1e-3, "Hz": 1e-6},
    "bytes": {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "ratio": {"%": 0.01},
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
}
"""Unit of a metric to the units a value may come in. KB and MB mean two things: refused."""
FLAGS = {"enabled": 1.0, "disabled": 0.0, "active": 1.0, "not active": 0.0, "yes": 1.0, "no": 0.0}
WORDS = {
    "compute_mode_code": {
        "default": 0.0,
        "exclusive_thread": 1.0,
        "prohibited": 2.0,
        "exclusive_process": 3.0,
    },
    "recovery_action_code": {
        "none": 0.0,
        "reset": 1.0,
        "gpu reset": 1.0,
        "reboot": 2.0,
        "node reboot": 2.0,
        "drain p2p": 3.0,
        "drain and reset": 4.0,
    },
    "fabric_state_code": {
        "not supported": 0.0,
        "not started": 1.0,
        "in progress": 2.0,
        "completed": 3.0,
    },
    "pstate_code": {f"p{i}": float(i) for i in range(16)},
}
NUMBER = r"^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?: ?([A-Za-z%/]+))?$"
HEX = r"^0x([0-9a-fA-F]{1,16})$"
MISSING = r"^(?:\[.*\]|N/A|ERR!|Unknown Error|Not Supported|)$"
NO_HEADER = (
    "no header line: keep it (--format=csv without noheader), nothing else names the columns"
)


@dataclass(frozen=True)
class Column:
    """One column of a header."""

    at: int
    name: str
    unit: str | None
    claim: Claim | None

    @property
    def is_identity(self) -> bool:
        return self.claim is None and IDENTITY.fullmatch(self.name) is not None


def parse(data: bytes, origin: Origin) -> Parsed:
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = pl.Series("line", text.split("\n"), dtype=pl.String).str.strip_chars(" \t\r").to_frame()
    lines = lines.select(pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("line_no"), "line")
    is_torn = not data.endswith(b"\n")
    filled = lines.filter(pl.col("line") != "")
    headers = _headers(filled)
    if headers.is_empty():
        if filled.is_empty():
            return Parsed(frames={})
        refusal = (filled["line_no"][0], NO_HEADER, filled["line"][0])
        return Parsed(frames={}, rejects=rejects([refusal]), records=1, rejected=1)
    rows = filled.join(headers, on="line_no", how="anti").join_asof(
        headers.rename({"line": "header"}), on="line_no", strategy="backward"
    )
    sheets = [
        _sheet(rows.filter(pl.col("header") == h), h, origin, lines.height if is_torn else 0)
        for h in headers["line"].unique(maintain_order=True)
    ]
    early = rows.filter(pl.col("header").is_null())
    early_bad = early.select("line_no", pl.lit("stands before the header").alias("reason"))
    known = pl.concat([sheet.known for sheet in sheets])
    settled = cells.settle(known)
    bad = pl.concat(
        [early_bad.cast(cells.REFUSED), *(sheet.bad for sheet in sheets), settled.refused]
    ).sort("line_no", "reason")
    unknown = (
        pl.concat([sheet.unknown for sheet in sheets])
        .group_by("metric")
        .agg(pl.col("samples").sum())
        .filter(pl.col("samples") > 0)
        .sort("metric")
    )
    ignored = int(unknown["samples"].sum())
    accepted = known.height - settled.refused.height
    texts = bad.join(filled, on="line_no", how="left", maintain_order="left")
    return Parsed(
        frames=settled.frames,
        rejects=rejects(texts.select("line_no", "reason", "line").rows()),
        unknown=unknown,
        records=accepted + bad.height + ignored,
        accepted=accepted,
        rejected=bad.height,
        ignored=ignored,
    )


@dataclass(frozen=True)
class Sheet:
    """What the rows under one header hold: cells, refused lines and values, unknown columns."""

    known: pl.DataFrame
    bad: pl.DataFrame
    unknown: pl.DataFrame


def _headers(lines: pl.DataFrame) -> pl.DataFrame:
    """The header lines: loops that restart and files put together have several."""
    looks = lines.filter(
        pl.col("line").str.contains(r"^[a-z_][A-Za-z0-9_.]*(?: \[[^\]]*\])?(?:,|$)")
    )
    is_header = [_columns(line) is not None for line in looks["line"]]
    return looks.filter(pl.Series(is_header, dtype=pl.Boolean))


def _columns(header: str) -> list[Column] | None:
    """The columns that a header names; None where the line is no header."""
    columns = []
    for at, field in enumerate(header.split(",")):
        if not (match := FIELD.fullmatch(field.strip())):
            return None
        held = [claim for claim in claims(match[1]) if claim.metric.table == "gpu_samples"]
        columns.append(Column(at, match[1], match[2], held[0] if held else None))
    return columns if any(c.claim or c.is_identity for c in columns) else None


def _sheet(rows: pl.DataFrame, header: str, origin: Origin, torn_line: int) -> Sheet:
    columns = _columns(header) or []
    fields = pl.col("line").str.split(",")
    placed = _placed(rows.with_columns(fields.alias("fields")), columns, origin, torn_line)
    sound = placed.filter(pl.col("problem").is_null())
    read = [_read(sound, column, claim) for column in columns if (claim := column.claim)]
    return Sheet(
        known=pl.concat(
            [
                pl.DataFrame(schema=cells.CELLS),
                *(
                    c.filter(pl.col("problem").is_null())
                    .select(cells.CELLS.names())
                    .cast(cells.CELLS)
                    for c in read
                ),
            ]
        ),
        bad=pl.concat(
            [
                part.filter(pl.col("problem").is_not_null())
                .select("line_no", pl.col("problem").alias("reason"))
                .cast(cells.REFUSED)
                for part in (placed, *read)
            ]
        ),
        unknown=pl.DataFrame(
            [(c.name, sound.height) for c in columns if not c.claim and not c.is_identity],
            schema={"metric": pl.String, "samples": pl.Int64},
            orient="row",
        ),
    )


def _placed(
    rows: pl.DataFrame, columns: list[Column], origin: Origin, torn_line: int
) -> pl.DataFrame:
    """Say of every row which GPU it is about and when, or why that cannot be told."""
    places = {column.name: _field(column) for column in reversed(columns)}

    def told(*names: str) -> pl.Expr:
        found = [places[name] for name in names if name in places]
        given = [pl.when(~e.str.contains(MISSING)).then(e) for e in found]
        return pl.coalesce(*given, pl.lit(None, pl.String))

    uuid, index, bus = told("uuid", "gpu_uuid"), told("index"), told("pci.bus_id", "gpu_bus_id")
    pci = bus.str.to_lowercase().str.extract(r"([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2})(?:\.\d)?$")
    stamp = told("timestamp").str.to_datetime("%Y/%m/%d %H:%M:%S%.f", strict=False, time_unit="us")
    local = stamp.dt.replace_time_zone(origin.zone, ambiguous="null", non_existent="null")
    at = local.dt.convert_time_zone("UTC") if "timestamp" in places else pl.lit(origin.modified)
    node = pl.lit(origin.node)
    width = pl.col("fields").list.len()
    return rows.with_columns(
        at.cast(contract.UTC).alias("observed_at"),
        pl.lit(origin.cluster).alias("cluster"),
        node.alias("node"),
        pl.coalesce(uuid, pl.format("{}/{}", node, index), pl.format("{}/{}", node, pci)).alias(
            "gpu"
        ),
        pl.lit("").alias("gpu_instance"),
        index.cast(pl.UInt16, strict=False).alias("slot"),
        pl.lit("").alias("link"),
    ).with_columns(
        pl.when(pl.col("line_no") == torn_line)
        .then(pl.lit("the last line has no line end: it may be torn"))
        .when(width != len(columns))
        .then(pl.format("{} fields where the header names {}", width, pl.lit(len(columns))))
        .when(pl.col("gpu").is_null())
        .then(pl.lit("names no GPU: query uuid or index too"))
        .when(pl.col("observed_at").is_null())
        .then(pl.lit(f"time stamp cannot be read, or is not one instant in zone {origin.zone}"))
        .alias("problem")
    )


def _field(column: Column) -> pl.Expr:
    return pl.col("fields").list.get(column.at, null_on_oob=True).str.strip_chars(" \t")


def _read(rows: pl.DataFrame, column: Column, claim: Claim) -> pl.DataFrame:
    """Read one measured column into cells; `problem` says which values cannot be used."""
    metric = claim.metric
    text = _field(column)
    number = text.str.extract(NUMBER, 1).cast(pl.Float64, strict=False)
    told_unit = pl.coalesce(text.str.extract(NUMBER, 2), pl.lit(column.unit, pl.String))
    factors = {unit: exact_factor(f) for unit, f in UNITS.get(metric.unit, {}).items()}
    times = told_unit.replace_strict(
        {u: f[0] for u, f in factors.items()}, default=None, return_dtype=pl.Float64
    )
    over = told_unit.replace_strict(
        {u: f[1] for u, f in factors.items()}, default=None, return_dtype=pl.Float64
    )
    bare = told_unit.is_null()
    scaled = pl.when(bare).then(number * claim.times / claim.over).otherwise(number * times / over)
    mask = text.str.extract(HEX).str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    word = text.str.to_lowercase().replace_strict(
        _words(metric), default=None, return_dtype=pl.Float64
    )
    is_missing = text.str.contains(MISSING)
    value = pl.coalesce(word, pl.when(~is_missing).then(pl.coalesce(mask.cast(pl.Float64), scaled)))
    quoted = pl.format(f"{column.name}: {{}}", text)
    return rows.with_columns(
        pl.lit(column.name).alias("source_name"),
        pl.lit(metric.name).alias("metric"),
        pl.lit(column.at, pl.UInt32).alias("series"),
        value.alias("value"),
        pl.when(is_missing)
        .then(None)
        .when(value.is_null() & number.is_not_null())
        .then(pl.format(f"{{}} is not in a unit of {metric.name} ({{}})", quoted, told_unit))
        .when(value.is_null())
        .then(pl.format(f"{{}} cannot be read as {metric.name}", quoted))
        .alias("problem"),
    )


def _words(metric: Metric) -> dict[str, float]:
    return FLAGS if metric.unit == "flag" else WORDS.get(metric.name, {})


def sniff(head: str, name: str) -> int:
    """Surely ours by its header; could be by the look of its values when the header was left out."""
    lines = [line.strip() for line in head.splitlines() if line.strip()][:50]
    if not lines:
        return 0
    for line in lines[:5]:
        columns = _columns(line) if "," in line else None
        if columns and any(c.claim or "." in c.name for c in columns):
            return 2
    looks = re.compile(r"GPU-[0-9a-f]{8}-|, *\d+ (?:%|MiB|MHz)(?:,|$)|\[N/A\]|, *[\d.]+ W(?:,|$)")
    return 1 if all("," in line and looks.search(line) for line in lines) else 0


SOURCE = Source(
    name="nvidia_smi",
    title="nvidia-smi --query-gpu, CSV with its header",
    example="GPU-df6e7a7c-7314-46f8-abc4-b88b36dcf3aa, 2026/03/02 10:15:04.123, 41, 88.31 W, 575 MiB",
    makes=(GPU_SAMPLES,),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
