"""Training logs: exact fields on both ways of reading, begins and ends in any order."""

import json
import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources.base import Origin, Parsed
from transforms.sources.train_fields import FIELDS, FLAT, raw_fields
from transforms.sources.train_log import SOURCE

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC))
START = datetime(2026, 3, 2, 10, tzinfo=UTC)


def line(event: str, second: float = 0, **more: object) -> str:
    at = (START + timedelta(seconds=second)).isoformat()
    return json.dumps({"t": at, "run": "llm", "job_id": "7", "event": event, **more})


def read(*lines: str, origin: Origin = ORIGIN) -> Parsed:
    return SOURCE.parse("\n".join(lines).encode(), origin)


def rows(parsed: Parsed, table: str, *columns: str) -> list[tuple]:
    return parsed.frames[table].sort(columns, nulls_last=True).select(columns).rows()


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["llm", "step", "eval", "2026-03-02T10:00:00Z"])
)


@settings(max_examples=150, deadline=None)
@given(said=st.dictionaries(st.sampled_from([*FIELDS, "loss", "x t"]), VALUES))
def test_a_flat_line_reads_as_the_json_reader_would(said):
    fast = json.dumps(said, ensure_ascii=False)
    # A nested value that nobody reads sends the same object the slow way.
    slow = json.dumps({**said, "nested": []}, ensure_ascii=False)
    lines = pl.DataFrame({"line_no": [1, 2], "line": [fast, slow]}).cast({"line_no": pl.UInt32})
    assert not lines.filter(line_no=2)["line"].str.contains(FLAT).item()
    first, second = raw_fields(lines).select(*FIELDS, "trouble").rows()
    for name, a, b in zip(FIELDS, first, second, strict=False):
        is_number = a is not None and a[0] not in '"tf'
        assert a == b or (is_number and json.loads(a) == json.loads(b)), name
    assert first[-1] is second[-1] is None


@pytest.mark.parametrize(
    "text", ["", "null", "7", "[]", '{"t": 1,}', "{'t': 1}", '{"t": 01}', '{"t": 1} x', "{", '{"t": Infinity}']
)  # fmt: skip
def test_what_is_no_json_object_is_refused_as_such(text):
    parsed = read(line("job_start"), text, line("job_end", 1))
    assert parsed.accepted == 2
    assert parsed.rejects["reason"].to_list() == (["not a JSON object"] if text else [])


@pytest.mark.parametrize("tail", ["", ', "nested": []'])
def test_of_a_field_given_twice_the_first_counts(tail):
    twice = line("job_start", gpus=8)[:-1] + ', "gpus": 9' + tail + "}"
    assert rows(read(twice), "run_marks", "gpus") == [(8,)]


def test_a_value_in_a_text_is_not_taken_for_a_field():
    parsed = read(line("job_start", note='", "step": 5, "event": "finished'))
    assert rows(parsed, "run_marks", "kind", "note") == [
        ("job_start", '", "step": 5, "event": "finished')
    ]


def test_a_step_lasts_until_its_stamp():
    parsed = read(line("step", 60, step=3, seconds=12.345678, tokens=4096))
    began = START + timedelta(seconds=60 - 12.345678)
    assert rows(parsed, "steps", "step", "began", "ended", "tokens") == [
        (3, began, START + timedelta(seconds=60), 4096)
    ]


def test_begin_and_end_give_the_same_step_as_its_seconds():
    whole = read(line("step", 60, step=3, seconds=12.5))
    parts = read(line("step_begin", 47.5, step=3), line("step_end", 60, step=3))
    assert rows(whole, "steps", "step", "began", "ended") == rows(
        parts, "steps", "step", "began", "ended"
    )


def test_a_step_never_completed_leaves_no_row_and_is_no_fault():
    parsed = read(line("step_begin", 0, step=3))
    assert parsed.frames["steps"].is_empty()
    assert (parsed.records, parsed.accepted, parsed.rejected, parsed.ignored) == (1, 0, 0, 1)


@pytest.mark.parametrize("span", ["init", "data_wait", "eval"])
def test_a_span_that_never_ends_stays_open(span):
    assert rows(read(line(f"{span}_begin", 5)), "run_marks", "kind", "began", "ended") == [
        (span, START + timedelta(seconds=5), None)
    ]


def test_a_restore_that_never_ends_stays_open():
    assert rows(read(line("restore_begin", 5, step=9)), "checkpoints", "step", "block_ended") == [
        (9, None)
    ]


def test_attempts_and_clusters_keep_their_begins_to_themselves():
    parsed = read(
        line("init_begin", 0),
        line("init_end", 1, restart=1),
        line("init_end", 2, run="other"),
        line("init_end", 3, cluster="west"),
        line("init_end", 4, job_id=7),
    )
    assert rows(parsed, "run_marks", "began", "ended") == [(START, START + timedelta(seconds=4))]
    assert parsed.rejects["line_no"].to_list() == [2, 3, 4]


def test_the_cluster_is_the_files_word_before_the_callers():
    origin = Origin(file="x", modified=ORIGIN.modified, cluster="east")
    parsed = read(line("job_start"), line("job_end", 1, cluster="west"), origin=origin)
    assert rows(parsed, "run_marks", "cluster") == [("east",), ("west",)]


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(
        st.sampled_from(
            ["init_begin", "init_end", "step_begin", "step_end", "restore_begin", "restore_end",
             "checkpoint_begin", "checkpoint_unblocked", "checkpoint_durable", "checkpoint_failed",
             "eval", "finished", "nonsense"]
        ),
        max_size=25,
    ),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_order_of_lines_changes_nothing_and_none_is_lost(events, seed):
    lines = [line(e, i, step=i % 2, seconds=0.5) for i, e in enumerate(events)]
    shuffled = random.Random(seed).sample(lines, len(lines))
    one, other = read(*lines), read(*shuffled)
    for name, frame in one.frames.items():
        told = [c for c in frame.columns if c != "line_no"]
        assert frame.select(told).sort(told).equals(other.frames[name].select(told).sort(told))
    assert sorted(one.rejects["text"]) == sorted(other.rejects["text"])
    assert one.records == len(lines) == one.accepted + one.rejected + one.ignored
    open_steps = one.ignored
    begun = sum(e in ("init_begin", "restore_begin", "checkpoint_begin") for e in events)
    singles = sum(e in ("eval", "finished") for e in events)
    completed = len(one.frames["steps"])
    assert completed + open_steps == events.count("step_begin")
    found = len(one.frames["run_marks"]) + len(one.frames["checkpoints"])
    assert found == begun + singles


def test_a_million_steps_would_take_the_fast_way():
    lines = [line("step", i, step=i, seconds=1.5, tokens=10, restart=i // 9) for i in range(50)]
    assert pl.Series(lines).str.contains(FLAT).all()


@pytest.mark.parametrize(
    ("head", "sure"),
    [
        (line("job_start"), 2),
        ('{"t": 1, "run": "to', 0),
        (f'{{"torn": \n{line("step", step=1)}', 2),
        ('{"time": "2026-09-01T00:00:00Z", "job": "demo", "event": "start"}', 0),
        ("[1, 2]", 0),
        ("", 0),
    ],
)
def test_only_our_own_format_is_claimed(head, sure):
    assert SOURCE.sniff(head, "x.jsonl") == sure
