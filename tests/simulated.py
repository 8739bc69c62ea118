"""A simulated fleet's files to observed and derived tables in memory, and sums to compare by.

Nothing is written: files are parsed and recipes run as `ingest` and `derive` do.
"""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import polars as pl

from transforms import recipes, tables
from transforms.ledger.readouts import Readouts, read_out
from transforms.recipes import Window
from transforms.simulate.formats.packing import unpack
from transforms.sources import SOURCES
from transforms.sources.base import Origin

LEDGER_KEY = ["day", "run", "leaf", "cause", "provisional"]

Frames = dict[str, pl.DataFrame]


def observe(files: Mapping[str, bytes], collected: datetime, cluster: str) -> Frames:
    """Every record as observed tables, folded and under the only named cluster."""
    parts: dict[str, list[pl.DataFrame]] = {table.name: [] for table in tables.OBSERVED}
    for name in sorted(files):
        if name.startswith("truth/") or name.endswith((".toml", ".md")):
            continue
        text = unpack(name, files[name])
        source = max(SOURCES, key=lambda source: source.sniff(text[:65_536], name))
        parsed = source.parse(text.encode(), Origin(file=name, modified=collected))
        for table, frame in parsed.frames.items():
            parts[table].append(frame)
    observed = {}
    for table in tables.OBSERVED:
        frame = pl.concat([table.empty(), *parts[table.name]])
        if "cluster" in frame.columns:
            frame = frame.with_columns(cluster=pl.lit(cluster))
        observed[table.name] = table.fold(frame)
    return observed


def derive(observed: Frames, windows: tuple[Window, ...]) -> Frames:
    """Every derived table, each recipe over every window before the next one reads it."""
    frames = dict(observed)
    for recipe in recipes.RECIPES:
        read = {table.name: frames[table.name] for table in recipe.reads}
        parts = [recipe.by(window, **read) for window in windows]
        if all(table.day is None for table in recipe.makes):
            parts = parts[:1]  # an undated table is made once, over everything
        for table in recipe.makes:
            made = pl.concat([part[table.name] for part in parts])
            frames[table.name] = made.sort(table.key)
    return frames


def summed(frame: pl.DataFrame, key: list[str], value: str) -> dict[tuple[object, ...], int]:
    rows = frame.with_columns(pl.col(pl.Enum, pl.Categorical).cast(pl.String))
    if "run" in key:
        rows = rows.with_columns(pl.col("run").fill_null(""))
    if "cause" in key:
        rows = rows.with_columns(pl.col("cause").fill_null(""))
    sums = rows.group_by(key).agg(pl.col(value).sum())
    return {row[:-1]: row[-1] for row in sums.filter(pl.col(value) != 0).iter_rows()}


def differences(
    found: dict[tuple[object, ...], int], true: dict[tuple[object, ...], int]
) -> list[str]:
    keys = sorted(found.keys() | true.keys(), key=str)
    return [
        f"{key}: found {found.get(key, 0)}, true {true.get(key, 0)}"
        for key in keys
        if found.get(key, 0) != true.get(key, 0)
    ]


def without(steps: pl.DataFrame, share: float, block: int, seed: int) -> pl.DataFrame:
    """The steps with about `share` of their records gone, in blocks of `block` that follow each other."""
    ordered = steps.sort("cluster", "run", "began")
    blocks = np.random.default_rng(seed).random(-(-len(ordered) // block)) < share
    return ordered.filter(~pl.Series(np.repeat(blocks, block)[: len(ordered)]))


def read_out_of(derived: Frames, run: str) -> Readouts:
    """A run's read-outs from its account."""
    account = derived["run_time"].filter(run=run)
    leaves = {str(leaf): ms for (leaf,), ms in summed(account, ["leaf"], "gpu_ms").items()}
    return read_out(leaves, account.filter("provisional")["gpu_ms"].sum())
