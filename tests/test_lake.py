"""The lake replaces whole files, folds what is said twice, and never shows a half."""

import io
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import at, bytes_of, moments_of, rows

from flows import partitions
from flows.atomic import publish, sweep
from flows.lake import Lake
from flows.snapshots import KEPT as SNAPSHOTS_KEPT
from flows.snapshots import snapshot
from transforms.contract import ContractError
from transforms.tables import derived, observed, samples

DOWN = {"node": "n1", "cluster": "c", "state": "DOWN", "began": at("2026-03-01T10:00")}


def down(**more):
    return rows(observed.NODE_STATES, DOWN | more)


def states(lake):
    return lake.read(observed.NODE_STATES)


def test_a_row_lies_in_the_folder_of_its_day(tmp_path):
    Lake(tmp_path).merge(observed.NODE_STATES, down())
    assert (tmp_path / "observed/node_states/day=2026-03-01/part.parquet").is_file()


def test_samples_lie_in_the_folder_of_their_hour(tmp_path):
    sample = rows(
        samples.NODE_SAMPLES,
        {"cluster": "c", "node": "n", "observed_at": at("2026-03-01T07:59:59")},
    )
    lake = Lake(tmp_path)
    lake.merge(samples.NODE_SAMPLES, sample)
    path = "observed/node_samples/day=2026-03-01/hour=07/part.parquet"
    assert (tmp_path / path).is_file()
    assert lake.read(samples.NODE_SAMPLES).equals(sample)


def test_a_bare_reader_sees_the_rows(tmp_path):
    Lake(tmp_path).merge(observed.NODE_STATES, down())
    glob = f"{tmp_path}/observed/node_states/*/*.parquet"
    assert duckdb.sql(f"SELECT node FROM '{glob}'").fetchall() == [("n1",)]
    assert pl.scan_parquet(glob).select("node").collect().item() == "n1"


def test_merging_again_changes_no_byte_and_no_time(tmp_path):
    lake = Lake(tmp_path)
    assert lake.merge(observed.NODE_STATES, down()) == 1
    before = moments_of(tmp_path, "observed")
    assert lake.merge(observed.NODE_STATES, down()) == 0
    assert moments_of(tmp_path, "observed") == before


def test_a_late_row_is_merged_into_its_day(tmp_path):
    lake = Lake(tmp_path)
    lake.merge(observed.NODE_STATES, down())
    assert lake.merge(observed.NODE_STATES, down(node="n0")) == 1
    assert states(lake)["node"].to_list() == ["n0", "n1"]


def test_an_end_learnt_later_replaces_the_open_interval_in_either_order(tmp_path):
    ended = down(ended=at("2026-03-02"), file="later")
    for order, root in (((down(), ended), "a"), ((ended, down()), "b")):
        for frame in order:
            Lake(tmp_path / root).merge(observed.NODE_STATES, frame)
    assert bytes_of(tmp_path / "a", "observed") == bytes_of(tmp_path / "b", "observed")
    assert states(Lake(tmp_path / "a"))["ended"].item() == at("2026-03-02")


@pytest.mark.parametrize("named_first", [True, False])
def test_a_record_without_its_cluster_is_the_named_one_in_either_order(tmp_path, named_first):
    unnamed = down(cluster="", ended=at("2026-03-02"), file="unnamed")
    for frame in (down(), unnamed) if named_first else (unnamed, down()):
        Lake(tmp_path).merge(observed.NODE_STATES, frame)
    assert states(Lake(tmp_path)).select("cluster", "ended").rows() == [("c", at("2026-03-02"))]


def test_a_record_without_its_cluster_is_dropped_when_two_clusters_could_be_meant(tmp_path):
    lake = Lake(tmp_path)
    lake.merge(observed.NODE_STATES, pl.concat([down(), down(cluster="d"), down(cluster="")]))
    assert states(lake)["cluster"].to_list() == ["c", "d"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "c"]),
            st.sampled_from(["n1", "n2"]),
            st.sampled_from([at("2026-03-01"), at("2026-03-02")]),
            st.sampled_from([None, at("2026-03-03"), at("2026-03-04")]),
            st.sampled_from(["f", "g"]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.randoms(),
)
def test_files_in_any_order_give_the_same_bytes(tmp_path_factory, said, chance):
    names = ("cluster", "node", "began", "ended", "file")
    frames = [down(**dict(zip(names, one, strict=True))) for one in said]
    one, other = (tmp_path_factory.mktemp("lake") for _ in range(2))
    for frame in frames:
        Lake(one).merge(observed.NODE_STATES, frame)
    chance.shuffle(frames)
    Lake(other).merge(observed.NODE_STATES, pl.concat(frames))
    assert bytes_of(one, "observed") == bytes_of(other, "observed")


def test_reading_a_stretch_gives_every_interval_that_overlaps_it(tmp_path):
    lake = Lake(tmp_path)
    lake.merge(
        observed.NODE_STATES,
        pl.concat(
            [
                down(node="open"),
                down(node="over", ended=at("2026-03-02")),
                down(node="into", ended=at("2026-03-05T01:00")),
                down(node="after", began=at("2026-03-06")),
                down(node="moment", began=at("2026-03-05"), ended=at("2026-03-05")),
            ]
        ),
    )
    found = lake.read(observed.NODE_STATES, at("2026-03-05"), at("2026-03-06"))
    assert found["node"].sort().to_list() == ["into", "moment", "open"]


def test_reading_a_stretch_opens_only_the_files_that_can_matter(tmp_path):
    lake = Lake(tmp_path)
    for day, ended in (("2026-03-01", "2026-03-02"), ("2026-03-03", "2026-03-09")):
        lake.merge(observed.NODE_STATES, down(began=at(day), ended=at(ended)))
    files = lake.files(observed.NODE_STATES, at("2026-03-05"), at("2026-03-06"))
    assert [path.parent.name for path in files] == ["day=2026-03-03"]


def test_a_table_never_written_reads_as_empty(tmp_path):
    frame = Lake(tmp_path).read(derived.GPU_TIME, at("2026-03-01"), at("2026-03-02"))
    assert frame.is_empty()
    assert frame.schema == derived.GPU_TIME.dtypes


def test_a_file_written_before_a_column_existed_still_reads(tmp_path):
    lake = Lake(tmp_path)
    lake.merge(observed.NODE_STATES, down(user="x"))
    (path,) = lake.files(observed.NODE_STATES)
    pl.read_parquet(path).drop("user").write_parquet(path)
    assert states(lake)["user"].to_list() == [None]


def sensitivity(*days, incidents=1):
    said = [{"day": at(day).date(), "gap_s": 180, "incidents": incidents} for day in days]
    return rows(derived.SENSITIVITY, *said)


def test_replacing_days_removes_the_days_that_have_no_rows_any_more(tmp_path):
    lake = Lake(tmp_path)
    first, last = at("2026-03-01"), at("2026-03-04")
    lake.replace(derived.SENSITIVITY, sensitivity("2026-03-01", "2026-03-02"), first, last)
    lake.replace(derived.SENSITIVITY, sensitivity("2026-03-02"), first, last)
    assert list(lake.partitions(derived.SENSITIVITY)) == ["day=2026-03-02"]


def test_replacing_leaves_other_days_alone(tmp_path):
    lake = Lake(tmp_path)
    day = at("2026-03-01")
    lake.replace(derived.SENSITIVITY, sensitivity("2026-03-01"), day, day + timedelta(days=1))
    lake.replace(
        derived.SENSITIVITY, derived.SENSITIVITY.empty(), at("2026-03-02"), at("2026-03-09")
    )
    assert lake.read(derived.SENSITIVITY).height == 1


def test_rows_that_break_the_contract_are_not_written(tmp_path):
    twice = pl.concat([sensitivity("2026-03-01"), sensitivity("2026-03-01", incidents=2)])
    with pytest.raises(ContractError, match=r"Not writing sensitivity .* primary_key"):
        Lake(tmp_path).replace(derived.SENSITIVITY, twice, at("2026-03-01"), at("2026-03-02"))
    with pytest.raises(ContractError, match="1 rows outside 2026-03-02"):
        Lake(tmp_path).replace(
            derived.SENSITIVITY, sensitivity("2026-03-01"), at("2026-03-02"), at("2026-03-03")
        )
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_writer_that_fails_leaves_the_former_file_and_no_draft(tmp_path):
    path = tmp_path / "table" / "part"
    publish(path, tmp_path / ".staging", lambda draft: draft.write_text("whole"))

    def torn(draft):
        draft.write_text("ha")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        publish(path, tmp_path / ".staging", torn)
    assert path.read_text() == "whole"
    assert not list((tmp_path / ".staging").iterdir())


def test_drafts_of_dead_processes_are_swept_and_those_of_living_ones_stay(tmp_path):
    leave = "import sys, os; from pathlib import Path; from flows.atomic import publish; "
    leave += (
        "publish(Path(sys.argv[1]) / 't/part', Path(sys.argv[1]) / '.s', lambda d: os._exit(0))"
    )
    subprocess.run([sys.executable, "-c", leave, str(tmp_path)], check=True)
    assert len(list((tmp_path / ".s").iterdir())) == 1

    def sweep_meanwhile(draft):
        sweep(tmp_path / ".s")
        assert draft.exists()
        draft.write_text("x")

    publish(tmp_path / "t" / "part", tmp_path / ".s", sweep_meanwhile)
    assert not list((tmp_path / ".s").iterdir())


def test_two_writers_of_one_table_wait_for_each_other(tmp_path):
    frames = [down(node=f"n{n}") for n in range(12)]
    threads = [
        threading.Thread(target=Lake(tmp_path).merge, args=(observed.NODE_STATES, frame))
        for frame in frames
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(Lake(tmp_path)).height == 12


def test_a_snapshot_keeps_its_moment_while_the_lake_goes_on(tmp_path):
    lake = Lake(tmp_path)
    lake.merge(observed.NODE_STATES, down())
    first = snapshot(lake).folder
    assert snapshot(lake).folder == first
    lake.merge(observed.NODE_STATES, down(node="n2"))
    second = snapshot(lake).folder
    counts = [
        pl.read_parquet(tmp_path / moment / "observed/node_states/*/part.parquet").height
        for moment in (first, second)
    ]
    assert counts == [1, 2]


def test_old_snapshots_go(tmp_path):
    lake = Lake(tmp_path)
    for n in range(SNAPSHOTS_KEPT + 3):
        lake.merge(observed.NODE_STATES, down(node=f"n{n}"))
        last = snapshot(lake).folder
    kept = sorted(int(path.name) for path in (tmp_path / ".snapshots").iterdir())
    assert kept == list(range(4, SNAPSHOTS_KEPT + 4))
    assert int(last.name) == kept[-1]


def test_landed_bytes_come_back_as_they_came(tmp_path):
    lake = Lake(tmp_path)
    data = b"\xff\x00 as it came"
    lake.land("kernel_log", "abc", lambda: io.BytesIO(data), len(data))
    assert lake.landed("kernel_log", "abc") == data


def test_columns_alone_are_the_same_rows_with_fewer_columns(tmp_path):
    lake = Lake(tmp_path)
    for day in (1, 2, 3):
        lake.merge(observed.NODE_STATES, down(began=at(f"2026-03-0{day}T10:00")))
    since, until = at("2026-03-02T00:00"), at("2026-03-03T00:00")
    for ends in ((None, None), (since, until), (None, until)):
        whole = lake.read(observed.NODE_STATES, *ends)
        some = lake.read(observed.NODE_STATES, *ends, columns={"state", "cluster"})
        assert some.equals(whole.select("cluster", "state"))
    assert lake.read(observed.OUTAGES, columns={"cause"}).schema == {"cause": pl.String}


def test_a_column_that_no_table_has_is_not_read_as_null(tmp_path):
    with pytest.raises(ValueError, match="node_states has no column moon"):
        Lake(tmp_path).read(observed.NODE_STATES, columns={"node", "moon"})


def test_files_from_before_the_tables_present_shape_are_read_beside_new_ones(tmp_path):
    """An older file lacks a column, one has a column no longer kept, one a narrower type."""
    lake = Lake(tmp_path)
    for day in (1, 2, 3, 4):
        lake.merge(observed.NODE_STATES, down(began=at(f"2026-03-0{day}T10:00"), user="ops"))
    whole = lake.read(observed.NODE_STATES)
    older = (
        lambda rows: rows.drop("user"),
        lambda rows: rows.with_columns(gone=1),
        lambda rows: rows.cast({"line_no": pl.UInt16}),
    )
    for path, change in zip(lake.partitions(observed.NODE_STATES).values(), older, strict=False):
        change(pl.read_parquet(path)).write_parquet(path)
        found = lake.read(observed.NODE_STATES)
        assert found.schema == whole.schema
        assert found.drop("user").equals(whole.drop("user"))
    assert found["user"].to_list() == [None, "ops", "ops", "ops"]
    assert lake.read(observed.NODE_STATES, columns={"user"})["user"].equals(found["user"])


def test_the_oldest_snapshot_becomes_the_newest_with_the_files_of_its_moment(tmp_path):
    lake = Lake(tmp_path / "lake")
    hours = [at(f"2026-03-02T{n:02}:00") for n in range(8)]
    for n, hour in enumerate(hours):
        told = {"cluster": "c", "node": "n", "observed_at": hour, "load_1m": float(n)}
        lake.merge(samples.NODE_SAMPLES, rows(samples.NODE_SAMPLES, told))
        if n == 6:
            lake.drop(samples.NODE_SAMPLES, ["day=2026-03-02/hour=00"])
        frozen = Lake(lake.root / snapshot(lake).folder)
        now, then = (one.partitions(samples.NODE_SAMPLES) for one in (lake, frozen))
        assert now.keys() == then.keys()
        assert all(now[label].samefile(path) for label, path in then.items())
        assert len(now) == n + (n < 6)
    kept = sorted(path.name for path in (lake.root / ".snapshots").iterdir())
    assert kept == ["5", "6", "7", "8"]


@pytest.mark.parametrize("days", [1, 2, 5])
def test_partitions_made_one_after_the_other_are_those_made_at_once(monkeypatch, days):
    table = samples.GPU_SAMPLES
    began = datetime(2026, 3, 2, tzinfo=UTC)
    instants = [began + timedelta(minutes=7 * (i * 37 % (days * 60))) for i in range(days * 60)]
    rows = pl.DataFrame(
        {table.day: pl.Series(instants, dtype=table.dtypes[table.day]), "n": range(len(instants))}
    )
    told = dict(partitions.split(table, rows))
    monkeypatch.setattr(partitions, "MOST_LOOKS", 0)
    at_once = dict(partitions.split(table, rows))
    assert list(told) == list(at_once)
    assert len(told) > 1
    for label, part in told.items():
        assert part.equals(at_once[label]), label
