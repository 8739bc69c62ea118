"""Hours in which a GPU did nothing, out of its samples; and the same in a lake, up to the ledger."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from lakes import take, write
from test_rollups import STEP, gpu, samples
from test_rollups import H as T0

from flows import warehouse
from flows.derive import derive
from flows.lake import Lake
from transforms import idleness
from transforms.recipes import Window
from transforms.tables import samples as s

HOUR = timedelta(hours=1)
MINUTES = [T0 + STEP * k for k in range(60)]
AT_REST = {"gpu_util_ratio": 0.0, "power_w": 71.0, "power_limit_w": 700.0}


def hour_of(*parts, hours=1):
    rows = samples(s.GPU_SAMPLES, *parts)
    made = idleness.idle_hours(Window(T0, T0 + hours * HOUR, T0), gpu_samples=rows)["idle_hourly"]
    return made.select("node", "hour_at", "gpus", "watched", "idle").rows()


def resting(at=MINUTES, **more):
    """Values of an idle GPU at `at`; where `more` gives a pair (minute, value) only that one differs."""
    values = {name: [value] * len(at) for name, value in AT_REST.items()}
    for name, told in more.items():
        if isinstance(told, tuple):
            minute, value = told
            values.setdefault(name, [0.0] * len(at))[minute] = value
        else:
            values[name] = [told] * len(at)
    return {name: value for name, value in values.items() if any(v is not None for v in value)}


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        pytest.param(resting(), (1, 1), id="at rest"),
        pytest.param(resting(gpu_util_ratio=(30, 0.03)), (1, 0), id="one sample of 3 %"),
        pytest.param(resting(power_w=(30, 300.0)), (1, 0), id="one sample of 300 W"),
        pytest.param(resting(power_w=340.0), (1, 0), id="utilisation stuck at 0 under load"),
        pytest.param(resting(gpu_util_ratio=1.0, power_w=150.0), (1, 0), id="hung in a collective"),
        pytest.param(resting(sm_active_ratio=(3, 0.4)), (1, 0), id="the profiler saw work"),
        pytest.param(resting(sm_active_ratio=0.004), (1, 1), id="the profiler's noise"),
        pytest.param(resting(gpu_util_ratio=None, graphics_active_ratio=0.0), (1, 1), id="one activity is enough"),
        pytest.param(resting(power_limit_w=None), (1, 1), id="no limit told"),
        pytest.param(resting(power_limit_w=None, power_w=250.0), (1, 0), id="no limit, 250 W"),
        pytest.param(resting(power_limit_w=100.0), (1, 0), id="71 of 100 W"),
        pytest.param(resting(power_limit_enforced_w=200.0), (1, 0), id="the limit in force counts"),
    ],
)  # fmt: skip
def test_an_hour_is_idle_in_every_sample_and_metric(values, counts):
    assert hour_of((gpu(1), MINUTES, values)) == [("n1", T0, 1, *counts)]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(gpu(1), MINUTES, resting(gpu_util_ratio=None))], id="no utilisation"),
        pytest.param([(gpu(1), MINUTES, resting(power_w=None))], id="no power"),
        pytest.param([(gpu(1), MINUTES[:20], resting(MINUTES[:20]))], id="stops at :20"),
        pytest.param([(gpu(1), MINUTES[15:], resting(MINUTES[15:]))], id="begins at :15"),
        pytest.param([(gpu(1), MINUTES[::30], resting(MINUTES[::30]))], id="polled every half hour"),
        pytest.param(
            [(gpu(1), MINUTES, resting()), (gpu(1, gpu_instance="3"), MINUTES, resting())], id="MIG"
        ),
    ],
)  # fmt: skip
def test_what_was_not_watched_throughout_is_not_told(parts):
    assert hour_of(*parts) == []


def by_hand(rows: pl.DataFrame, hour):
    """watched and idle of each node, GPU by GPU and sample by sample."""
    found: dict[str, list[int]] = {}
    for (node, _), own in rows.group_by("node", "gpu"):
        mine = own.sort("observed_at").filter(
            pl.col("observed_at").is_between(hour, hour + HOUR, closed="left")
        )
        if mine.is_empty():
            continue
        is_watched, is_idle, last = True, True, hour
        for row in mine.iter_rows(named=True):
            busy = [row[n] for n in idleness.ACTIVITY if row.get(n) is not None]
            power = [row[n] for n in idleness.POWER if row.get(n) is not None]
            is_idle &= all(b <= 0.01 for b in busy) and all(p <= 0.3 * 700 for p in power)
            if busy and power:
                is_watched &= row["observed_at"] - last <= timedelta(minutes=10)
                last = row["observed_at"]
        is_watched &= hour + HOUR - last <= timedelta(minutes=10)
        counts = found.setdefault(node, [0, 0, 0])
        for place, fact in enumerate((True, is_watched, is_watched and is_idle)):
            counts[place] += fact
    return sorted((node, *counts) for node, counts in found.items() if counts[1])


@pytest.mark.parametrize("seed", range(8))
def test_random_hours_are_counted_as_by_hand(seed):
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(10):
        gap = rng.choice([2, 9, 10, 11, 20])
        minutes = np.delete(np.arange(180), slice(at := rng.integers(0, 170), at + gap))
        some = rng.random(len(minutes)) < rng.choice([0, 0, 0.004])
        lacks = rng.random(len(minutes)) < rng.choice([0, 0.5])
        values = {
            "gpu_util_ratio": [None if x else float(y) for x, y in zip(lacks, some, strict=True)],
            "sm_active_ratio": np.where(some, 0.3, rng.choice([0.0, 0.005])),
            "power_w": np.where(rng.random(len(minutes)) < rng.choice([0, 0.01]), 600.0, 80.0),
            "power_limit_w": np.full(len(minutes), 700.0),
        }
        parts.append(
            (gpu(number, f"n{number // 3}"), [T0 + STEP * int(m) for m in minutes], values)
        )
    rows = samples(s.GPU_SAMPLES, *parts)
    shuffled = rows[rng.permutation(rows.height)]
    made = idleness.idle_hours(Window(T0, T0 + 3 * HOUR, T0), gpu_samples=shuffled)["idle_hourly"]
    assert made["idle"].sum() > 0
    for k in range(3):
        own = made.filter(pl.col("hour_at") == T0 + k * HOUR)
        assert own.select("node", "gpus", "watched", "idle").rows() == by_hand(rows, T0 + k * HOUR)


def test_hours_that_tell_the_same_are_one_spell_within_a_day():
    counts = [(8, 8, 0)] * 2 + [(8, 8, 3)] * 3 + [None] + [(8, 8, 3)] * 8 + [(8, 7, 3)]
    rows = [
        {"cluster": "c", "node": "n1", "hour_at": T0 + k * HOUR, "gpus": c[0], "watched": c[1], "idle": c[2]}
        for k, c in enumerate(counts) if c
    ]  # fmt: skip
    hourly = pl.DataFrame(rows, schema=idleness.IDLE_HOURLY.dtypes)
    since = T0.replace(hour=0)
    made = idleness.idle_spells(
        Window(since, since + timedelta(days=2), T0), idle_hourly=hourly[::-1]
    )["idle_spells"]
    told = [
        (began.hour, (ended - began) // HOUR, *counts)
        for began, ended, *counts in made.select("began", "ended", "gpus", "watched", "idle").rows()
    ]
    assert told == [
        (10, 2, 8, 8, 0), (12, 3, 8, 8, 3), (16, 8, 8, 8, 3), (0, 1, 8, 7, 3),
    ]  # fmt: skip


SACCT = """JobID|Cluster|Submit|Eligible|Start|End|State|ExitCode|NNodes|NodeList|AllocTRES
1|c|2026-03-02T09:30:00|2026-03-02T09:30:00|2026-03-02T09:30:00|2026-03-02T13:00:00|COMPLETED|0:0|1|n1|billing=2,gres/gpu=2,node=1
"""
SPENT = "SELECT leaf, evidence, sum(gpu_ms)::BIGINT FROM gpu_time WHERE run <> '' GROUP BY ALL ORDER BY ALL"


def put(lake, *parts):
    """Samples into the lake as an ingest would put them: with all columns of their table."""
    rows = samples(s.GPU_SAMPLES, *parts)
    lake.merge(s.GPU_SAMPLES, pl.concat([s.GPU_SAMPLES.empty(), rows], how="diagonal"))


def test_a_lake_with_samples_tells_what_one_without_them_cannot(tmp_path):
    """A job of two GPUs that logs nothing: from 10:00 on one of them idles, from 11:00 on both."""
    lake = Lake(tmp_path / "lake")
    take(lake.root, write(tmp_path / "in", {"sacct.psv": SACCT}))
    derive(lake.root)
    before = warehouse.query(lake.root, SPENT).rows()
    assert before == [("not_measured", "scheduler", 2 * 12_600_000)]
    at = [T0 + STEP * k for k in range(150)]
    working = np.where(np.arange(150) < 60, 0.9, 0.0)
    put(lake, (gpu(0), at, resting(at)), (gpu(1), at, resting(at) | {"gpu_util_ratio": working}))
    made = derive(lake.root)
    assert made.rows["idle_hourly"] == 2  # the third hour is not sampled to its end
    assert warehouse.query(lake.root, SPENT).rows() == [
        ("not_measured", "scheduler", 2 * 12_600_000 - 3 * 3_600_000),
        ("not_measured", "telemetry", 3 * 3_600_000),
    ]
    assert derive(lake.root).made == 0
    more = [T0 + STEP * k for k in range(150, 180)]
    put(lake, *((gpu(k), more, resting(more)) for k in (0, 1)))
    derive(lake.root)
    assert warehouse.query(lake.root, SPENT).rows()[1] == (
        "not_measured",
        "telemetry",
        5 * 3_600_000,
    )
