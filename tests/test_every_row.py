"""P-12: whatever divides or tests says how many, over what, how sure, on which clock, by which
definition and detectors, and whether its assumption held; where it does not, a reason stands here.
"""

from pathlib import Path

import polars as pl
import pytest
from large_fleet import asked_of
from small_fleet import ASKED

from flows import studying
from flows.errors import CallError, DataError
from transforms.definitions import REGISTRY
from transforms.exposure import CLOCKS

SQL = Path(__file__).resolve().parents[1] / "sql"

COUNTS = {"failures", "failures_first", "repairs", "ended", "incidents", "failures_seen"}
SPANS = {"node_days", "watched_days", "watched_hours", "gpu_days_first", "node_months"}
NEEDS = ("count", "exposure", "interval", "phi", "assumption", "clock", "definition", "detectors")

OF_A_RUN = (
    "of one run's own steps and saves: the failure rate that it leans on is the rates study's"
)
NO_RATE = "tells what happened in the incidents that were seen, and divides by no exposure"
OWN_LIMITS = "its limits come from whole units, or from none: no scatter widens them"
WITHOUT: dict[str, dict[str, str]] = {
    "availability": {"phi": "limits by F or by whole nodes drawn again; `limits` says which"},
    "blast": dict.fromkeys(("exposure", "interval", "phi", "assumption", "clock"), NO_RATE),
    "checkpoint": dict.fromkeys({*NEEDS} - {"interval"}, OF_A_RUN),
    "fleet_goodput": dict.fromkeys({*NEEDS} - {"interval"}, "shares of GPU time in the ledger: no failure is counted, no clock chosen"),
    "goodput": dict.fromkeys({*NEEDS} - {"interval"}, "shares of GPU time in the ledger: no failure is counted, no clock chosen"),
    "project": dict.fromkeys(("phi", "assumption"), "what other sizes would meet: a band for each, from the rate's"),
    "recurrence": {"phi": OWN_LIMITS},
    "slow": dict.fromkeys(("exposure", "phi", "assumption"), "a spell's steps against its attempt's: exact by order, divided by nothing"),
    "survival": {"phi": OWN_LIMITS},
}  # fmt: skip

OF_NO_FAILURE = {"slow": ("step time", "steps at 1.1 x usual")}
"""Clock and definition of studies that count no failures."""


def lacking(rows: pl.DataFrame) -> set[str]:
    """Which of NEEDS no column of `rows` meets."""
    names = set(rows.columns)
    met = {
        "count": names & COUNTS,
        "exposure": names & SPANS,
        "interval": {n for n in names if n.endswith("_lo") or n == "lo"},
        **{name: names & {name} for name in NEEDS[3:]},
    }
    return {need for need, columns in met.items() if not columns}


@pytest.mark.parametrize(("study", "options"), ASKED)
def test_every_row_of_a_study_has_its_pedigree_or_a_reason(fleet_lake, study, options):
    try:
        rows = studying.answer(fleet_lake.root, study.name, asked_of(options))
    except (CallError, DataError):
        # This lake has few samples and no screens; its nodes are of one age and model.
        empty = [table.name for table in study.reads if not fleet_lake.partitions(table)]
        assert empty or study.name in ("climate", "regress", "sdc")
        return
    assert lacking(rows) == set(WITHOUT.get(study.name, {}))
    if own := OF_NO_FAILURE.get(study.name):
        assert set(rows.select("clock", "definition").iter_rows()) == {own}
        return
    if "clock" in rows.columns:
        assert set(rows["clock"].drop_nulls()) <= {*CLOCKS}
    if "definition" in WITHOUT.get(study.name, {}):
        return
    counted = rows["definition"].drop_nulls()
    assert set(counted) <= {*REGISTRY}
    said = set(rows.filter(pl.col("definition").is_not_null())["detectors"])
    assert said <= {one.detectors for one in REGISTRY.values()}
    for name in (n for n in rows.columns if n.endswith("_lo") and n[:-3] in rows.columns):
        told = rows.drop_nulls([name, name[:-3], f"{name[:-3]}_hi"])
        assert (told[name] <= told[name[:-3]] + 1e-9).all(), name
        assert (told[name[:-3]] <= told[f"{name[:-3]}_hi"] + 1e-9).all(), name


def test_the_versions_on_a_row_are_those_of_every_classifier():
    from transforms.boards import BOARDS_VERSION
    from transforms.cluster_reasons import CLUSTER_REASONS_VERSION
    from transforms.reasons import REASONS_VERSION

    said = REGISTRY["coalesced-180s"].detectors
    for version in (REASONS_VERSION, CLUSTER_REASONS_VERSION, BOARDS_VERSION):
        assert version in said


RATE_VIEWS = {"fleet_rates", "node_rates", "weekly_rates"}
VIEWS_WITHOUT = {
    "account_time": "integers of the ledger: measured, not estimated",
    "run_links": "which jobs are one run, with the confidence of each link",
    "incident_costs": "what one incident cost, from the ledger; no estimate",
    "data_quality": "counts of what was read, with shares told as counts",
    "idle_allocations": "integers of the ledger: measured, and a lower bound by its definition",
    "hall_time": "integers of the ledger: measured, not estimated",
    "gpu_time_weekly": "integers of the ledger: measured, not estimated",
    "interruptions_by_cause": "integers of the ledger: measured, not estimated",
    "recovery_advice": "times of one run's own interruptions",
    "repair_times": "Kaplan-Meier quantiles; `survival --of repair` has their limits",
    "run_mfu": "one run's tokens over its own time: measured, with the reason where it is not",
    "run_badput": "integers of the ledger: measured, not estimated",
    "run_ettr_hours": "integers of the ledger: measured, not estimated",
    "telemetry_coverage": "time covered: measured, not estimated",
    "window_sensitivity": "one count for every gap that could have been chosen",
}


def test_every_view_has_limits_or_a_reason():
    for path in sorted((SQL / "views").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        has_limits = "_lo" in text and "_hi" in text
        assert has_limits != (path.stem in VIEWS_WITHOUT), path.stem
        if path.stem in RATE_VIEWS:
            header = text.split("\nWITH")[0]
            for column in ("clock", "definition", "failures", "node_days"):
                assert column in header, (path.stem, column)
