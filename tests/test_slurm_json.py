"""Slurm's accounting as JSON says what its text form says, in every release's shape."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources import slurm_json, slurm_sacct
from transforms.sources.base import Origin
from transforms.tables.observed import JOB_ATTEMPTS

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC))
JOB = {
    "job_id": 7,
    "name": "pretrain",
    "allocation_nodes": 2,
    "cluster": "alpha",
    "nodes": "gpu[1-2]",
    "state": {"current": ["COMPLETED"], "reason": "None"},
    "time": {"submission": 1772434500, "start": 1772434560, "end": 1772438160, "limit": 60},
    "exit_code": {"status": ["SUCCESS"], "return_code": 0},
    "tres": {"allocated": [{"type": "gres", "name": "gpu", "count": 16}], "requested": []},
}


def dump(*jobs: object) -> bytes:
    return json.dumps({"jobs": jobs, "errors": []}).encode()


def parse(data: bytes):
    parsed = slurm_json.parse(data, ORIGIN)
    assert parsed.records == parsed.accepted + parsed.rejected
    assert parsed.rejects.height == parsed.rejected
    return parsed


def only_row(job: dict) -> dict:
    return parse(dump(job)).frames["job_attempts"].row(0, named=True)


@pytest.fixture(scope="module")
def both(shared_data) -> pl.DataFrame:
    """Each attempt of the live cluster from JSON, beside the same (`_right`) from its text form."""
    folder = shared_data / "slurm-live"
    told = slurm_json.parse((folder / "sacct.json").read_bytes(), ORIGIN)
    text = slurm_sacct.parse((folder / "sacct_all.psv").read_bytes(), ORIGIN)
    assert (told.records, told.accepted, told.rejected) == (70, 70, 0)
    return told.frames["job_attempts"].join(
        text.frames["job_attempts"], on=JOB_ATTEMPTS.key, how="full"
    )


def test_the_live_cluster_s_json_and_text_hold_the_same_attempts(both):
    assert both.height == 70
    assert both.filter(pl.col("job_id").is_null() | pl.col("job_id_right").is_null()).is_empty()


def test_columns_differ_only_where_the_scheduler_wrote_them_differently(both):
    names = set(JOB_ATTEMPTS.dtypes) - {"line_no", "file"}
    differ = {name: both.filter(pl.col(name).ne_missing(pl.col(f"{name}_right"))) for name in names}
    assert {name: rows.height for name, rows in differ.items() if rows.height} == {
        "cancelled_by": 2,
        "exit_code": 7,
        "signal": 7,
    }
    assert differ["cancelled_by"].select("cancelled_by", "cancelled_by_right").unique().rows() == [
        ("root", "0")
    ]
    lost = differ["exit_code"].select("state", "exit_code", "exit_code_right", "signal_right")
    assert lost.unique().rows() == [("FAILED", None, 1, 0)]


@pytest.mark.parametrize("data", [b"{", b'{"jobs": [', b"[" * 100_000, b'{"jobs": [' + b"9" * 9999])
def test_a_file_broken_from_the_start_is_one_reject_with_its_place(data):
    parsed = parse(data)
    assert (parsed.accepted, parsed.rejected) == (0, 1)
    assert "broken off at line 1, column" in parsed.rejects["reason"][0]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, len(dump(JOB, JOB)) - 1))
def test_a_cut_anywhere_is_one_reject_and_keeps_the_jobs_before_it(cut):
    two = dump({**JOB, "job_id": 1}, {**JOB, "job_id": 2})
    cut = min(cut, len(two) - 1)
    whole = sum(cut >= end for end in (two.index(b'}, {"job_id": 2') + 1, two.rindex(b"}], ") + 1))
    parsed = parse(two[:cut])
    assert (parsed.accepted, parsed.rejected) == (whole, 1)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(JOB)), inner=st.integers(0, 5), value=VALUES)
def test_any_value_in_any_place_is_a_row_or_a_reject(name, inner, value):
    place = JOB[name]
    if isinstance(place, dict):
        keys = sorted(place)
        value = {**place, keys[inner % len(keys)]: value}
    parsed = parse(dump({**JOB, name: value}, JOB))
    assert parsed.records == 2
    assert parsed.accepted >= 1


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200) | st.text(alphabet='{}[]",:jobs01 \n\\u').map(str.encode))
def test_arbitrary_bytes_never_raise(data):
    assert parse(data).accepted == 0


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        (60, 3600),
        ({"set": True, "infinite": False, "number": 60}, 3600),
        ({"set": False, "infinite": True, "number": 0}, None),
        ({"set": True, "infinite": True, "number": 0}, None),
        (4294967295, None),
        (4294967294, None),
        (None, None),
    ],
)
def test_a_number_reads_alike_in_every_shape(limit, seconds):
    assert only_row({**JOB, "time": {**JOB["time"], "limit": limit}})["time_limit_s"] == seconds


def test_half_a_character_is_replaced_and_refuses_nothing():
    assert only_row({**JOB, "name": "llm-\ud800"})["name"] == "llm-?"


def test_dumps_that_follow_one_another_are_both_read():
    two = dump(JOB) + b"\n" + dump({**JOB, "job_id": 8})
    assert parse(two).frames["job_attempts"]["job_id"].to_list() == ["7", "8"]


def test_errors_that_sacct_reports_are_a_reject_beside_the_jobs_that_came():
    said = {"jobs": [JOB], "errors": [{"description": "query cut short", "error_number": 7000}]}
    parsed = parse(json.dumps(said).encode())
    assert (parsed.accepted, parsed.rejected) == (1, 1)
    assert parsed.rejects["reason"].to_list() == ["sacct reports errors: query cut short"]


def test_the_queue_of_now_is_not_claimed():
    queue = '{"meta": {"plugin": {"type": "openapi/v0.0.38"}}, "jobs": [{"job_state": "RUNNING"}]}'
    assert slurm_json.sniff(queue, "squeue.json") == 0
    assert slurm_json.sniff(dump(JOB).decode(), "jobs.json") == 2
