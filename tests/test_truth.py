"""The whole derivation against the simulator's truth: sample_data in, every conclusion compared.

The truth was kept by the simulator while it made the history and shares no code with the
transforms. Counts must be equal, the ledger equal to the millisecond, rates within their
intervals. Nothing is written: files are parsed and recipes run in memory.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from scipy.stats import chi2
from simulated import (
    LEDGER_KEY,
    Frames,
    derive,
    differences,
    observe,
    read_out_of,
    summed,
    without,
)

from transforms import tables
from transforms.recipes import Window
from transforms.simulate import SAMPLE
from transforms.studies import Asked
from transforms.studies.suspects import STUDY, suspects
from transforms.tables.derived import INTERRUPTIONS

SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample_data"
SINCE, UNTIL = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC)
WINDOW = Window(since=SINCE, until=UNTIL, horizon=UNTIL)
MAIN = SAMPLE.main.run
LOGGED = [MAIN, *(plan.run for plan in SAMPLE.mids)]
MOMENTS = [
    *("failed_at", "detected_at", "decided_at"),
    *("allocated_at", "started_at", "restored_at", "resumed_at"),
]


@pytest.fixture(scope="module")
def observed() -> Frames:
    files = {
        path.relative_to(SAMPLE_DATA).as_posix(): path.read_bytes()
        for path in SAMPLE_DATA.rglob("*")
        if path.is_file()
    }
    return observe(files, UNTIL, SAMPLE.cluster)


@pytest.fixture(scope="module")
def derived(observed: Frames) -> Frames:
    return derive(observed, (WINDOW,))


def truth(name: str) -> pl.DataFrame:
    """One table of truth/, with its instants as instants."""
    frame = pl.read_csv(SAMPLE_DATA / "truth" / name, infer_schema_length=None)
    instants = [c for c in frame.columns if c.endswith("_at") or c in ("began", "submitted")]
    return frame.with_columns(
        *(pl.col(c).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_zone="UTC") for c in instants),
        *(pl.col(c).str.to_date() for c in frame.columns if c == "day"),
        *(pl.col(c).cast(pl.String) for c in frame.columns if c == "run"),
    ).with_columns(pl.col(c).dt.cast_time_unit("us") for c in instants)


def failures_of(derived: Frames) -> pl.DataFrame:
    """Incidents that count, under the coalescing definition, with `class` as text."""
    return derived["incidents"].filter(
        pl.col("counts") & (pl.col("definition") == "coalesced-180s")
    )


@pytest.mark.parametrize("table", ["gpu_time", "run_time"])
def test_the_ledger_equals_the_truth_to_the_millisecond(derived: Frames, table: str):
    found = summed(derived[table], LEDGER_KEY, "gpu_ms")
    true = summed(truth(f"{table}.csv"), LEDGER_KEY, "gpu_ms")
    assert differences(found, true)[:20] == []


@pytest.mark.parametrize("block", [1, 50, 500])
def test_with_a_tenth_of_the_step_records_gone_the_truth_lies_within_the_bounds(
    observed: Frames, derived: Frames, block: int
):
    """At least: all unknown time lost, and what no checkpoint holds; at most: all of it kept."""
    steps = without(observed["steps"], 0.1, block, seed=3)
    found = derive(observed | {"steps": steps}, (WINDOW,))
    true = truth("run_time.csv")
    for run in LOGGED:
        own = true.filter(pl.col("run") == run)
        kept = own.filter(pl.col("leaf").is_in(["ideal", "slow"]))["gpu_ms"].sum()
        said = read_out_of(found, run)
        assert said.goodput_lo <= kept / own["gpu_ms"].sum() <= said.goodput_hi
        assert found["run_time"].filter(run=run)["gpu_ms"].sum() == own["gpu_ms"].sum()
    assert found["gpu_time"]["gpu_ms"].sum() == derived["gpu_time"]["gpu_ms"].sum()
    assert read_out_of(found, MAIN).coverage < read_out_of(derived, MAIN).coverage


def test_the_clocks_equal_the_truth_to_the_millisecond(derived: Frames):
    true = truth("exposure.csv")
    found = derived["exposure"].select(true.columns)
    by = ["day", "node"]
    assert found.sort(by).rows() == true.sort(by).rows()


def test_every_planted_failure_is_one_incident_that_counts_and_nothing_else_is(derived: Frames):
    found = failures_of(derived)
    planted = truth("incidents.csv")
    assert Counter(found["class"].cast(pl.String)) == Counter(planted["class"])
    # An incident begins with its first sign: the kernel's, or the state of a node that fell silent.
    # Some logs stamp whole seconds, so it may stand a second early.
    pairs = (
        planted.with_columns(pl.col("began").dt.truncate("1s"))
        .sort("began")
        .join_asof(
            found.sort("began").select("began", "node", "class", "incident", found_at="began"),
            on="began",
            by=["node"],
            strategy="forward",
            tolerance="6m",
            check_sortedness=False,
        )
    )
    missed = pairs.filter(
        pl.col("incident_right").is_null()
        | (pl.col("class_right").cast(pl.String) != pl.col("class"))
    )
    assert missed.select("began", "mode", "node", "class_right").rows() == []
    assert pairs["incident_right"].n_unique() == len(planted)


def test_interruptions_equal_the_truth_in_every_instant(derived: Frames):
    true = truth("interruptions.csv").filter(pl.col("run").is_in(LOGGED))
    found = derived["interruptions"].filter(pl.col("run").is_in(LOGGED))
    columns = ["run", "job_id", "submitted", "state", *MOMENTS, "planned", "gpus", "lost_from_step"]
    by = ["run", "failed_at"]
    cast = {"job_id": pl.String, "gpus": pl.Int64}
    assert (
        found.select(columns).cast(cast).sort(by).rows()
        == true.select(columns).cast(cast).sort(by).rows()
    )


def test_each_interruption_is_laid_to_its_true_cause_and_node(derived: Frames):
    true = truth("interruptions.csv").filter(pl.col("run").is_in(LOGGED) & ~pl.col("planned"))
    found = derived["interruptions"].filter(pl.col("run").is_in(LOGGED) & ~pl.col("planned"))
    nodes = derived["incidents"].select("incident", "node")
    blamed = found.join(nodes, on="incident", how="left").select(
        "run", "failed_at", pl.col("cause").cast(pl.String), "node"
    )
    by = ["run", "failed_at"]
    assert (
        blamed.sort(by).rows() == true.select("run", "failed_at", "class", "node").sort(by).rows()
    )


def test_rates_lie_within_their_intervals(derived: Frames):
    """Exact 95 % interval (methods R-2) of each class against the rate used in drawing."""
    node_days = derived["exposure"]["in_service_ms"].sum() / 86_400_000
    counts = Counter(failures_of(derived)["class"].cast(pl.String))
    rates = truth("rates.csv").filter(pl.col("per_1000_node_days") > 0)
    outside = []
    for row in rates.iter_rows(named=True):
        r = counts[row["class"]] - row["by_plan"]
        low = chi2.ppf(0.025, 2 * r) / 2 if r else 0.0
        high = chi2.ppf(0.975, 2 * r + 2) / 2
        if not low <= row["fleet_per_1000_node_days"] * node_days / 1000 <= high:
            outside.append((row["class"], r, node_days))
    assert outside == []


def test_the_run_s_headline_numbers_follow_from_the_ledger(derived: Frames):
    import json

    summary = json.loads((SAMPLE_DATA / "truth/summary.json").read_text())
    leaves = summed(derived["run_time"].filter(run=MAIN), ["leaf"], "gpu_ms")
    kept = leaves[("ideal",)] + leaves[("slow",)]
    assert (kept, sum(leaves.values())) == (summary["kept_gpu_ms"], summary["run_gpu_ms"])
    assert kept / sum(leaves.values()) == pytest.approx(summary["ettr"], abs=1e-9)
    stops = derived["interruptions"].filter(run=MAIN)
    assert stops["planned"].sum() == summary["planned_interruptions"]
    assert (~stops["planned"]).sum() == summary["unplanned_interruptions"]


def test_each_interruption_costs_what_the_truth_says(derived: Frames):
    """Loss leaves of the ledger by cause, against the costs that the simulator kept by owner."""
    true = truth("interruptions.csv").filter(pl.col("run").is_in(LOGGED))
    spent = derived["run_time"].filter(
        pl.col("run").is_in(LOGGED) & pl.col("cause").is_in(true["cause"].unique().to_list())
    )
    assert summed(spent, ["run", "cause"], "gpu_ms") == summed(
        true.rename({"cost_gpu_ms": "gpu_ms"}), ["run", "cause"], "gpu_ms"
    )


@pytest.mark.parametrize("table", [table.name for table in tables.DERIVED])
def test_days_derived_apart_are_the_days_derived_together(cut: Frames, derived: Frames, table: str):
    assert cut[table].equals(derived[table])


@pytest.fixture(scope="module")
def cut(observed: Frames) -> Frames:
    """The derivation over three windows in the wrong order, from shuffled rows."""
    shuffled = {
        name: frame.sample(fraction=1, shuffle=True, seed=7) for name, frame in observed.items()
    }
    first, second = SINCE + timedelta(days=1), SINCE + timedelta(days=6)
    return derive(
        shuffled,
        (Window(second, UNTIL, UNTIL), Window(SINCE, first, UNTIL), Window(first, second, UNTIL)),
    )


def test_interruptions_keep_their_contract(derived: Frames):
    assert INTERRUPTIONS.broken_rules(derived["interruptions"]) == {}


def test_the_planted_lemon_is_the_first_suspect(derived: Frames):
    asked = Asked(clock="allocated")
    found = suspects(asked, **{table.name: derived[table.name] for table in STUDY.reads})
    assert found.height == 47  # one of 48 was returned
    lemon, *others = found.iter_rows(named=True)
    assert lemon["node"] == f"node-{SAMPLE.lemon:04}"
    assert lemon["p_lemon"] > 0.95
    assert lemon["verdict"] == "drain and test"
    assert {row["verdict"] for row in others} == {"no evidence"}
