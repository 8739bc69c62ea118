"""Counters: the worked example, every way in which a counter misleads, and the exact slow twin."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import counters, sample_loops
from transforms.counters import (
    FIRST,
    FULL,
    HOUR_US,
    OTHER_BOARD,
    RESET,
    TWICE,
    WRAP,
    Rule,
    rises,
    rule,
)
from transforms.metrics import BY_NAME

S = 1_000_000
PLAIN = Rule()
NAN = math.nan


def seen(values, rule=PLAIN, at=None, boot=None, device=None, period=HOUR_US):
    rows = len(values)
    return rises(
        np.array(at if at is not None else [15 * S * i for i in range(rows)], np.int64),
        np.array(values, np.float64),
        np.array(device if device is not None else [0] * rows, np.int64),
        rule,
        None if boot is None else np.array(boot, np.float64),
        period,
    )


def slowly(at, value, device, rule, boot, period):
    """The rules of `counters`, one row at a time."""
    rise, since, marks = [], [], []
    held: dict[int, tuple[int, float]] = {}
    booted: dict[int, float] = {}
    for i, (t, v, who) in enumerate(zip(at, value, device, strict=True)):
        answer = (NAN, -1, 0)
        if not math.isnan(v):
            told = boot[i] if boot and not math.isnan(boot[i]) else None
            old = booted.get(who)
            is_new = told is not None and old is not None and abs(told - old) > 60
            last = held.get(who)
            if last and period and last[0] < (t // period - 1) * period:
                last = None
            keep = True
            if last is None:
                answer = (NAN, -1, FIRST)
            elif last[0] == t:
                answer = (max(v - last[1], 0.0), t, TWICE)
                keep = v > last[1]
            elif rule.is_kept_on_board:
                fell = v < last[1]
                answer = (NAN, -1, OTHER_BOARD) if fell else (v - last[1], last[0], 0)
            elif is_new:
                answer = (v, last[0], RESET)
            elif v >= last[1]:
                answer = (v - last[1], last[0], FULL if v == rule.sticks_at else 0)
            else:
                around = v + rule.wraps_at - last[1]
                if around <= rule.fastest_per_s / 1e6 * (t - last[0]):
                    answer = (around, last[0], WRAP)
                else:
                    answer = (v, last[0], RESET)
            if keep:
                held[who] = (t, v)
                if told is not None:
                    booted[who] = told
        rise.append(answer[0])
        since.append(answer[1])
        marks.append(answer[2])
    return rise, since, marks


def test_x26_a_fall_is_a_reset_and_counts_from_nought(golden):
    found = seen([100, 105, 3, 7])
    want = golden["X26_reset"]
    assert np.nansum(found.rise) == want["increase"]
    assert (found.marks & RESET > 0).sum() == want["resets"]
    assert counters.LOWER_BOUND & RESET


@pytest.mark.parametrize(
    ("values", "how", "rise", "marks"),
    [
        pytest.param([5], {}, [NAN], [FIRST], id="the first sample says nothing"),
        pytest.param([5, NAN, 9], {}, [NAN, NAN, 4], [FIRST, 0, 0], id="a hole is stepped over"),
        pytest.param(
            [7, 7, 9],
            {"boot": [1000, 1000, 5000]},
            [NAN, 0, 9],
            [FIRST, 0, RESET],
            id="a reboot restarts without a fall",
        ),
        pytest.param(
            [7, 9],
            {"boot": [1000, 1000.4]},
            [NAN, 2],
            [FIRST, 0],
            id="a boot time that wavers is one boot",
        ),
        pytest.param(
            [7, 9, 2],
            {"boot": [1000, 5000, 5000], "rule": rule("ecc_uncorrected_aggregate")},
            [NAN, 2, NAN],
            [FIRST, 0, OTHER_BOARD],
            id="an aggregate survives a reboot, and falls only with the board",
        ),
        pytest.param(
            [2**32 - 10, 5],
            {"rule": rule("out_of_sequence")},
            [NAN, 15],
            [FIRST, WRAP],
            id="a known width wraps",
        ),
        pytest.param(
            [100, 5],
            {"rule": rule("out_of_sequence")},
            [NAN, 5],
            [FIRST, RESET],
            id="a wrap beyond all speed is a reset",
        ),
        pytest.param(
            [2**32 - 10, 5], {}, [NAN, 5], [FIRST, RESET], id="an unknown width never wraps"
        ),
        pytest.param(
            [65_530, 65_535, 65_535],
            {"rule": rule("symbol_errors")},
            [NAN, 5, 0],
            [FIRST, FULL, FULL],
            id="a full counter is not quiet",
        ),
        pytest.param(
            [65_530, 65_540],
            {"rule": rule("symbol_errors")},
            [NAN, 10],
            [FIRST, 0],
            id="a wide one passes the limit",
        ),
        pytest.param(
            [5, 8, 6, 9],
            {"at": [0, 15 * S, 15 * S, 30 * S]},
            [NAN, 3, 0, 1],
            [FIRST, 0, TWICE, 0],
            id="of one instant's two values the larger counts",
        ),
        pytest.param(
            [5, 8, 9],
            {"at": [0, HOUR_US, 3 * HOUR_US]},
            [NAN, 3, NAN],
            [FIRST, 0, FIRST],
            id="beyond the hour before, nothing is known",
        ),
        pytest.param(
            [5, 8], {"device": [0, 1]}, [NAN, NAN], [FIRST, FIRST], id="devices are apart"
        ),
    ],
)
def test_a_counter_is_read_as_the_methods_say(values, how, rise, marks):
    found = seen(values, **how)
    assert np.array_equal(found.rise, np.array(rise, float), equal_nan=True)
    assert found.marks.tolist() == marks


def test_every_rule_is_one_of_a_counter_that_there_is():
    named = {*counters._INFINIBAND_LIMITS, *counters._ADAPTER_COUNTERS}
    assert {BY_NAME[name].kind for name in named} == {"counter"}
    kept = {n for n, m in BY_NAME.items() if m.kind == "counter" and rule(n).is_kept_on_board}
    assert {"ecc_corrected_aggregate", "remapped_rows_uncorrected", "retired_pages_dbe"} <= kept
    assert not any("volatile" in name for name in kept)


RULES = (
    Rule(),
    Rule(is_kept_on_board=True),
    Rule(sticks_at=7.0),
    Rule(wraps_at=8.0, fastest_per_s=0.2),
)
sample = st.tuples(
    st.integers(0, 2),
    st.sampled_from((0, 1, 15, 3599, 3600, 7200)),
    st.one_of(st.integers(0, 8).map(float), st.just(NAN)),
    st.sampled_from((NAN, 1000.0, 1000.5, 2000.0)),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(sample, max_size=30), st.sampled_from(RULES), st.booleans(), st.booleans())
def test_the_fast_way_is_the_slow_way(samples, rule, has_boot, has_period):
    """Steps in time accumulate within each device; values are few, so that all rules are met."""
    samples = sorted(samples, key=lambda s: s[0])
    device = [s[0] for s in samples]
    at = (np.cumsum([s[1] for s in samples]) * S).astype(int).tolist() if samples else []
    value, boot = [s[2] for s in samples], [s[3] for s in samples] if has_boot else None
    period = HOUR_US if has_period else 0
    found = seen(value, rule, at, boot, device, period)
    rise, since, marks = slowly(at, value, device, rule, boot, period)
    assert np.array_equal(found.rise, np.array(rise, float), equal_nan=True)
    assert (found.since_us.tolist(), found.marks.tolist()) == (since, marks)


values = st.lists(st.one_of(st.just(NAN), st.integers(-3, 3).map(float), st.floats(-9, 9)))


@settings(deadline=None, max_examples=200)
@given(st.lists(values, min_size=1, max_size=5))
def test_spreads_are_those_of_numpy(groups):
    orders = np.array([0.5, 0.99])
    starts = np.cumsum([0, *map(len, groups)]).astype(np.int64)
    counts, found = sample_loops.spread_of(
        np.array([v for g in groups for v in g], float), starts, orders
    )
    for n, column, group in zip(counts, found.T, groups, strict=True):
        known = [v for v in group if not math.isnan(v)]
        assert n == len(known)
        if not known:
            assert np.isnan(column).all()
            continue
        want = [min(known), sum(known) / len(known), max(known), *np.quantile(known, orders)]
        assert column == pytest.approx(want, rel=1e-12, abs=1e-12)


def test_marks_are_the_same_on_both_sides():
    names = ("FIRST", "RESET", "WRAP", "FULL", "OTHER_BOARD", "TWICE")
    assert all(getattr(counters, n) == getattr(sample_loops, n) for n in names)
