"""Damaged files of every source: nothing raises, no record is lost, the lake stays readable.

FAULTLEDGER_MUTATIONS says how many damaged inputs a source (20 in the suite, 10,000 by
`make mutations`). One in a hundred is a file by itself, the others come ninety-nine to a file, as
a collector that appends would leave them. Some more, each its own file, go through the whole
ingest into a lake that is read meanwhile.
"""

import os
import random
from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pytest
from lakes import take
from mutations import mutated
from test_crash import Reader
from test_sources import FOLDERS, ORIGIN, assert_keeps_promises, input_of

from flows.lake import Lake
from transforms.sources import SOURCES
from transforms.sources.base import Source
from transforms.tables import observed

PARSED = int(os.environ.get("FAULTLEDGER_MUTATIONS", "20"))
TOGETHER = 99
FILES = max(4, PARSED // 400)
BATCH = 500


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
def test_damaged_bytes_break_no_promise(source: Source):
    seeds = [input_of(case).read_bytes() for case in FOLDERS if case.parent.name == source.name]
    rng = random.Random(f"bytes {source.name}")
    totals: Counter[str] = Counter()
    left = PARSED
    for number in range(PARSED):
        some = [mutated(seeds, rng) for _ in range(min(left, TOGETHER) if number % 2 else 1)]
        parsed = source.parse(b"\n".join(some), ORIGIN)
        assert_keeps_promises(source, parsed)
        totals.update(records=parsed.records, accepted=parsed.accepted)
        totals.update(rejected=parsed.rejected, ignored=parsed.ignored)
        if not (left := left - len(some)):
            break
    assert totals["records"] == totals["accepted"] + totals["rejected"] + totals["ignored"]
    print(f"{source.name}: {PARSED} damaged inputs, {dict(totals)}")


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
def test_damaged_files_lose_no_record_and_raise_nothing(source: Source, tmp_path: Path):
    seeds = [input_of(case).read_bytes() for case in FOLDERS if case.parent.name == source.name]
    rng = random.Random(f"damage {source.name}")
    inbox, root = tmp_path / "inbox", tmp_path / "lake"
    inbox.mkdir()
    take(root, _inbox(inbox, seeds, "sound"), source=source.name)
    reader = Reader(root, ("SELECT count(*) FROM rejects", "SELECT count(*) FROM arrivals"))
    reader.start()
    totals: Counter[str] = Counter()
    for first in range(0, FILES, BATCH):
        some = [mutated(seeds, rng) for _ in range(min(BATCH, FILES - first))]
        report = take(root, _inbox(inbox, some, f"{first:05}"), source=source.name)
        for file in report.files:
            totals[file.status] += 1
            assert not [r for r in file.reasons if "fault: " in r], (file.file, file.reasons)
            assert file.records == file.accepted + file.rejected + file.ignored, file
            assert file.status != "read" or sum(file.reasons.values()) == file.rejected, file
    reader.is_done.set()
    reader.join()
    assert reader.failures == []
    assert sum(totals.values()) == FILES
    assert totals.keys() <= {"read", "refused", "already here", "skipped"}
    _assert_the_lake_adds_up(Lake(root), source)
    print(f"{source.name}: {dict(totals)}, {reader.reads} reads of the lake meanwhile")


def _inbox(folder: Path, files: list[bytes], name: str) -> Path:
    inside = folder / name
    inside.mkdir()
    for number, data in enumerate(files):
        (inside / f"input-{number:05}").write_bytes(data)
    return inside


def _assert_the_lake_adds_up(lake: Lake, source: Source) -> None:
    """Every arrival's records are accounted for, and each one it refused is a row of rejects."""
    arrivals = lake.read(observed.ARRIVALS)
    assert arrivals.filter(
        pl.col("records") != pl.col("accepted") + pl.col("rejected") + pl.col("ignored")
    ).is_empty()
    refused = lake.read(observed.REJECTS).group_by("sha256").agg(pl.len().alias("rows"))
    both = arrivals.filter(pl.col("rejected") > 0).join(refused, on="sha256", how="left")
    # Records refused for one reason on one line share a row.
    assert both.filter(pl.col("rows").is_null()).is_empty()
    for table in source.makes:
        for part in (lake.root / "observed" / table.name).rglob("*.parquet"):
            duckdb.sql(f"SELECT count(*) FROM '{part}'").fetchall()
