"""What very many series measure, and on what: each name and each label text is read only once.

A scrape of a whole fleet may have millions of series of few names. What a series is about hangs on
its name (which metric) and on its labels (which thing), and only for the few metrics with a
`where` on both together: those are read one by one, exactly (`transforms/series.py`).
"""

from collections.abc import Iterable

import polars as pl

from transforms.metrics import claims
from transforms.series import (
    LONGEST_LABELS,
    NO_GPU,
    NO_LABELS,
    NO_PORT,
    NODE_NAMER,
    SLOT_NAMER,
    Place,
    place,
    read_all,
    too_long,
)
from transforms.series_places import placed_alike

SHAPE: dict[str, pl.DataType | type[pl.DataType]] = {
    "role": pl.String,
    "metric": pl.String,
    "times": pl.Float64,
    "over": pl.Float64,
    "blanks": pl.List(pl.Float64),
    "is_dcgm": pl.Boolean,
    "cluster": pl.String,
    "node": pl.String,
    "uuid": pl.String,
    "index": pl.String,
    "gpu_instance": pl.String,
    "link": pl.String,
    "series_problem": pl.String,
}
_NAMED: dict[str, pl.DataType | type[pl.DataType]] = {
    "name": pl.String,
    "kind": pl.String,
    **{name: SHAPE[name] for name in ("metric", "times", "over", "blanks", "is_dcgm")},
}
_PLACED: dict[str, pl.DataType | type[pl.DataType]] = {
    "labels": pl.String,
    "trouble": pl.String,
    **dict.fromkeys(Place._fields, pl.String),
}
NO_BLANKS = pl.lit([], pl.List(pl.Float64))


def one_by_one(heads: pl.DataFrame) -> pl.DataFrame:
    """The exact way: `heads` (name, labels) to SHAPE, a row a series, each read by itself."""
    found = read_all(heads.iter_rows())
    renamed = {"series_problem": "problem"}
    columns = {n: [getattr(one, renamed.get(n, n)) for one in found] for n in SHAPE}
    return pl.DataFrame(columns, schema=SHAPE)


def together(heads: pl.DataFrame) -> pl.DataFrame:
    """As `one_by_one`, for many series of few names."""
    names = heads["name"].unique().to_list()
    alone = [name for name in names if any(claim.metric.where for claim in claims(name))]
    numbered = heads.with_row_index("\x1f")
    is_alone = pl.col("name").is_in(alone)
    apart = numbered.filter(is_alone)
    plain = numbered.filter(~is_alone)
    told = pl.concat(
        [
            pl.concat([apart.select("\x1f"), one_by_one(apart.drop("\x1f"))], how="horizontal"),
            _joined(plain, _named(set(names) - set(alone)), _placed(plain["labels"].unique())),
        ]
    )
    return told.sort("\x1f").drop("\x1f")


def _named(names: Iterable[str]) -> pl.DataFrame:
    """What the name alone tells: a metric and its table, a namer, or nothing anybody knows."""
    rows: list[tuple[object, ...]] = []
    for name in names:
        found = next(iter(claims(name)), None)
        if name in (NODE_NAMER, SLOT_NAMER):
            rows.append((name, name, None, None, None, (), False))
        elif found is None:
            rows.append((name, "unknown", None, None, None, (), False))
        else:
            metric = found.metric
            is_dcgm = name.startswith("DCGM_")
            rows.append(
                (name, metric.table, metric.name, found.times, found.over, metric.blanks, is_dcgm)
            )
    return pl.DataFrame(rows, schema=_NAMED, orient="row")


def _placed(texts: pl.Series) -> pl.DataFrame:
    """What each label text tells, or why it cannot be read."""
    told, rest = placed_alike(texts)
    rows: list[tuple[str | None, ...]] = []
    for text in rest:
        if text and len(text) > LONGEST_LABELS:
            rows.append((text, too_long(text), *Place()))
        elif (found := place(text or "")) is None:
            rows.append((text, NO_LABELS, *Place()))
        else:
            rows.append((text, None, *found))
    columns = zip(*rows, strict=True) if rows else ((),) * len(_PLACED)
    alone = pl.DataFrame(dict(zip(_PLACED, columns, strict=True)), schema=_PLACED)
    trouble = pl.lit(None, pl.String).alias("trouble")
    return pl.concat([alone, *(one.with_columns(trouble).select(alone.columns) for one in told)])


def _joined(heads: pl.DataFrame, named: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    met = heads.join(named, on="name", how="left").join(
        placed, on="labels", how="left", nulls_equal=True
    )
    kind = pl.col("kind")
    problem = (
        pl.when(pl.col("trouble").is_not_null())
        .then("trouble")
        .when(
            kind == "gpu_samples",
            pl.col("uuid").is_null() & (pl.col("slot").fill_null("") == ""),
        )
        .then(pl.lit(NO_GPU))
        .when(kind == "link_samples", pl.col("device").fill_null("") == "")
        .then(pl.lit(NO_PORT))
    )
    is_metric = problem.is_null() & pl.col("metric").is_not_null()
    is_gpu = is_metric & (kind == "gpu_samples")
    is_slot_namer = problem.is_null() & (kind == SLOT_NAMER)
    role = (
        pl.when(problem.is_not_null())
        .then(pl.lit("unreadable"))
        .when(kind.is_in([NODE_NAMER, SLOT_NAMER]))
        .then(pl.lit("name"))
        .when(is_metric)
        .then(pl.lit("metric"))
        .otherwise(pl.lit("unknown"))
    )
    link = pl.when(pl.col("port").fill_null("") != "").then(pl.format("{}/{}", "device", "port"))
    is_node_namer = problem.is_null() & (kind == NODE_NAMER)
    return met.select(
        "\x1f",
        role.alias("role"),
        *(pl.when(is_metric).then(name).alias(name) for name in ("metric", "times", "over")),
        pl.when(is_metric).then("blanks").otherwise(NO_BLANKS).alias("blanks"),
        (is_metric & pl.col("is_dcgm")).alias("is_dcgm"),
        pl.when(is_metric).then("cluster").alias("cluster"),
        pl.when(is_metric).then("node").when(is_node_namer).then("nodename").alias("node"),
        pl.when(is_gpu | is_slot_namer).then("uuid").alias("uuid"),
        pl.when(is_gpu | is_slot_namer).then("slot").alias("index"),
        pl.when(is_gpu).then(pl.col("instance").fill_null("")).otherwise(pl.lit("")).alias("gpu_instance"),
        pl.when(is_metric & (kind == "link_samples"))
        .then(link.fill_null(pl.col("device")))
        .otherwise(pl.lit(""))
        .alias("link"),
        problem.alias("series_problem"),
    )  # fmt: skip
