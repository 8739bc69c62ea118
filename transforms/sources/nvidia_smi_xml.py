"""`nvidia-smi -q -x` to GPU samples, and to the boards and slots of the GPUs.

    <gpu id="00000000:19:00.0"><serial>165...</serial><temperature><gpu_temp>41 C</gpu_temp> ...

A file holds one query or many, one after another. A record is one measured value, one GPU's
identity, or a stretch that cannot be read; N/A is no value. The time stamp has no zone: it is in
`--zone`. A GPU's slot is its place in the query, told only where the query holds every attached
GPU: the minor number is not the index.
"""

import re

import polars as pl

from transforms import cells
from transforms.contract import UTC
from transforms.metrics import METRICS, exact_factor
from transforms.sources import nvidia_smi
from transforms.sources.base import Origin, Parsed, Source, refuse_broken, rejects
from transforms.sources.smi_xml_documents import MISSING, Gpu, Query, documents
from transforms.sources.smi_xml_paths import MEASURED, MEASURED_OF_MIG, PASSED
from transforms.sources.text import decode, instants
from transforms.tables.observed import GPUS
from transforms.tables.samples import GPU_SAMPLES

_STAMP = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) (\d{4})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BUS = re.compile(r"^(?:[0-9a-fA-F]{4})?([0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.\d)?$")
_MIG = "mig_devices/mig_device/"
_FLAGS = {**nvidia_smi.FLAGS, "true": 1.0, "false": 0.0, "full": 0.0, "degraded": 1.0}
_SERIES = {path: number for number, path in enumerate(MEASURED)}
_BARE = {"encoder_latency_s": "us"}
"""Units of values that the tool writes without one; a bare number of any other quantity with a unit
is refused."""
_WORDS = pl.DataFrame(
    [
        (metric.name, word, number)
        for metric in METRICS
        for word, number in (
            _FLAGS if metric.unit == "flag" else nvidia_smi.WORDS.get(metric.name, {})
        ).items()
    ],
    schema={"metric": pl.String, "word": pl.String, "said": pl.Float64},
    orient="row",
)
_UNITS = pl.DataFrame(
    [
        (metric.name, unit, *exact_factor(factor))
        for metric in METRICS
        for unit, factor in nvidia_smi.UNITS.get(metric.unit, {"": 1.0}).items()
    ],
    schema={"metric": pl.String, "unit": pl.String, "times": pl.Float64, "over": pl.Float64},
    orient="row",
)
_LEAF = pl.Schema(
    {"line_no": pl.UInt32, "path": pl.String, "metric": pl.String, "text": pl.String}
    | {"gpu": pl.String, "gpu_instance": pl.String, "slot": pl.UInt16, "series": pl.UInt32}
    | {"document": pl.UInt32}
)
_PLACED = pl.Schema(
    {"line_no": pl.UInt32, "serial": pl.String, "uuid": pl.String, "pci": pl.String}
    | {"slot": pl.UInt16, "model": pl.String, "document": pl.UInt32}
)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Values and boards of every whole <gpu>; the rest of a broken document is one refusal."""
    text = decode(data)
    return read_queries(*documents(text), text, origin)


def read_queries(
    queries: list[Query], bad: list[tuple[int, str]], text: str, origin: Origin
) -> Parsed:
    """What queries say, however they were spelled; `bad` stands outside of them."""
    lines = text.split("\n")
    times, untimed = _times(queries, origin)
    placed, told, nameless = _contents(queries)
    boards, refused = _boards(placed.join(times, on="document"), origin, lines)
    # None is an action, and elsewhere no value.
    is_action = (pl.col("metric") == "recovery_action_code") & (pl.col("text") == "None")
    told = told.join(times, on="document").filter(~pl.col("text").str.contains(MISSING) | is_action)
    values = _values(told.filter(pl.col("metric") != ""), origin)
    settled = cells.settle(values.filter(pl.col("problem").is_null()).select(cells.CELLS.names()))
    wrong = values.filter(pl.col("problem").is_not_null()).select("line_no", "problem").rows()
    wrong += settled.refused.rows()
    unknown = (
        told.filter(pl.col("metric") == "")
        .group_by(pl.col("path").str.replace_all("/", ".").alias("metric"))
        .agg(pl.len().cast(pl.Int64).alias("samples"))
        .sort("metric")
    )
    bad += untimed + nameless + wrong
    refusals = [(n, why, lines[n - 1] if 0 < n <= len(lines) else "") for n, why in bad] + refused
    accepted = placed.join(times, on="document").height - len(refused) + values.height - len(wrong)
    ignored = int(unknown["samples"].sum())
    frames = {GPUS.name: boards, **settled.frames}
    return Parsed(
        frames={name: frame for name, frame in frames.items() if frame.height},
        rejects=rejects(sorted(refusals)),
        unknown=unknown,
        records=accepted + len(refusals) + ignored,
        accepted=accepted,
        rejected=len(refusals),
        ignored=ignored,
    )


def _times(queries: list[Query], origin: Origin) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """When each query was made (the file's time where it does not say), and those unreadable."""
    stamps = pl.Series([_iso(query.stamp) for query in queries], dtype=pl.String)
    read = instants(stamps, origin.zone)
    is_told = stamps.is_not_null()
    bad = [
        (query.line_no, f"time stamp {query.stamp!r} {fault or 'cannot be read'}")
        for query, at, fault in zip(queries, read["at"], read["fault"], strict=True)
        if query.stamp is not None and at is None
    ]
    times = read.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("document"),
        pl.when(is_told)
        .then("at")
        .otherwise(pl.lit(origin.modified).cast(UTC))
        .alias("observed_at"),
    )
    return times.drop_nulls(), bad


def _contents(queries: list[Query]) -> tuple[pl.DataFrame, pl.DataFrame, list[tuple[int, str]]]:
    """All boards (_PLACED), all leaves (_LEAF), and the GPUs that cannot be named."""
    placed: list[tuple] = []
    leaves: list[tuple] = []
    bad: list[tuple[int, str]] = []
    for number, query in enumerate(queries):
        for place, gpu in enumerate(query.gpus):
            slot = place if query.attached == str(len(query.gpus)) else None
            uuid, serial = gpu.said("uuid"), gpu.said("serial")
            if gpu.said("multigpu_board") == "Yes":  # the board's serial is two GPUs'
                serial = None
            if uuid is None and serial is None:
                bad.append((gpu.line_no, "names neither uuid nor serial"))
                continue
            bus = _BUS.match(gpu.said("pci/pci_bus_id") or gpu.bus)
            pci = bus[1].lower() if bus else None
            model = gpu.said("product_name")
            placed.append((gpu.line_no, serial or uuid, uuid, pci, slot, model, number))
            leaves += _leaves(gpu, uuid or serial or "", slot, number)
        if query.trouble:
            bad.append(query.trouble)
    return (
        pl.DataFrame(placed, _PLACED, orient="row"),
        pl.DataFrame(leaves, _LEAF, orient="row"),
        bad,
    )


def _leaves(gpu: Gpu, name: str, slot: int | None, document: int) -> list[tuple]:
    """The leaves of a GPU and its MIG devices as rows of _LEAF; `metric` is '' where unknown."""
    instances = {mig: text for _, path, text, mig in gpu.leaves if path == f"{_MIG}gpu_instance_id"}
    rows: list[tuple] = []
    for line_no, path, text, mig in gpu.leaves:
        if is_mig := path.startswith(_MIG):
            metric = MEASURED_OF_MIG.get(path.removeprefix(_MIG), "")
        else:
            metric = MEASURED.get(path, "")
        if not metric and path.removeprefix(_MIG).startswith(PASSED):
            continue
        instance = instances.get(mig, "") if is_mig else ""
        series = 1000 * mig if is_mig else _SERIES.get(path, 0)
        rows.append((line_no, path, metric, text, name, instance, slot, series, document))
    return rows


def _boards(
    placed: pl.DataFrame, origin: Origin, lines: list[str]
) -> tuple[pl.DataFrame, list[tuple[int, str, str]]]:
    """Each board in its slot, from the first query that shows it there."""
    where = ["uuid", "pci", "slot"]
    # A query that lacks a GPU tells no slots: the others have not moved.
    known = [pl.col(name).forward_fill().over("serial").alias(name) for name in where]
    rows = (
        placed.sort("serial", "observed_at", "line_no")
        .with_columns(known)
        .with_columns(
            pl.any_horizontal(
                pl.int_range(pl.len()).over("serial") == 0,
                *[pl.col(name).ne_missing(pl.col(name).shift().over("serial")) for name in where],
            ).alias("is_new")
        )
        .filter("is_new")
        .with_columns(
            pl.col("observed_at").alias("valid_from"),
            pl.lit(None, GPUS.dtypes["valid_to"]).alias("valid_to"),
            pl.lit(origin.cluster).alias("cluster"),
            pl.lit(origin.node).alias("node"),
            pl.lit(origin.file).alias("file"),
            pl.lit(None, pl.String).alias("removal_reason"),
        )
        .select(GPUS.dtypes.names())
    )
    return refuse_broken(GPUS, GPUS.conform(rows), lambda n: lines[n - 1])


def _values(told: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Read each text as a value in its metric's unit; `problem` says which cannot be used."""
    text = pl.col("text").str.replace(r"(\d)x$|^(\d+) bank\(s\)$", "$1$2")
    bare = pl.col("metric").replace_strict(_BARE, default="", return_dtype=pl.String)
    read = (
        told.with_columns(
            pl.col("text").str.to_lowercase().alias("word"),
            text.str.extract(nvidia_smi.NUMBER, 1).cast(pl.Float64, strict=False).alias("number"),
            pl.coalesce(text.str.extract(nvidia_smi.NUMBER, 2), bare).alias("unit"),
        )
        .join(_WORDS, on=["metric", "word"], how="left", maintain_order="left")
        .join(_UNITS, on=["metric", "unit"], how="left", maintain_order="left")
    )
    value = pl.coalesce("said", pl.col("number") * pl.col("times") / pl.col("over"))
    return read.with_columns(
        pl.col("path").str.replace_all("/", ".").alias("source_name"),
        value.alias("value"),
        pl.lit(origin.cluster).alias("cluster"),
        pl.lit(origin.node).alias("node"),
        pl.lit("").alias("link"),
    ).with_columns(
        pl.when(pl.col("value").is_null())
        .then(pl.format("{}: {} cannot be read as {}", "source_name", "text", "metric"))
        .alias("problem")
    )


def _iso(stamp: str | None) -> str | None:
    """`Fri Aug  4 11:44:30 2023` as ISO text; any other text as it is."""
    match = _STAMP.fullmatch(stamp or "")
    if match is None or match[1] not in _MONTHS:
        return stamp
    month, day, clock, year = match.groups()
    return f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}T{clock}"


def sniff(head: str, name: str) -> int:
    """Surely, by the document's own element."""
    return 2 if "<nvidia_smi_log" in head and head.lstrip("\ufeff \t\r\n").startswith("<") else 0


SOURCE = Source(
    name="nvidia_smi_xml",
    title="nvidia-smi -q -x, one query or many",
    example="<nvidia_smi_log><timestamp>Mon Mar  2 10:15:04 2026</timestamp> ... <gpu_temp>41 C</gpu_temp>",
    makes=(GPUS, GPU_SAMPLES),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
