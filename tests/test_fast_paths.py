"""Runs of a million steps are read and judged fast; slowly, one by one, they must say the same."""

import json
from datetime import UTC, datetime
from random import Random

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledger_frames import DAY_S, account_frames, logged, mark, rows, save, step_rows
from polars.testing import assert_frame_equal
from test_ledger_properties import EXAMPLES, histories, history, window

from transforms import log_attempts
from transforms.ledger import fates
from transforms.ledger.blocks import blocks
from transforms.ledger.steps import fold_steps, one_row_a_step
from transforms.ledger.timeline import pack
from transforms.sources import step_lines
from transforms.sources.base import Origin
from transforms.sources.ml_goodput import SOURCE

ORIGIN = Origin(file="f", modified=datetime(2026, 3, 15, tzinfo=UTC))


@EXAMPLES
@given(histories, st.floats(0.1, 4))
@example(history(Random(1112725), 3), 3.0)  # the last step of a line passes midnight
def test_steps_claimed_together_are_accounted_as_each_by_itself(frames, horizon_days):
    when = window(0, 3, horizon_days * DAY_S)
    together = account_frames(when, frames)

    def by_itself(line, began, ended, marks, *rest):
        return blocks(line, began, ended, pack(line, began), *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fates, "blocks", by_itself)
        apart = account_frames(when, frames)
    for name in together:
        assert_frame_equal(together[name], apart[name])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, n) for n in (1, 4, 30, 12, 2)]), max_size=20))
def test_steps_are_folded_the_same_in_turn_and_in_any_order(drawn):
    steps = pl.DataFrame(
        [
            (line, step, began, began + took, tokens or None)
            for line, step, began, took, tokens in drawn
        ],
        schema=dict.fromkeys(("line", "step", "began", "ended", "tokens"), pl.Int64),
        orient="row",
    )
    key = ["line", "began", "step", "ended"]
    assert_frame_equal(one_row_a_step(steps).sort(key), fold_steps(steps).sort(key))


def one_by_one(steps, others, writer):
    usual = (pl.col("ended") - pl.col("began")).quantile(0.5, "lower")
    return steps.select(*writer, "restart", "began", "ended", "step").with_columns(
        last_step="step", usual=usual.over(*writer, pl.col("began").dt.date())
    )


def diary(rng: Random) -> dict[str, pl.DataFrame]:
    """Logs of three runs that crash, roll back, overlap, fall silent and pass midnight."""
    steps, marks, saves = [], [], []
    for run in ("a", "b", ""):
        now, step, restart = rng.uniform(0, 2 * DAY_S), 1, 0
        for _ in range(rng.randint(1, 5)):
            restart += rng.random() < 0.3
            who = {"run": run, "job_id": "", "restart": restart}
            made = step_rows(step, now, [rng.choice([1, 9, 10, 200])] * rng.randint(0, 9), **who)
            steps += made
            now = made[-1]["ended"] if made else now
            kind = rng.choice(["job_start", "init", "finished", "eval"])
            if rng.random() < 0.6:
                marks.append(mark(kind, rng.choice([now, now + 5, now - 15]), now + 6, **who))
            if made and rng.random() < 0.5:
                at = rng.choice(made)["began"] + rng.choice([0, 0.5])
                saves.append(logged(**{**save(step, at, at + 1, None), **who}))
            now += rng.choice([-5, 0, 0, 30, 61, 500, 5000, DAY_S])
            step = rng.choice([step, step + len(made), step + len(made) + 2])
    names = {"steps": steps, "run_marks": marks, "checkpoints": saves}
    return {name: rows(name, *told) for name, told in names.items()} | {
        "job_attempts": rows("job_attempts")
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_attempts_are_cut_the_same_from_stretches_and_from_single_steps(seed):
    frames, when = diary(Random(seed)), window(0, 9, 9 * DAY_S)
    fast = log_attempts.log_attempts(when, **frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_attempts, "stretches", one_by_one)
        slow = log_attempts.log_attempts(when, **frames)
    assert_frame_equal(fast, slow)


NUMBERS = st.sampled_from(
    ["0", "7", "07", "-1", "5.0", "1e3", "123456789012345678", "1234567890123456789", '"5"', "null"]
)
TIMES = st.sampled_from(
    ["1772445600", "1772445600.5", "1772445600.000001", "1772445600.1234567", "1772445600.", "1e9",
     "315532800", "315532799.999999", "4102444800", "4102444799.999999", "-1", "true", '"x"']
)  # fmt: skip
ENTRIES = st.one_of(
    st.tuples(NUMBERS, TIMES).map(
        lambda t: f'{{"job_name": "j", "step_count": {t[0]}, "step_start_time": {t[1]}}}'
    ),
    st.tuples(NUMBERS, TIMES).map(
        lambda t: f'{{"step_start_time":{t[1]},"job_name":"step_count","step_count":{t[0]}}}'
    ),
    st.sampled_from(
        ['{"job_name": "j", "job_start_time": 1772445599.5}', "{", "", "\r", "\ufeff{}", "\xe9",
         '{"job_name": "j", "job_end_time": 1772449999}', '{"step_count": 1, "step_start_time": 1772445601}',
         '{"job_name": "j\\u0041", "step_count": 1, "step_start_time": 1772445601}']
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(ENTRIES, max_size=12), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_shapes_say_of_a_line_what_the_slow_way_says(lines, end, is_closed):
    data = (end.join(lines) + end * is_closed).encode("latin-1", "replace")
    slow = SOURCE.parse(data, ORIGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_lines.read, "__defaults__", (0,))
        fast = SOURCE.parse(data, ORIGIN)
    for name, frame in slow.frames.items():
        assert_frame_equal(fast.frames[name], frame)
    assert_frame_equal(fast.rejects, slow.rejects)
    assert (fast.records, fast.accepted) == (slow.records, slow.accepted)


def test_plain_lines_are_shapes():
    """What the fast way is for goes the fast way."""
    lines = [
        json.dumps({"job_name": "j", "step_count": n, "step_start_time": 1772445600 + n / 8})
        for n in range(500)
    ]
    steps, left = step_lines.read(
        "\n".join(["{}", *lines]).encode(), ("job_name", "step_count", "step_start_time"), 0
    )
    assert left["line_no"].to_list() == [1]
    assert steps["step"].to_list() == list(range(500))
    assert (steps["at"] - steps["at"][0]).to_list() == [n * 125_000 for n in range(500)]
