"""Few late samples become a file of their own, until their hour is folded."""

import os
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import bytes_of
from test_sample_files import TABLE, frame

from flows import lates, warehouse
from flows.cli import main
from flows.derive import derive
from flows.encoding import write
from flows.lake import Lake
from transforms.folding import fold_samples, folded

COUNT = 3000
LABEL = "day=2026-03-02/hour=07"


@pytest.fixture(autouse=True)
def small_parts_count(monkeypatch):
    monkeypatch.setattr(lates, "ROWS_WORTH_IT", 1000)


def whole():
    rng = np.random.default_rng(3)
    return pl.concat(
        frame(node=node, power_w=np.round(rng.normal(600, 20, COUNT), 3)) for node in ("a", "b")
    )


def names(lake):
    return sorted(path.name for path in (lake.folder(TABLE) / LABEL).iterdir())


def told(lake):
    return folded(TABLE, [lake.read(TABLE)])


@pytest.mark.parametrize("nodes", [("a", "b"), ("e", "f")], ids=["before", "behind"])
def test_many_rows_lie_beside_their_hour_only_where_its_nodes_are_others(tmp_path, nodes):
    def of(*names):
        return pl.concat(whole().filter(node="a").with_columns(node=pl.lit(n)) for n in names)

    lake = Lake(tmp_path)
    lake.merge(TABLE, of("c", "d"))
    size = (lake.folder(TABLE) / LABEL / "part.parquet").stat().st_size
    assert lake.merge(TABLE, of(*nodes)) == 2 * COUNT
    assert names(lake) == [f"late-{size}-001.parquet", "part.parquet"]
    assert lake.merge(TABLE, of("c", "g")) == COUNT
    assert names(lake) == ["part.parquet"]
    assert told(lake).equals(folded(TABLE, [of("c", "d", "g", *nodes)]))


def test_few_late_rows_lie_beside_their_hour_and_are_there_for_every_reader(tmp_path):
    rows, lake = whole(), Lake(tmp_path)
    is_late = (np.arange(rows.height) % 100) < 3
    lake.merge(TABLE, rows.filter(~is_late))
    part = lake.folder(TABLE) / LABEL / "part.parquet"
    before = part.read_bytes()
    for i in range(3):
        mine = is_late & (np.arange(rows.height) % 100 == i)
        assert lake.merge(TABLE, rows.filter(mine)) == 60
    size = len(before)
    assert names(lake) == [*(f"late-{size}-00{i}.parquet" for i in (1, 2, 3)), "part.parquet"]
    assert part.read_bytes() == before
    assert told(lake).equals(folded(TABLE, [rows]))
    assert pl.scan_parquet(tmp_path / "observed/gpu_samples/*/*/*.parquet").collect().height == 6000
    warehouse.refresh(tmp_path)
    asked = "SELECT count(*), count(DISTINCT observed_at), sum(power_w) FROM gpu_samples"
    for is_sandbox in (False, True):
        answer = warehouse.query(tmp_path, asked, is_sandbox=is_sandbox).row(0)
        assert answer[:2] == (6000, COUNT)
        assert answer[2] == pytest.approx(rows["power_w"].sum(), rel=1e-12)
    assert lake.compact(TABLE) == 1
    Lake(tmp_path / "once").merge(TABLE, rows)
    assert names(lake) == ["part.parquet"]
    assert part.read_bytes() == next((tmp_path / "once").rglob("part.parquet")).read_bytes()
    assert lake.compact(TABLE) == 0


def test_rows_that_are_there_already_gain_nothing_wherever_they_lie(tmp_path):
    rows, lake = whole(), Lake(tmp_path)
    lake.merge(TABLE, rows[:-20])
    lake.merge(TABLE, rows[-20:-10])
    assert len(names(lake)) == 2
    assert lake.merge(TABLE, rows[-15:]) == 10  # five of them are in the late file
    assert names(lake) == ["part.parquet"]
    assert lake.merge(TABLE, rows[100:110]) == 0
    assert told(lake).equals(folded(TABLE, [rows]))


def test_a_late_row_that_says_more_replaces_the_one_that_is_there(tmp_path):
    rows, lake = whole(), Lake(tmp_path)
    lake.merge(TABLE, rows)
    more = rows[5:6].with_columns(xid_code=79.0)
    assert lake.merge(TABLE, more) == 0
    assert lake.read(TABLE).filter(pl.col("xid_code") == 79).equals(more)
    assert lake.read(TABLE).height == rows.height


def test_a_row_without_its_cluster_is_not_put_beside_the_one_that_names_it(tmp_path):
    rows, lake = whole(), Lake(tmp_path)
    lake.merge(TABLE, rows)
    assert lake.merge(TABLE, rows[7:9].with_columns(cluster=pl.lit(""))) == 0
    assert lake.read(TABLE).height == rows.height


def test_an_hour_is_folded_before_it_has_too_many_files(tmp_path):
    rows, lake = whole(), Lake(tmp_path)
    lake.merge(TABLE, rows[:-60])
    for i in range(lates.MOST + 2):
        lake.merge(TABLE, rows[rows.height - 60 + i : rows.height - 59 + i])
        assert len(names(lake)) <= lates.MOST + 1
    assert told(lake).height == rows.height - 60 + lates.MOST + 2


def test_a_fold_that_was_killed_before_it_cleared_up_counts_no_row_twice(tmp_path, monkeypatch):
    rows, lake = whole(), Lake(tmp_path)
    lake.merge(TABLE, rows[:-20])
    lake.merge(TABLE, rows[-20:])

    def killed(part):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lates, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            lake.compact(TABLE)
    assert len(names(lake)) == 2  # the late file of the part that is gone
    assert lake.read(TABLE).equals(folded(TABLE, [rows]))
    warehouse.refresh(tmp_path)
    assert warehouse.query(tmp_path, "SELECT count(*) FROM gpu_samples").item() == rows.height
    assert lake.merge(TABLE, rows[-30:]) == 0
    assert lake.read(TABLE).height == rows.height


def test_a_part_of_the_old_size_is_made_another_one(tmp_path):
    rows = folded(TABLE, [whole()])
    write(TABLE, rows, tmp_path / "a")
    write(TABLE, rows, tmp_path / "b", other_than=os.stat(tmp_path / "a").st_size)
    assert os.stat(tmp_path / "a").st_size != os.stat(tmp_path / "b").st_size
    assert pl.read_parquet(tmp_path / "a").equals(pl.read_parquet(tmp_path / "b"))


keys = st.tuples(
    st.sampled_from(["", "c"]), st.sampled_from(["n", "é", "n2"]), st.integers(0, 5), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(keys, max_size=25))
def test_samples_are_folded_fast_as_any_table_is_folded(said):
    clusters, nodes, instants, filled = map(list, zip(*said, strict=True)) if said else [[]] * 4
    rows = frame(power_w=[1.5 if is_filled else None for is_filled in filled]).with_columns(
        pl.Series("cluster", clusters, pl.String),
        pl.Series("node", nodes, pl.String),
        pl.lit("g").alias("gpu"),
        pl.Series("observed_at", instants, pl.Int64).cast(TABLE.dtypes["observed_at"]),
    )
    assert fold_samples(TABLE, rows).equals(TABLE.fold(rows))
    ordered = rows.sort(TABLE.key)
    assert fold_samples(TABLE, ordered).equals(TABLE.fold(rows))
    cut = ordered.height // 2
    assert folded(TABLE, [ordered[cut:], ordered[:cut]]).equals(folded(TABLE, [rows]))


@pytest.mark.parametrize("batches", [1, 7])
def test_rows_in_any_order_and_any_batches_make_the_same_bytes_once_folded(tmp_path, batches):
    rows = whole().sample(fraction=1, shuffle=True, seed=batches)
    lake = Lake(tmp_path / "some")
    for some in rows.iter_slices(-(-rows.height // batches)):
        lake.merge(TABLE, some)
    lake.compact(TABLE)
    Lake(tmp_path / "once").merge(TABLE, whole())
    assert bytes_of(tmp_path / "some", "observed") == bytes_of(tmp_path / "once", "observed")


def test_the_command_folds_and_deriving_folds_first(tmp_path, capsys):
    rows, root = whole(), tmp_path / "lake"
    for command in ("compact", "derive"):
        lake = Lake(root / command)
        lake.merge(TABLE, rows[:-20])
        lake.merge(TABLE, rows[-20:])
        plain = ["--plain"] * (command == "derive")
        assert main([command, *plain, "--lake", str(lake.root)]) == 0
        out = capsys.readouterr().out
        assert names(lake) == ["part.parquet"]
        assert lake.read(TABLE).equals(folded(TABLE, [rows]))
        assert command == "derive" or "gpu_samples: 1 hours folded" in out
    assert main(["compact", "--lake", str(tmp_path / "none")]) == 2


def test_what_is_derived_does_not_depend_on_what_came_late(tmp_path):
    rows = whole()
    for root, cuts in (("late", [0, 5900, 5950, 6000]), ("once", [0, 6000])):
        lake = Lake(tmp_path / root)
        for begin, end in pairwise(cuts):
            lake.merge(TABLE, rows[begin:end])
            derive(lake.root)
    assert bytes_of(tmp_path / "late", "derived") == bytes_of(tmp_path / "once", "derived")
