"""Label texts of one shape read column by column: millions of series of a fleet differ in values only.

    gpu="0",UUID="GPU-1f02...",Hostname="gpu-0417"

The shape is what stands between the values of one text. Each text of the same shape, with values of
plain letters, has the same labels in the same places; any other is left to `series.place`.
"""

import re
from collections.abc import Sequence

import polars as pl

from transforms.series import (
    BARE_UUID,
    LONGEST_LABELS,
    NODE_LABELS,
    NOWHERE,
    SLOT_LABELS,
    UUID_LABELS,
    read_labels,
)

WORTH_IT = 256
"""Texts; fewer are read one by one in less time than an expression takes to be made."""
MOST_SHAPES = 8  # of one scrape's metrics
_VALUE = re.compile(r'"[ !#-\[\]-~]*"')
_SHAPED = re.compile(r"[\w \t=,]*", re.ASCII)
_PLAIN = r'"([ !#-\[\]-~]*)"'


def placed_alike(texts: pl.Series) -> tuple[list[pl.DataFrame], pl.Series]:
    """Frames of `labels` and what `Place` tells of them, and the texts left to be read one by one."""
    told: list[pl.DataFrame] = []
    left: list[pl.Series] = []
    rest = texts
    for _ in range(MOST_SHAPES):
        if len(rest) < WORTH_IT:
            break
        first = rest[0]
        if (names := _names(first)) is None:
            left.append(rest[:1])
            rest = rest[1:]
            continue
        shape = "^" + _PLAIN.join(_VALUE.split(first)) + "$"
        values = rest.str.extract_groups(shape).struct.unnest()
        is_of_it = values.to_series().is_not_null() & (rest.str.len_bytes() <= LONGEST_LABELS)
        told.append(_places(names, values.filter(is_of_it), rest.filter(is_of_it)))
        rest = rest.filter(~is_of_it)
    return told, pl.concat([*left, rest])


def _names(text: str | None) -> list[str] | None:
    """The labels of a text, in order; None where its shape is none to look for in others."""
    if not text or len(text) > LONGEST_LABELS:
        return None
    between = _VALUE.split(text)
    labels = read_labels(text)
    is_plain = labels is not None and len(labels) == len(between) - 1 > 0
    if not is_plain or not all(_SHAPED.fullmatch(one) for one in between):
        return None
    return list(labels or ())


def _places(names: Sequence[str], values: pl.DataFrame, texts: pl.Series) -> pl.DataFrame:
    label = {name: pl.col(column) for name, column in zip(names, values.columns, strict=True)}
    absent = pl.lit(None, pl.String)

    def first(wanted: Sequence[str]) -> pl.Expr:
        there = [_filled(_host(name, label[name])) for name in wanted if name in label]
        return pl.coalesce(*there, absent)

    uuid = first(UUID_LABELS)
    is_bare = uuid.str.contains(f"^(?i:{BARE_UUID.pattern})$")
    return values.select(
        texts.alias("labels"),
        label.get("cluster", absent).alias("cluster"),
        first(NODE_LABELS).alias("node"),
        label.get("nodename", absent).alias("nodename"),
        pl.when(is_bare).then("GPU-" + uuid.str.to_lowercase()).otherwise(uuid).alias("uuid"),
        first(SLOT_LABELS).alias("slot"),
        label.get("GPU_I_ID", absent).alias("instance"),
        label.get("device", absent).alias("device"),
        label.get("port", absent).alias("port"),
    )


def _filled(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _host(name: str, value: pl.Expr) -> pl.Expr:
    """A label's value; of `instance`, an address, the host, unless it is where the exporter runs."""
    if name != "instance":
        return value
    host = value.str.replace(r":[0-9]+$", "")
    return pl.when(~host.is_in(list(NOWHERE))).then(host)
