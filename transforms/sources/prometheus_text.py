"""Prometheus scrapes (text format 0.0.4 and OpenMetrics) to GPU, node and link samples.

    DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1f02...",GPU_I_ID="3",Hostname="gpu-0417"} 33

A record is one sample line. Each is a cell of a sample table, missing (NaN, or one of DCGM's
blank values: a null cell), unknown by its metric's name, or a reject: none is lost. A sample is
dated by its own time stamp, else by the comment `# scraped_at: <ISO time>` above it, else by the
file. Time stamps are milliseconds or, in OpenMetrics, seconds: between 2000 and 2100 the two
cannot be confused, and a stamp outside is refused.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from transforms import cells, contract
from transforms.series import NODE_NAMER, SLOT_NAMER
from transforms.series_frames import together
from transforms.sources.base import BulkReader, Origin, Parsed, Reading, Source, rejects
from transforms.sources.prometheus_lines import SAMPLE, split_lines, tokens
from transforms.tables import samples as tables

SCRAPED_AT = r"^[ \t]*#[ \t]*scraped_at:[ \t]*(.*?)[ \t]*$"
SECONDS = (946_684_800.0, 4_102_444_800.0)  # 2000 to 2100
# DCGM's blanks: not found, not supported, not permitted, in 32 and 64 bits and in floating point.
DCGM_BLANKS = (
    *(2147483632.0 + i for i in range(4)),
    *(140737488355328.0 + i for i in range(4)),
    9223372036854775808.0,
)


@dataclass(frozen=True)
class Scrape:
    """Every sample line of a file, sorted into what it is. The five heights add up to the file.

    known    a row per line with its metric, its value in the metric's unit (null where the
             source has none) and what it was measured on
    unknown  lines whose metric nobody here knows
    names    lines that only name a node or a slot
    bad      lines that cannot be used: line_no, reason
    """

    samples: int
    known: pl.DataFrame
    unknown: pl.DataFrame
    names: pl.DataFrame
    bad: pl.DataFrame
    lines: pl.DataFrame


def parse(data: bytes, origin: Origin) -> Parsed:
    scrape = read_scrape(data, origin)
    settled = cells.settle(scrape.known)
    bad = pl.concat([scrape.bad, settled.refused]).sort("line_no", "reason")
    texts = bad.join(scrape.lines, on="line_no", how="left", maintain_order="left")
    return Parsed(
        frames=settled.frames,
        rejects=rejects(texts.select("line_no", "reason", "line").rows()),
        unknown=scrape.unknown.group_by("name")
        .agg(pl.len().cast(pl.Int64).alias("samples"))
        .rename({"name": "metric"})
        .sort("metric"),
        records=scrape.samples,
        accepted=scrape.known.height - settled.refused.height + scrape.names.height,
        rejected=bad.height,
        ignored=scrape.unknown.height,
    )


def read_scrape(data: bytes, origin: Origin) -> Scrape:
    """Read every sample line and say what it measures, on what, when."""
    lines = split_lines(data)
    found = tokens(lines.filter(~pl.col("line").str.contains(r"^[ \t]*(?:#|$)")))
    found = _measured(_dated(found, lines, origin), origin)
    if not data.endswith(b"\n"):
        torn = pl.lit("the last line has no line end: it may be torn")
        found = found.with_columns(
            pl.when(pl.col("line_no") == lines.height)
            .then(torn)
            .otherwise("problem")
            .alias("problem")
        )
    sound = found.filter(pl.col("problem").is_null())
    known = sound.filter(pl.col("role") == "metric")
    return Scrape(
        samples=found.height,
        known=known.select(cells.CELLS.names()).cast(cells.CELLS),
        unknown=sound.filter(pl.col("role") == "unknown"),
        names=sound.filter(pl.col("role") == "name"),
        bad=found.filter(pl.col("problem").is_not_null())
        .select("line_no", pl.col("problem").alias("reason"))
        .cast(cells.REFUSED),
        lines=lines,
    )


def _dated(found: pl.DataFrame, lines: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Give every sample its instant, and the number of the scrape it belongs to."""
    time = pl.col("time")
    millis = time.is_between(SECONDS[0] * 1e3, SECONDS[1] * 1e3, closed="left")
    seconds = time.is_between(*SECONDS, closed="left")
    own = pl.when(millis).then(time * 1e3).when(seconds).then(time * 1e6)
    marks = _scrape_marks(lines)
    dated = found.join_asof(marks, on="line_no", strategy="backward").with_columns(
        own.round().cast(pl.Int64).cast(contract.UTC).alias("own_at"),
        pl.col("scrape").fill_null(0),
    )
    above = pl.when(pl.col("scrape") == 0).then(origin.modified).otherwise("scraped_at")
    return dated.with_columns(
        pl.when(time.is_null())
        .then(above)
        .otherwise("own_at")
        .cast(contract.UTC)
        .alias("observed_at")
    ).with_columns(
        pl.when(pl.col("problem").is_not_null())
        .then("problem")
        .when(time.is_not_null() & pl.col("own_at").is_null())
        .then(pl.lit("time stamp is outside 2000 to 2100, in milliseconds and in seconds"))
        .when(pl.col("observed_at").is_null())
        .then(pl.lit("no time: the scraped_at comment above cannot be read"))
        .alias("problem")
    )


def _scrape_marks(lines: pl.DataFrame) -> pl.DataFrame:
    """The `# scraped_at:` comments: line_no, scrape (1, 2, ...), scraped_at (null: unreadable)."""
    told = lines.select("line_no", pl.col("line").str.extract(SCRAPED_AT).alias("told"))
    told = told.filter(pl.col("told").is_not_null())
    return pl.DataFrame(
        {
            "line_no": told["line_no"],
            "scrape": pl.Series(range(1, told.height + 1), dtype=pl.UInt32),
            "scraped_at": pl.Series([_instant(text) for text in told["told"]], dtype=contract.UTC),
        }
    )


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _measured(found: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Add what each line measures and on what, by way of its series."""
    heads = found.filter(pl.col("name").is_not_null()).select("name", "labels").unique()
    heads = heads.sort("name", "labels", nulls_last=True)
    kinds = together(heads)
    heads = heads.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias("series"))
    met = found.join(
        pl.concat([heads, kinds], how="horizontal"),
        on=["name", "labels"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    named = _with_names(met)
    raw = pl.col("raw_value")
    is_blank = (pl.col("is_dcgm") & raw.is_in(DCGM_BLANKS)) | pl.col("blanks").list.contains(raw)
    node = pl.coalesce("node", "file_node", pl.lit(origin.node))
    return named.with_columns(
        pl.col("name").alias("source_name"),
        pl.when(~is_blank).then(raw * pl.col("times") / pl.col("over")).alias("value"),
        pl.coalesce("cluster", pl.lit(origin.cluster)).alias("cluster"),
        node.alias("node"),
        pl.coalesce("uuid", pl.format("{}/{}", node, "index"), pl.lit("")).alias("gpu"),
        pl.coalesce(pl.col("index").cast(pl.UInt16, strict=False), "file_slot").alias("slot"),
        pl.coalesce(
            "problem",
            "series_problem",
            pl.when(
                (pl.col("role") == "metric") & pl.col("node").is_null() & pl.col("is_crowd")
            ).then(pl.lit("names no node, and its scrape is of several")),
        ).alias("problem"),
    )


def _with_names(met: pl.DataFrame) -> pl.DataFrame:
    """Add the node and the slot that other lines of the same scrape give."""
    sound = met.filter(pl.col("problem").is_null())
    hosts = (
        sound.filter(pl.col("name") == NODE_NAMER)
        .group_by("scrape")
        .agg(
            pl.col("node").drop_nulls().min().alias("file_node"),
            (pl.col("node").drop_nulls().n_unique() > 1).alias("is_crowd"),
        )
    )
    slots = (
        sound.filter(pl.col("name") == SLOT_NAMER, pl.col("uuid").is_not_null())
        .group_by("scrape", "uuid")
        .agg(pl.col("index").cast(pl.UInt16, strict=False).unique().alias("index"))
        .filter(pl.col("index").list.len() == 1)  # an anonymised uuid may stand for several
        .select("scrape", "uuid", pl.col("index").list.first().alias("file_slot"))
    )
    return (
        met.join(hosts, on="scrape", how="left", maintain_order="left")
        .join(slots, on=["scrape", "uuid"], how="left", maintain_order="left")
        .with_columns(pl.col("is_crowd").fill_null(False))
    )


def sniff(head: str, name: str) -> int:
    """Surely ours with a TYPE comment or an exporter's name; could be with sample lines."""
    lines = [line for line in head.splitlines() if line.strip()][:200]
    if any(line.startswith(("# TYPE ", "# HELP ")) for line in lines):
        return 2
    exporters = ("DCGM_FI_", "node_", "nvidia_smi_", "slurm_")
    if any(line.startswith(exporters) and "{" in line for line in lines):
        return 2
    heads = pl.Series(lines, dtype=pl.String)
    is_sample = heads.str.contains(SAMPLE) & heads.str.contains(r"\}[ \t]*[+-]?[\d.NI]")
    share = is_sample.mean()
    is_named = name.endswith((".prom", ".metrics"))
    return 1 if isinstance(share, float) and share > (0 if is_named else 0.8) else 0


def _bulk() -> BulkReader:
    from transforms.sources.scrape_batches import Scrapes  # compiles, and reads by way of us

    return Scrapes()


def _pieces(start: bytes, origin: Origin) -> Reading:
    from transforms.sources.scrape_pieces import ScrapePieces

    return ScrapePieces(start, origin)


def _settle(rows: pl.DataFrame) -> pl.DataFrame:
    from transforms.sources.scrape_pieces import settle

    return settle(rows)


SOURCE = Source(
    name="prometheus_text",
    title="Prometheus scrapes: dcgm-exporter, nvidia_gpu_exporter, node_exporter, Slurm exporters",
    example='DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1f02...",Hostname="gpu-0417"} 33',
    makes=(tables.GPU_SAMPLES, tables.NODE_SAMPLES, tables.LINK_SAMPLES),
    sniff=sniff,
    parse=parse,
    pieces=_pieces,
    settle=_settle,
    bulk=_bulk,
    begins=("# HELP ", "# TYPE ", "# scraped_at: "),
    is_bulk=True,
)
