"""Hourly rollups, against plain Polars and numpy on the same samples, and what an hour rests on."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from transforms import heard, rollups
from transforms.recipes import Window
from transforms.tables import hourly as h
from transforms.tables import samples as s

H = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR, STEP = timedelta(hours=1), timedelta(seconds=60)
METRICS = ("gpu_temp_c", "pcie_replays", "row_remap_pending")


def samples(table, *parts):
    """Rows of `table`: of each (keys, instants, values by metric)."""
    frames = [
        pl.DataFrame(
            {"observed_at": list(at)} | {name: pl.Series(v, dtype=pl.Float64) for name, v in values.items()}
        ).with_columns(**{name: pl.lit(value) for name, value in keys.items()})
        for keys, at, values in parts
    ]  # fmt: skip
    rows = pl.concat(frames, how="diagonal")
    shape = [n for n in table.dtypes if n in rows.columns]
    return rows.select(pl.col(n).cast(table.dtypes[n]) for n in shape).sort(
        n for n in table.key if n in shape
    )


def gpu(number, node="n1", **more):
    return {"cluster": "c", "node": node, "gpu": f"g{number}", "gpu_instance": ""} | more


def random_hours(gpus=6, hours=3, seed=1):
    rng = np.random.default_rng(seed)
    instants = [H + STEP * k for k in range(60 * hours)]
    parts = []
    for number in range(gpus):
        size = len(instants)
        count = np.cumsum(rng.random(size) < 0.1).astype(float)
        restart = rng.integers(0, size)
        count[restart:] -= count[restart]
        values = {
            "gpu_temp_c": [None if x > 90 else x for x in rng.integers(40, 95, size).astype(float)],
            "pcie_replays": count,
            "row_remap_pending": (rng.random(size) < 0.05).astype(float),
        }
        parts.append((gpu(number, f"n{number // 2}"), instants, values))
    return samples(s.GPU_SAMPLES, *parts)


def hourly(gpu_samples=None, node_samples=None, link_samples=None, since=H, until=H + HOUR):
    frames = {
        "gpu_samples": gpu_samples,
        "node_samples": node_samples,
        "link_samples": link_samples,
    }
    empty = {t.name: t.empty() for t in s.ALL}
    given = {name: frame for name, frame in frames.items() if frame is not None}
    return rollups.hourly(Window(since, until, until), **(empty | given))


WINDOW = {"since": H, "until": H + 3 * HOUR}


@pytest.fixture(scope="module")
def some():
    return random_hours()


@pytest.fixture(scope="module")
def made(some):
    return hourly(some, **WINDOW)


@pytest.mark.parametrize(
    ("table", "by"),
    [
        ("gpu_hourly", ["node", "gpu"]),
        ("node_hourly", ["node"]),
        ("fleet_hourly", ["cluster"]),
    ],
)
def test_a_gauge_s_spread_is_that_of_the_raw_samples(some, made, table, by):
    hour = pl.col("observed_at").dt.truncate("1h").alias("hour_at")
    value = pl.col("gpu_temp_c")
    want = some.group_by(*by, hour).agg(
        value.count().cast(pl.UInt64).alias("samples"),
        value.min().alias("lowest"),
        value.mean().alias("mean"),
        value.max().alias("highest"),
        value.quantile(0.5, "linear").alias("p50"),
        value.quantile(0.99, "linear").alias("p99"),
    )
    found = made[table].filter(metric="gpu_temp_c").select(want.columns).sort(*by, "hour_at")
    for name in want.columns:
        column = want.sort(*by, "hour_at")[name]
        if column.dtype == pl.Float64:
            assert found[name].to_numpy() == pytest.approx(column.to_numpy(), rel=1e-12)
        else:
            assert found[name].equals(column)


def test_increases_of_hours_devices_nodes_and_the_fleet_add_up(some, made):
    """Together they are all steps of all counters; what came before a device's first sample is not."""
    step = pl.col("pcie_replays").diff().over("gpu")
    risen = pl.when(step < 0).then("pcie_replays").otherwise(step)
    want = some.select(risen.sum()).item()
    resets = some.select((step < 0).sum()).item()
    for table in ("gpu_hourly", "node_hourly", "fleet_hourly"):
        rows = made[table].filter(metric="pcie_replays")
        assert rows["increase"].sum() == want, table
        assert rows["resets"].sum() == resets
        assert rows["covered_ms"].sum() == 6 * (3 * 3600 - 60) * 1000


def test_a_flag_tells_its_ends_and_its_changes(some, made):
    flag = some.filter(gpu="g3", observed_at=pl.col("observed_at").clip(H, H + HOUR - STEP))
    values = flag["row_remap_pending"].to_list()
    (row,) = made["gpu_hourly"].filter(metric="row_remap_pending", gpu="g3", hour_at=H).iter_rows(named=True)  # fmt: skip
    assert (row["first"], row["last"], row["highest"]) == (values[0], values[-1], max(values))
    assert row["changes"] == sum(a != b for a, b in pairwise(values))
    assert (row["p50"], row["mean"], row["increase"]) == (None, None, None)


def together(parts, table):
    return pl.concat(part[table] for part in parts).sort(made_key(table))


def made_key(table):
    return next(t.key for t in h.ALL if t.name == table)


@pytest.mark.parametrize("table", [t.name for t in h.OF_SAMPLES])
def test_hours_made_apart_or_from_shuffled_rows_or_by_metric_are_the_same(some, made, table):
    shuffled = some.sample(fraction=1, shuffle=True, seed=3)
    hours = [H + HOUR * k for k in (2, 0, 1)]
    apart = [
        hourly(
            shuffled.filter(pl.col("observed_at").is_between(x - HOUR, x + HOUR, closed="left")),
            since=x,
            until=x + HOUR,
        )
        for x in hours
    ]
    assert together(apart, table).equals(made[table])
    keys = [n for n in some.columns if n not in METRICS]
    by_metric = [hourly(some.select(*keys, metric), **WINDOW) for metric in METRICS]
    assert together(by_metric, table).equals(made[table])


def test_instances_of_a_gpu_do_not_count_beside_it_in_the_fleet():
    at, values = [H, H + STEP], {"gpu_temp_c": [50.0, 50.0]}
    rows = samples(
        s.GPU_SAMPLES,
        (gpu(1), at, values),
        (gpu(1, gpu_instance="3"), at, {"gpu_temp_c": [90.0, 90.0]}),
    )
    (fleet,) = hourly(rows)["fleet_hourly"].iter_rows(named=True)
    assert (fleet["samples"], fleet["devices"], fleet["highest"]) == (2, 1, 50)


def test_a_reboot_between_two_samples_restarts_the_counters_of_the_node_s_links():
    booted = (H + 5 * STEP).timestamp()
    node = {"cluster": "c", "node": "n1"}
    nodes = samples(
        s.NODE_SAMPLES,
        (node, [H, H + 9 * STEP], {"boot_time_s": [booted - 86_400, booted + 0.4]}),
    )
    at = [H, H + 4 * STEP, H + 6 * STEP, H + 7 * STEP]
    links = samples(
        s.LINK_SAMPLES, (node | {"link": "mlx5_0/1"}, at, {"link_downed": [2, 2, 2, 3]})
    )
    (row,) = hourly(None, nodes, links)["link_hourly"].iter_rows(named=True)
    assert (row["increase"], row["resets"], row["is_lower_bound"]) == (3, 1, True)


def test_time_heard_ends_two_intervals_after_the_last_sample():
    at = [H + STEP * k for k in range(30)]
    rows = samples(s.GPU_SAMPLES, (gpu(1), at, {"gpu_temp_c": [1.0] * 30}))
    empty = {t.name: t.empty() for t in s.ALL}
    window = Window(H, H + 2 * HOUR, H + 2 * HOUR)
    (row,) = heard.heard(window, **(empty | {"gpu_samples": rows}))["heard_hourly"].iter_rows(named=True)  # fmt: skip
    assert (row["samples"], row["interval_ms"]) == (30, 60_000)
    assert row["covered_ms"] == (29 + 2) * 60_000
    assert (row["longest_gap_ms"], row["gap_ended_at"]) == (60_000, at[1])


def test_a_sample_just_before_the_hour_speaks_for_its_begin():
    at = [H - STEP, H + STEP, H + 2 * STEP]
    rows = samples(s.GPU_SAMPLES, (gpu(1), at, {"gpu_temp_c": [1.0] * 3}))
    empty = {t.name: t.empty() for t in s.ALL}
    (row,) = heard.heard(Window(H, H + HOUR, H), **(empty | {"gpu_samples": rows}))["heard_hourly"].iter_rows(named=True)  # fmt: skip
    assert row["covered_ms"] == (1 + 1 + 2) * 60_000
