"""`nvidia-smi dmon` with dates (`-o DT`) to GPU samples.

    #Date       Time        gpu    pwr  gtemp  mtemp     sm    mem  mclk  pclk     fb  sbecc  dbecc
    #YYYYMMDD   HH:MM:SS    Idx      W      C      C      %      %   MHz   MHz     MB   errs   errs
     20260302   10:15:04      0     71     35     38      0      0  2619   345      0      0      0

Two header lines say what is in which column and in what unit; they come again every few lines and
wherever a loop began anew. A record is one value in a measured column or one line that cannot be
read; `-` is no value. Times are local, to the second. `MB` of memory are MiB, as elsewhere in this
tool. What its `MB/s`, its violation columns and `pci` count differs between releases: they are
counted as unknown. GPUs have an index only: name the node (`--node`).
"""

import itertools
import re
from dataclasses import dataclass

import polars as pl

from transforms import cells
from transforms.metric_table.naming import MIB
from transforms.metrics import exact_factor
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.text import instants, numbered_lines
from transforms.tables.samples import GPU_SAMPLES

_COLUMNS: dict[tuple[str, str], tuple[str, float]] = {
    ("pwr", "W"): ("power_w", 1.0),
    ("gtemp", "C"): ("gpu_temp_c", 1.0),
    ("mtemp", "C"): ("memory_temp_c", 1.0),
    ("sm", "%"): ("gpu_util_ratio", 0.01),
    ("mem", "%"): ("memory_util_ratio", 0.01),
    ("enc", "%"): ("encoder_util_ratio", 0.01),
    ("dec", "%"): ("decoder_util_ratio", 0.01),
    ("jpg", "%"): ("jpeg_util_ratio", 0.01),
    ("ofa", "%"): ("ofa_util_ratio", 0.01),
    ("mclk", "MHz"): ("memory_clock_mhz", 1.0),
    ("pclk", "MHz"): ("graphics_clock_mhz", 1.0),
    ("fb", "MB"): ("memory_used_bytes", MIB),
    ("sbecc", "errs"): ("ecc_corrected_volatile", 1.0),
    ("dbecc", "errs"): ("ecc_uncorrected_volatile", 1.0),
}
"""(column, unit) to its metric and the factor to that metric's unit."""
_WHEN_AND_WHO = ("Date", "Time", "gpu")
_NUMBER = r"^[+-]?\d{1,18}(?:\.\d+)?$"
NO_DATE = "no Date and Time columns: run dmon with -o DT"
NO_HEADER = "stands before the two header lines"


@dataclass(frozen=True)
class _Sheet:
    """The columns that two header lines name; (line of the header, names, units)."""

    line_no: int
    names: tuple[str, ...]
    units: tuple[str, ...]


def parse(data: bytes, origin: Origin) -> Parsed:
    """Every value under a header, and what cannot be read."""
    lines = numbered_lines(data).with_columns(pl.col("line").str.strip_chars())
    lines = lines.filter(pl.col("line") != "")
    sheets = _sheets(lines)
    marks = pl.DataFrame(
        {"line_no": [s.line_no for s in sheets], "sheet": range(len(sheets))},
        schema={"line_no": pl.UInt32, "sheet": pl.UInt32},
    )
    rows = lines.filter(~pl.col("line").str.starts_with("#"))
    torn = 0 if data.endswith(b"\n") or rows.is_empty() else rows["line_no"][-1]
    rows = rows.join_asof(marks, on="line_no", strategy="backward").with_columns(
        pl.col("line").str.split(" ").list.filter(pl.element() != "").alias("fields")
    )
    early = rows.filter(pl.col("sheet").is_null()).select("line_no", reason=pl.lit(NO_HEADER))
    kinds: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for number, sheet in enumerate(sheets):
        kinds.setdefault((sheet.names, sheet.units), []).append(number)
    read = [
        _read(rows.filter(pl.col("sheet").is_in(numbers)), *kind, origin, torn)
        for kind, numbers in kinds.items()
    ]
    known = pl.concat([pl.DataFrame(schema=cells.CELLS), *(one[0] for one in read)])
    settled = cells.settle(known)
    bad = pl.concat([early.cast(cells.REFUSED), *(one[1] for one in read), settled.refused])
    bad = bad.sort("line_no", "reason")
    texts = bad.join(lines, on="line_no", how="left", maintain_order="left")
    unknown = pl.concat([pl.DataFrame(schema=_UNKNOWN), *(one[2] for one in read)])
    unknown = unknown.group_by("metric").agg(pl.col("samples").sum()).sort("metric")
    ignored = int(unknown["samples"].sum())
    accepted = known.height - settled.refused.height
    return Parsed(
        frames=settled.frames,
        rejects=rejects(texts.select("line_no", "reason", "line").rows()),
        unknown=unknown,
        records=accepted + bad.height + ignored,
        accepted=accepted,
        rejected=bad.height,
        ignored=ignored,
    )


_UNKNOWN = pl.Schema({"metric": pl.String, "samples": pl.Int64})


def _sheets(lines: pl.DataFrame) -> list[_Sheet]:
    """Each pair of header lines: names, and below them as many units."""
    heads = [
        (number, tuple(line[1:].split()))
        for number, line in lines.filter(pl.col("line").str.starts_with("#")).iter_rows()
    ]
    return [
        _Sheet(number, names, units)
        for (number, names), (_, units) in itertools.pairwise(heads)
        if "gpu" in names and len(names) == len(units) and "Idx" in units
    ]


def _read(
    rows: pl.DataFrame, names: tuple[str, ...], units: tuple[str, ...], origin: Origin, torn: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Cells, refusals and unknown columns of the rows under one kind of header."""

    def field(name: str) -> pl.Expr:
        if name not in names:
            return pl.lit(None, pl.String)
        return pl.col("fields").list.get(names.index(name), null_on_oob=True)

    day = field("Date").str.replace(r"^(\d{4})(\d\d)(\d\d)$", "$1-$2-$3")
    texts = rows.with_columns((day + "T" + field("Time")).alias("at"))["at"]  # as many as rows
    times = instants(texts, origin.zone)
    width = pl.col("fields").list.len()
    placed = rows.with_columns(
        times["at"].alias("observed_at"),
        times["fault"].alias("fault"),
        field("gpu").cast(pl.UInt16, strict=False).alias("slot"),
    ).with_columns(
        pl.when(pl.col("line_no") == torn)
        .then(pl.lit("the last line has no line end: it may be torn"))
        .when(width != len(names))
        .then(pl.format("{} fields where the header names {}", width, pl.lit(len(names))))
        .when(pl.lit("Date" not in names or "Time" not in names))
        .then(pl.lit(NO_DATE))
        .when(pl.col("observed_at").is_null())
        .then(pl.lit("time ") + pl.col("fault").fill_null("cannot be read"))
        .when(pl.col("slot").is_null())
        .then(pl.lit("names no GPU"))
        .alias("problem")
    )
    sound = placed.filter(pl.col("problem").is_null())
    bad = [placed.filter(pl.col("problem").is_not_null()).select("line_no", reason="problem")]
    known: list[pl.DataFrame] = [pl.DataFrame(schema=cells.CELLS)]
    strange: list[tuple[str, int]] = []
    for at, (name, unit) in enumerate(zip(names, units, strict=True)):
        if name in _WHEN_AND_WHO:
            continue
        if (name, unit) not in _COLUMNS:
            strange.append((f"dmon.{name}", sound.height))
            continue
        metric, factor = _COLUMNS[name, unit]
        times_, over = exact_factor(factor)
        text = pl.col("fields").list.get(at)
        number = pl.when(text.str.contains(_NUMBER)).then(text).cast(pl.Float64, strict=False)
        column = sound.with_columns(text.alias("text"), number.alias("number"))
        is_read = pl.col("number").is_not_null() | (pl.col("text") == "-")
        bad.append(
            column.filter(~is_read).select(
                "line_no", reason=pl.format(f"{name}: {{}} cannot be read as {metric}", "text")
            )
        )
        known.append(
            column.filter(is_read)
            .select(
                "line_no",
                pl.lit(name).alias("source_name"),
                pl.lit(metric).alias("metric"),
                (pl.col("number") * times_ / over).alias("value"),
                pl.lit(at).alias("series"),
                pl.lit(origin.cluster).alias("cluster"),
                pl.lit(origin.node).alias("node"),
                pl.format("{}/{}", pl.lit(origin.node), "slot").alias("gpu"),
                pl.lit("").alias("gpu_instance"),
                "slot",
                pl.lit("").alias("link"),
                "observed_at",
            )
            .cast(cells.CELLS)
        )
    unknown = pl.DataFrame([one for one in strange if one[1]], _UNKNOWN, orient="row")
    return pl.concat(known), pl.concat([part.cast(cells.REFUSED) for part in bad]), unknown


def sniff(head: str, name: str) -> int:
    """Surely, by its two header lines."""
    return (
        2
        if re.search(r"^# ?(?:Date +Time +)?gpu .*\n# ?(?:\S+ +HH:MM:SS +)?Idx ", head, re.M)
        else 0
    )


SOURCE = Source(
    name="nvidia_smi_dmon",
    title="nvidia-smi dmon with dates (-o DT)",
    example=" 20260302   10:15:04      0     71     35     38      0      0   2619    345      0      0      0",
    makes=(GPU_SAMPLES,),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
