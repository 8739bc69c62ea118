"""What the machine words of cluster managers mean, and what they make of an incident."""

import polars as pl
import pytest
from incident_frames import DAY, MIDNIGHT, T0, at, attempt, derived, frame

from transforms import cluster_reasons
from transforms.codes import COUNTS
from transforms.reasons import RULES
from transforms.recipes import Window
from transforms.reported import agent_reports
from transforms.tables.observed import CLUSTER_EVENTS, NODE_STATES
from transforms.verdicts import verdicts


def report(seconds, reason, detail="", level="warning", code=0, **more):
    return {
        "cluster": "c", "node": "n1", "observed_at": at(seconds), "reporter": "kubelet",
        "object": "node n1", "reason": reason, "code": code, "device": "", "detail": detail,
        "level": level, "file": "k8s", "line_no": int(seconds) + 1, **more,
    }  # fmt: skip


def read(reason, detail=""):
    asked = pl.DataFrame({"reason": [reason], "detail": [detail]})
    return cluster_reasons.read_reasons(asked).row(0)[2:]


def signs(*reports):
    return agent_reports(frame(CLUSTER_EVENTS, list(reports)))


def incidents(*reports, **more):
    made = derived(cluster_events=list(reports), **more)["incidents"]
    return made.filter(definition="coalesced-180s")


def test_a_word_has_one_unconditional_meaning_and_no_condition_that_can_never_be_reached():
    rows = cluster_reasons.catalogue()
    plain = rows.filter(pl.col("detail") == "")
    assert plain["word"].is_duplicated().sum() == 0
    assert rows.select("word", "detail").is_duplicated().sum() == 0
    assert rows["word"].to_list() == rows.select(cluster_reasons.bare(pl.col("word"))).to_series().to_list()  # fmt: skip


def test_the_catalogue_speaks_of_the_same_classes_and_counting_rules_as_the_others():
    rows = cluster_reasons.catalogue()
    classes = {rule[1] for rule in RULES} | {"Software (user)"}
    assert set(rows["class"]) <= classes
    assert set(rows["counts"]) <= set(COUNTS)


@pytest.mark.parametrize(
    ("reason", "detail", "klass", "component", "counts"),
    [
        ("NodeNotReady", "", "Unknown", "host unreachable", "corroborate"),
        ("FilesystemIsReadOnly", "", "Host", "NVMe / local disk", "corroborate"),
        ("DCGMHealthCode110", "", "GPU", "unspecified", "precursor"),
        ("oom-killing", "", "Software (user)", "host out of memory", "no_user"),
        ("Failed", "Failed to pull image", "Software (system)", "container image", "precursor"),
        ("BackOff", "Back-off restarting failed container", "Software (user)", "program error", "no_user"),
        ("Failed", "of nothing in particular", None, None, None),
        ("SomethingNew", "", None, None, None),
    ],
)  # fmt: skip
def test_a_machine_word_is_read_with_its_message(reason, detail, klass, component, counts):
    assert read(reason, detail) == (klass, component, counts)


def test_everyday_events_tie_no_trouble_to_the_next():
    """Twelve hours of pod starts every minute, with a lost node at either end."""
    quiet = [report(60 * n, "Pulled", level="info") for n in range(720)]
    lost = [report(0, "NodeNotReady", "first"), report(43_200, "NodeNotReady", "second")]
    assert incidents(*quiet, *lost).height == 2


def test_a_lost_node_counts_only_when_a_run_was_interrupted_by_it():
    gone = report(0, "NodeNotReady", level="info")
    lost = attempt(-7200, 30, state="NODE_FAIL")
    assert incidents(gone)["counts"].to_list() == [False]
    with_run = incidents(gone, run_attempts=[lost])
    assert with_run.select("class", "component", "counts", "interrupts").rows() == [
        ("Unknown", "host unreachable", True, 1)
    ]


def test_what_names_a_part_explains_a_lost_node_that_was_seen_before_it():
    made = incidents(report(0, "NodeNotReady"), report(30, "ReadonlyFilesystem"))
    assert made.select("class", "component", "events").rows() == [("Host", "NVMe / local disk", 2)]


def test_a_program_killed_for_memory_explains_a_failed_job_and_is_no_failure():
    died = attempt(-7200, 30, state="FAILED", exit_code=0, signal=9)
    made = incidents(report(0, "OOMKilling"), run_attempts=[died])
    assert made.select("class", "counts").rows() == [("Software (user)", False)]


def test_a_report_counted_up_is_a_sign_when_seen_first_and_last():
    counted = report(0, "FailedMount", last_at=at(7200), times=40)
    found = signs(counted).sort("observed_at")
    assert found.select("observed_at", "repeat").rows() == [(T0, 0), (at(7200), 1)]
    late = attempt(-7200, 7260, state="NODE_FAIL")
    blamed = derived(cluster_events=[counted], run_attempts=[late])["interruptions"]
    assert blamed["cause"].to_list() == ["Storage"]


def test_a_report_counted_up_for_weeks_is_a_sign_at_its_first_sight_only():
    counted = report(0, "FailedMount", last_at=at(20 * 86_400), times=40)
    assert signs(counted)["observed_at"].to_list() == [T0]


def test_a_word_in_no_catalogue_is_read_as_text_and_one_that_says_nothing_is_no_sign():
    worded = report(0, "HealthCheck", "GPU count too low", level="critical")
    assert signs(worded).select("class", "counts").rows() == [("GPU", "corroborate")]
    assert signs(report(0, "Quux", "zork", level="critical")).is_empty()


def test_plans_are_no_signs_even_when_they_name_a_part():
    plan = report(0, "MaintenanceScheduled", "replace GPU 3 after XID 79", level="warning")
    assert signs(plan).is_empty()


def test_every_report_is_counted_once_by_what_read_it():
    window = Window(MIDNIGHT, MIDNIGHT + DAY, MIDNIGHT + 2 * DAY)
    events = frame(
        CLUSTER_EVENTS,
        [
            report(0, "FailedMount"),
            report(1, "XidCriticalError", code=79),
            report(2, "HealthCheck", "GPU count too low"),
            report(3, "Quux", "zork"),
            report(4, "Quux", "zork", level="info"),
            report(5, "Quux", "zork of a gpu"),
            report(86_400, "Quux", "the day after"),
        ],
    )
    began = {"cluster": "c", "node": "n1", "state": "DRAIN"}
    spells = [
        began | {"began": at(k), "reason": reason}
        for k, reason in enumerate(("frobnicated", "frobnicated", "PSU 2 failed", None, ""))
    ]
    states = frame(NODE_STATES, [*spells, began | {"began": at(86_400), "reason": "the day after"}])
    made = verdicts(window, cluster_events=events, node_states=states)["report_verdicts"]
    told = made.filter(pl.col("reporter") == "scheduler")
    assert sorted(told.select("reason", "how", "events", "warnings").rows()) == [
        ("PSU 2 failed", "text", 1, 1),
        ("frobnicated", "unclassified", 2, 2),
    ]
    made = made.filter(pl.col("reporter") != "scheduler")
    assert sorted(made.select("reason", "how", "events", "warnings").rows()) == [
        ("FailedMount", "catalogue", 1, 1),
        ("HealthCheck", "text", 1, 1),
        ("Quux", "text", 1, 1),
        ("Quux", "unclassified", 2, 1),
        ("XidCriticalError", "xid", 1, 1),
    ]
