"""The report says what its frames say: escaped, complete, with bounds where evidence is thin."""

import re
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from transforms.report import QUESTIONS, render
from transforms.report.wording import hours, money, percent, rate

HOUR = 3_600_000
MONDAY = date(2026, 3, 9)
START = datetime(2026, 3, 9, tzinfo=UTC)

HEADLINE = {
    "capacity_gpu_ms": 64_512 * HOUR,
    "allocated_gpu_ms": 50_000 * HOUR,
    "kept_gpu_ms": 42_000 * HOUR,
    "ideal_gpu_ms": 40_000 * HOUR,
    "not_measured_gpu_ms": 3_000 * HOUR,
    "unknown_gpu_ms": 100 * HOUR,
    "failure_gpu_ms": 5_000 * HOUR,
    "days": 7,
    "nodes": 48,
    "node_days": 330.5,
    "failures": 21,
    "failures_lo": 13.0,
    "failures_hi": 32.1,
    "interruptions": 14,
    "planned_stops": 2,
    "price": 2.5,
    "currency": "USD",
}


def answers(**headline):
    now = HEADLINE | headline
    return {
        "week_headline": pl.DataFrame([now]),
        "week_headline_before": pl.DataFrame([HEADLINE | {"failures": 18}]),
        "week_leaves": pl.DataFrame(
            {
                "leaf": ["ideal", "slow", "idle", "step_lost"],
                "gpu_ms": [40 * HOUR, 2 * HOUR, 9 * HOUR, 3 * HOUR],
            }
        ),
        "week_causes": pl.DataFrame(
            {
                "cause": ["GPU", "Planned"],
                "interruptions": [8, 2],
                "share": [0.8, 0.2],
                "gpu_ms": [30 * HOUR, 2 * HOUR],
                "median_minutes": [32.0, None],
            }
        ),
        "week_rates": pl.DataFrame(
            {
                "class": ["all", "GPU"],
                "failures": [21, 12],
                "node_days": [330.5, 330.5],
                "per_1000_node_days": [63.5, 36.3],
                "per_1000_node_days_lo": [39.3, 18.8],
                "per_1000_node_days_hi": [97.1, 63.4],
            }
        ),
        "week_nodes": pl.DataFrame(
            {
                "cluster": ["sim"],
                "node": ["<b>node|1</b>"],
                "rack": ["r3"],
                "failures": [5],
                "node_days": [6.1],
                "per_1000_node_days": [819.0],
                "per_1000_node_days_lo": [266.0],
                "per_1000_node_days_hi": [1912.0],
                "components": ["lost 3"],
                "gpu_ms": [12 * HOUR],
            }
        ),
        "week_suspects": pl.DataFrame(
            {
                "cluster": ["sim"] * 3,
                "node": ["<b>node|1</b>", "node-0007", "node-0008"],
                "rack": ["r3", "r1", "r1"],
                "p_lemon": [0.984, 0.61, 0.02],
                "tier": [1, 1, None],
                "verdict": ["drain and test", "watch: more failures than chance", "no evidence"],
                "net_gpu_hours": [1612.4, -12.0, -64.0],
                "clock": ["allocated"] * 3,
                "assumption": ["units spread like Gamma(0.79, 8.4 days)"] * 3,
            }
        ),
        "week_incidents": pl.DataFrame(
            {
                "incident": ["a1b2c3d4e5f60718"],
                "began": [START],
                "class": ["GPU"],
                "component": ["lost"],
                "root_code": [79],
                "severity": ["S2"],
                "node": ["node-0017"],
                "runs": ["pretrain"],
                "gpu_ms": [9 * HOUR],
                "evidence": ["kernel/node-0017.log:381"],
            }
        ),
        "week_runs": pl.DataFrame(
            {
                "cluster": ["sim"],
                "run": ["pretrain"],
                "gpus": [256],
                "wall_gpu_ms": [43_000 * HOUR],
                "kept_gpu_ms": [35_000 * HOUR],
                "ideal_gpu_ms": [33_000 * HOUR],
                "lost_gpu_ms": [2_000 * HOUR],
                "wait_gpu_ms": [1_500 * HOUR],
                "failure_gpu_ms": [4_000 * HOUR],
                "interruptions": [12],
            }
        ),
        "run_timeline": pl.DataFrame(
            {
                "run": ["pretrain"] * 2,
                "what": ["attempt", "checkpoint"],
                "began": [START, START + timedelta(hours=1)],
                "ended": [START + timedelta(hours=9), START + timedelta(hours=1)],
                "note": ["NODE_FAIL", "step 9"],
            }
        ),
        "week_samples": pl.DataFrame(
            {
                "topic": ["coverage", "nodes", "pcie", "nvlink"],
                "measure": ["GPU-hours sampled", "Nodes never sampled", "With replays", "NVLink"],
                "value": [64_500.0, 0.0, 2.0, None],
                "whole": [64_512.0, 48.0, 380.0, None],
                "reading": ["12 are unknown", None, "at least 9 replays", None],
            }
        ),
        "week_sample_hours": pl.DataFrame(
            {
                "hour_at": [START],
                "heard_gpu_hours": [384.0],
                "utilisation": [0.9],
                "power_w": pl.Series([None], dtype=pl.Float64),
                "hottest_c": [71.0],
            }
        ),
        "week_sample_nodes": pl.DataFrame(
            {
                "cluster": ["sim"],
                "node": ["<b>node|1</b>"],
                "gpus": [8],
                "heard_gpu_hours": [1340.0],
                "hottest_gpu": ["GPU-1"],
                "hottest_c": [71.0],
                "slowed_gpu_hours": [0],
                "ecc_corrected": [9.0],
                "ecc_uncorrected": pl.Series([None], dtype=pl.Float64),
                "pcie_replays": [9.0],
                "nvlink_errors": pl.Series([None], dtype=pl.Float64),
                "link_downs": pl.Series([None], dtype=pl.Float64),
            }
        ),
        "week_telemetry": pl.DataFrame(
            schema={"node": pl.String, "gpu": pl.String, "component": pl.String}
        ),
        "week_quality": pl.DataFrame(
            {
                "measure": ["Input records refused, ever"],
                "value": [3.0],
                "whole": [100_000.0],
                "reading": ["listed in rejects"],
            }
        ),
    }


def report(**headline):
    return render(
        answers(**headline), MONDAY, MONDAY + timedelta(days=7), "Reliability report", "2026-03-16"
    )


def test_the_page_needs_nothing_from_outside():
    html = report().html
    assert "<script" not in html
    outside = set(re.findall(r"https?://[^\s\"'<>)]+", html))
    assert all("www.w3.org" in address for address in outside), outside


def test_names_from_the_cluster_cannot_write_html_or_break_a_table():
    made = report()
    assert "<b>node" not in made.html
    assert "&lt;b&gt;node|1" in made.html
    assert "&lt;b>node\\|1" in made.markdown


def test_thin_evidence_turns_the_headline_into_bounds():
    assert report().headline[0].startswith("Fleet goodput: 62.0 %")
    thin = report(unknown_gpu_ms=20_000 * HOUR).headline[0]
    assert "65.1 % to 96.1 %" in thin
    assert "bounds only" in thin


def test_no_arrow_without_evidence_of_change():
    assert "no evidence of change" in report().headline[2]
    assert "times the week before" in report(failures=90).headline[2]


def test_a_partial_week_says_so():
    assert "Partial: 3 of 7 days" in report(days=3).html


def test_without_a_price_no_money_is_shown():
    made = report(price=None, currency=None)
    assert "$" not in made.markdown
    assert "no price set" in made.headline[3]


def test_an_empty_week_still_makes_a_report():
    empty = {name: frame.clear() for name, frame in answers().items()}
    nothing = dict.fromkeys(HEADLINE, 0) | {"price": None, "currency": None}
    empty |= dict.fromkeys(("week_headline", "week_headline_before"), pl.DataFrame([nothing]))
    made = render(empty, MONDAY, MONDAY + timedelta(days=7), "Nothing", "now")
    assert "No node failed." in made.html
    assert "no node was in service" in made.markdown


def table_of_nodes(made) -> list[list[str]]:
    section = made.markdown.split("## Nodes to look at")[1].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]


def test_suspects_come_first_whether_they_failed_this_week_or_not():
    head, _, lemon, other = table_of_nodes(report())
    assert head[-3:] == ["P(lemon)", "Saved in 28 days", "Verdict"]
    assert lemon[2] == "5"
    assert lemon[-3:] == ["98 %", "1,612", "tier 1: drain and test"]
    assert other[:3] == ["node-0007", "r1", "0"]
    assert other[-3:] == ["61 %", "-12", "tier 1: watch: more failures than chance"]
    assert "Gamma(0.79, 8.4 days)" in report().html
    assert [row["node"] for row in report().summary["suspects"]] == ["<b>node|1</b>", "node-0007"]


def test_where_nodes_cannot_be_weighed_the_week_stands_alone():
    made = render(
        answers() | {"week_suspects": pl.DataFrame()},
        *(MONDAY, MONDAY + timedelta(days=7), "Reliability report", "2026-03-16"),
    )
    head, _, *rows = table_of_nodes(made)
    assert head[-1] == "Cost"
    assert len(rows) == 1
    assert "Too few failures or too little exposure" in made.html


def test_questions_and_answers_have_the_same_names():
    assert set(answers()) == {*QUESTIONS, "week_headline_before", "week_suspects"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (hours(HOUR // 2), "0.5"),
        (hours(12_345 * HOUR), "12,345"),
        (money(2 * HOUR, 2.5, "USD"), "$5"),
        (money(HOUR, None, None), "-"),
        (percent(1, 3), "33.3 %"),
        (percent(1, 0), "-"),
        (rate(7.0, 2.814, 14.423), "7.0 (2.8 to 14.4)"),
        (rate(0.0, 0.0, 3.689), "0 (below 3.7)"),
    ],
)
def test_numbers_are_rounded_by_their_interval(said, expected):
    assert said == expected
