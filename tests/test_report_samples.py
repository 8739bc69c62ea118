"""What the report says of samples is what the raw samples say, and what they leave unsaid is named."""

from datetime import date, timedelta

import polars as pl
import pytest
from lakes import at, rows
from test_report import answers

from flows import warehouse, weekly
from flows.derive import derive
from flows.lake import Lake
from transforms.metrics import BY_NAME
from transforms.report import render
from transforms.report.sample_parts import UNTOLD, amount
from transforms.sample_signs import SIGNS
from transforms.tables import observed, samples

MONDAY = date(2026, 3, 2)
WEEK = {"since": MONDAY, "until": MONDAY + timedelta(days=7)}
TEN = at("2026-03-02T10:00")
HEAT, BUSY = 0x20, 0x4


def series(gpu, node, minutes, **values):
    """Samples of one GPU at these minutes after ten; each value of the minute."""
    told = [
        {"cluster": "c", "node": node, "gpu": gpu, "gpu_instance": "", "slot": 0}
        | {"observed_at": TEN + timedelta(minutes=m)}
        | {name: value(m) for name, value in values.items()}
        for m in minutes
    ]
    return rows(samples.GPU_SAMPLES, *told)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Three nodes of two GPUs: one sampled each minute with a gap, one GPU each other minute with
    uncorrected errors and no power, a node of which nothing is known."""
    made = Lake(tmp_path_factory.mktemp("sampled") / "lake")
    nodes = [
        {"cluster": "c", "node": f"n{n}", "gpus": 2, "valid_from": at("2026-03-02T00:00")}
        for n in (1, 2, 3)
    ]
    made.merge(observed.NODES, rows(observed.NODES, *nodes))
    usual = {
        "gpu_util_ratio": lambda m: 0.9 if m < 60 else 0.3,
        "gpu_temp_c": lambda m: 60.0 + m % 7,
        "pcie_replays": lambda m: float(m // 50),
    }
    slowed = {"slowed_by_bits": lambda m: HEAT if m == 125 or 5 <= m < 20 else BUSY}
    with_power = {"power_w": lambda m: 400.0 + m}
    gap = [m for m in range(150) if not 70 <= m < 100]
    errors = {"ecc_uncorrected_volatile": lambda m: 0.0 if m < 90 else 3.0}
    parts = [
        series("GPU-a", "n1", range(150), **usual, **with_power, **slowed),
        series("GPU-b", "n1", gap, **usual, **with_power, **slowed),
        series("GPU-c", "n2", range(0, 150, 2), **usual, **errors),
    ]
    made.merge(samples.GPU_SAMPLES, pl.concat(parts))
    derive(made.root)
    return made


DIRECT = """
WITH spoken AS (
    SELECT *, time_bucket(INTERVAL 1 HOUR, observed_at) AS hour_at,
        least(epoch(lead(observed_at) OVER each_gpu - observed_at),
              2 * CASE gpu WHEN 'GPU-c' THEN 120 ELSE 60 END) AS next_s,
        coalesce(next_s, 2 * CASE gpu WHEN 'GPU-c' THEN 120 ELSE 60 END) / 3600 AS h
    FROM gpu_samples WINDOW each_gpu AS (PARTITION BY gpu ORDER BY observed_at)
),
hours AS (
    SELECT gpu, hour_at, sum(h) AS h, avg(gpu_util_ratio) AS util, avg(power_w) AS power
    FROM spoken GROUP BY ALL
)
SELECT sum(h) AS heard, sum(util * h) AS busy, sum(power * h) / 1e6 AS mwh,
    sum(h) FILTER (power IS NOT NULL) AS power_h FROM hours
"""


def test_hours_utilisation_and_energy_are_those_of_the_raw_samples(lake):
    said = {r["topic"]: r for r in warehouse.ask(lake.root, "week_samples", WEEK).to_dicts()}
    raw = warehouse.query(lake.root, DIRECT).row(0, named=True)
    assert said["coverage"]["value"] == pytest.approx(raw["heard"])
    assert said["busy"]["value"] == pytest.approx(raw["busy"])
    assert said["busy"]["whole"] == pytest.approx(raw["heard"])
    assert said["energy"]["value"] == pytest.approx(raw["mwh"])
    watts = raw["mwh"] * 1e6 / raw["power_h"]
    assert said["energy"]["reading"].startswith(f"{watts:,.0f} W on average")


def test_each_count_stands_beside_what_could_tell_it(lake):
    said = {
        r["topic"]: (r["value"], r["whole"], r["reading"])
        for r in warehouse.ask(lake.root, "week_samples", WEEK).to_dicts()
    }
    capacity = warehouse.query(lake.root, "SELECT sum(gpu_capacity_ms) / 3.6e6 AS h FROM exposure")
    assert said["coverage"][1] == pytest.approx(capacity["h"][0])
    assert said["nodes"][:2] == (1, 3)
    assert said["heat"] == (2, 2, None)
    assert said["ecc_uncorrected"] == (1, 1, "at least 3 errors")
    assert said["pcie"] == (3, 3, "at least 6 replays")
    assert {topic for topic, (value, *_) in said.items() if value is None} == {
        *("ecc_corrected", "rows", "nvlink", "links")
    }


def test_nodes_are_named_with_what_their_counters_rose_by(lake):
    found = warehouse.ask(lake.root, "week_sample_nodes", WEEK)
    assert found["node"].to_list() == ["n2", "n1"]
    first, second = found.rows(named=True)
    assert (first["ecc_uncorrected"], first["slowed_gpu_hours"]) == (3, None)
    assert (second["ecc_uncorrected"], second["slowed_gpu_hours"]) == (None, 4)
    assert (first["pcie_replays"], second["pcie_replays"]) == (2, 4)
    assert (second["hottest_c"], second["link_downs"]) == (66, None)


def test_hours_without_a_sample_have_no_row(lake):
    hours = warehouse.ask(lake.root, "week_sample_hours", WEEK)
    assert hours["hour_at"].to_list() == [TEN + timedelta(hours=n) for n in range(3)]
    assert hours["heard_gpu_hours"].sum() == pytest.approx(
        warehouse.query(lake.root, DIRECT)["heard"][0]
    )
    assert warehouse.ask(lake.root, "week_samples", before()).is_empty()


def before():
    return {"since": MONDAY - timedelta(days=7), "until": MONDAY}


def test_the_report_shows_them_and_says_what_was_not_observed(lake):
    made = weekly.weekly(lake.root, "2026-W10", at("2026-03-20T00:00"))
    html = made.paths["html"].read_text()
    for text in (html, made.markdown):
        assert "What telemetry saw" in text
        assert "1 of 3 nodes all week" in text
        assert "corrected ECC errors, remapped rows, NVLink errors, fabric ports of any." in text
    assert "| GPUs slowed by heat | 2 | 2 | 100.0 % |" in made.markdown
    assert "GPUs with NVLink errors" not in made.markdown
    assert 'id="samples"' in html
    assert "GPU-hours sampled, in each hour" in html


def test_a_lake_of_samples_alone_has_a_report(tmp_path):
    lake = Lake(tmp_path / "lake")
    lake.merge(samples.GPU_SAMPLES, series("GPU-a", "n1", range(30), power_w=lambda m: 500.0))
    derive(lake.root)
    made = weekly.weekly(lake.root, "2026-W10", at("2026-03-20T00:00"))
    assert "how many GPUs there were" in made.markdown
    assert "500 W on average" in made.markdown


def test_without_samples_there_is_no_such_part():
    empty = {name: frame.clear() for name, frame in answers().items() if "sample" in name}
    assert len(empty) == 3
    made = render(answers() | empty, *WEEK.values(), "Reliability report", "now")
    assert "What telemetry saw" not in made.html + made.markdown


def test_every_sign_of_a_gpu_or_a_link_is_asked_for(lake):
    asked = warehouse.query(lake.root, "SELECT DISTINCT kind, metric FROM sample_topics()")
    left_out = {"reset_asked", "fabric_unhealthy", "xid"}  # orders, states and codes of other parts
    known = {
        (sign.kind, name)
        for name, signs in SIGNS.items()
        for sign in signs
        if BY_NAME[name].table != "node_samples" and sign.kind not in left_out
    }
    assert set(asked.rows()) == known
    topics = warehouse.query(lake.root, "SELECT DISTINCT topic FROM sample_topics()")["topic"]
    assert {"busy", "energy", *topics} == set(UNTOLD)


@pytest.mark.parametrize("is_sandbox", [False, True])
def test_counts_of_distinct_things_are_not_rewritten(lake, is_sandbox):
    sql = "SELECT current_setting('disabled_optimizers') AS off"
    off = warehouse.query(lake.root, sql, is_sandbox=is_sandbox)["off"][0]
    assert off == "distinct_aggregate_rewrite"


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "-"), (3.0, "3"), (64_006.8, "64,007"), (73.19, "73.2"), (0.04361, "0.0436")],
)
def test_amounts_have_three_digits_or_all_before_the_point(value, said):
    assert amount(value) == said
