"""Interruptions: which ends are one, whose fault it was, and when each thing happened."""

from datetime import UTC, datetime

import polars as pl
import pytest
from incident_frames import (
    at,
    attempt,
    derived,
    event,
    frames,
    mark,
    outage,
    save,
    state,
    step,
)

from transforms import fleet, incidents, runs
from transforms.recipes import Window
from transforms.tables import observed as o

HOUR = 3600
END = 5 * HOUR


def stops(**rows):
    made = derived(**rows)["interruptions"].sort("decided_at", "job_id")
    return made.with_columns(pl.col("cause").cast(pl.String))


def logged(until, *, begin=0, job="1", first=1):
    """The log of an attempt: start-up of ten minutes, then steps of a minute up to `until`."""
    steps = [step(first + n, s, s + 60, job) for n, s in enumerate(range(begin + 600, until, 60))]
    return {"steps": steps, "run_marks": [mark("job_start", begin + 5, job=job)]}


@pytest.mark.parametrize(
    ("end", "again", "logs", "expected"),
    [
        # state, tried again, wrote a log -> interruption?, planned, cause, component
        ("NODE_FAIL", False, False, (False, "Unknown", "unknown node loss")),
        ("FAILED", False, False, None),
        ("FAILED", True, False, (False, "Software (user)", "user or unknown")),
        ("FAILED", False, True, (False, "Software (user)", "user or unknown")),
        ("OUT_OF_MEMORY", False, False, None),
        ("OUT_OF_MEMORY", True, False, (False, "Software (user)", "host out of memory")),
        ("BOOT_FAIL", True, False, (False, "Unknown", "boot failure")),
        ("CANCELLED", False, False, None),
        ("CANCELLED", True, False, (True, "Human", "cancelled")),
        ("CANCELLED", False, True, (True, "Human", "cancelled")),
        ("TIMEOUT", True, False, (True, "Planned", "time limit")),
        ("PREEMPTED", True, False, (True, "Planned", "preempted")),
        ("REQUEUED", True, False, (True, "Human", "requeued")),
        ("COMPLETED", False, True, None),
        ("COMPLETED", True, False, None),
        ("COMPLETED", True, True, (True, "Planned", "next job of the run")),
    ],
)
def test_an_end_without_an_incident(end, again, logs, expected):
    jobs = [attempt(0, END, state=end, exit_code=1 if end == "FAILED" else 0)]
    if again:
        jobs.append(attempt(END + 60, 9 * HOUR, job="2", run="1"))
    made = stops(run_attempts=jobs, **(logged(END) if logs else {}))
    rows = made.filter(job_id="1").select("planned", "cause", "component").rows()
    assert rows == ([expected] if expected else [])
    assert made["incident"].null_count() == len(made)


@pytest.mark.parametrize(("code", "signal", "cause"), [(1, 0, "Software (user)"), (0, 9, "Unknown"), (None, None, "Unknown")])  # fmt: skip
def test_an_exit_code_is_a_programs_own_word_a_signal_is_not(code, signal, cause):
    job = attempt(0, END, state="FAILED", exit_code=code, signal=signal)
    made = stops(run_attempts=[job], **logged(END))
    assert made.select("cause", "component").rows() == [(cause, "user or unknown")]


def test_a_run_that_had_finished_lost_nothing():
    log = logged(4 * HOUR)
    log["run_marks"].append(mark("finished", 4 * HOUR))
    assert stops(run_attempts=[attempt(0, END, state="CANCELLED")], **log).is_empty()


def test_a_second_try_after_a_day_is_another_matter():
    late = [attempt(0, END, state="FAILED"), attempt(END + 25 * HOUR, None, "2", run="1")]
    assert stops(run_attempts=late).is_empty()


def test_a_long_queue_is_no_second_thought():
    later = attempt(END + 60 * HOUR, None, "2", run="1") | {"submitted": at(END + 11)}
    made = stops(run_attempts=[attempt(0, END, state="FAILED"), later])
    assert made["allocated_at"].to_list() == [at(END + 60 * HOUR)]


FAULT = {"kernel_events": [event(END - 60)]}
DOUBT = {"kernel_events": [event(END - 60, "link_down", 0)]}
USER = {"kernel_events": [event(END - 60, code=31)]}
WARNING = {"kernel_events": [event(END - 60, code=63)]}
DOWN = {"node_states": [state(END, END + 900)]}
DRAIN = {"node_states": [state(END - 60, END + 900, "XID 79", state="DRAIN")]}
TICKET = {"outages": [outage(END - 60, END + 900, cause="GPU lost")]}


@pytest.mark.parametrize(
    ("evidence", "explains"),
    [
        (FAULT, {"NODE_FAIL", "FAILED", "CANCELLED", "OUT_OF_MEMORY", "REQUEUED"}),
        (TICKET, {"NODE_FAIL", "FAILED", "CANCELLED", "OUT_OF_MEMORY", "REQUEUED"}),
        (DOUBT, {"NODE_FAIL", "FAILED", "REQUEUED"}),
        (USER, {"FAILED", "OUT_OF_MEMORY"}),
        (DOWN, {"NODE_FAIL", "REQUEUED"}),
        (DRAIN, set()),
        (WARNING, set()),
    ],
    ids=["fault", "ticket", "doubt", "user", "down", "drain", "warning"],
)
@pytest.mark.parametrize(
    "end",
    ["NODE_FAIL", "FAILED", "CANCELLED", "OUT_OF_MEMORY", "REQUEUED", "TIMEOUT", "PREEMPTED"],
)
def test_what_explains_which_end(evidence, explains, end):
    jobs = [attempt(0, END, state=end), attempt(END + 60, None, "2", run="1")]
    (row,) = stops(run_attempts=jobs, **evidence).to_dicts()
    assert (row["incident"] is not None) == (end in explains)
    assert row["planned"] == (
        end in ("CANCELLED", "REQUEUED", "TIMEOUT", "PREEMPTED") and end not in explains
    )


@pytest.mark.parametrize(("evidence", "expected"), [(FAULT, 1), (TICKET, 1), (USER, 0), (DRAIN, 0)])
def test_a_lone_job_is_interrupted_by_a_fault_and_not_by_its_own_error(evidence, expected):
    assert len(stops(run_attempts=[attempt(0, END, state="FAILED")], **evidence)) == expected


@pytest.mark.parametrize(
    ("seconds", "explains"),
    [(-601, False), (-600, True), (300, True), (301, False)],
)
def test_an_incident_is_near_the_end(seconds, explains):
    made = stops(
        kernel_events=[event(END + seconds)], run_attempts=[attempt(0, END, state="NODE_FAIL")]
    )
    assert made["incident"].is_not_null().to_list() == [explains]


def test_each_attempt_gets_the_incident_it_met():
    jobs = [
        attempt(0, 1000, nodes=("n1", "n2"), state="NODE_FAIL"),
        attempt(1130, 1160, job="2", run="1", nodes=("n1", "n2"), state="NODE_FAIL"),
        attempt(1300, 9000, job="3", run="1", nodes=("n1", "n2")),
    ]
    states = [state(1000, 1030, node="n1"), state(1160, 1200, node="n2")]
    made = derived(run_attempts=jobs, node_states=states)
    blamed = made["interruptions"].join(made["incidents"].select("incident", "node"), on="incident")
    assert blamed.sort("failed_at")["node"].to_list() == ["n1", "n2"]
    assert blamed["co_causes"].list.len().to_list() == [0, 0]


def test_the_highest_precedence_explains_and_the_rest_stand_beside_it():
    events = [
        event(END - 400, "fs", 0, node="n2", detail="nfs: server x not responding, timed out"),
        event(END - 90, code=31, node="n3"),
        event(END - 30, code=48, node="n1"),
    ]
    job = attempt(0, END, nodes=("n1", "n2", "n3"), state="FAILED")
    made = derived(kernel_events=events, run_attempts=[job])
    (row,) = made["interruptions"].to_dicts()
    nodes = dict(made["incidents"].select("incident", "node").iter_rows())
    assert (row["cause"], row["component"]) == ("GPU", "HBM uncorrectable")
    assert [nodes[i] for i in (row["incident"], *row["co_causes"])] == ["n1", "n2", "n3"]


def test_somebody_elses_incident_explains_nothing():
    job = attempt(0, END, nodes=("n2",), state="NODE_FAIL")
    assert stops(run_attempts=[job], **FAULT)["incident"].to_list() == [None]


@pytest.mark.parametrize(
    ("stopped", "end", "expected"),
    [
        (HOUR, "CANCELLED", (False, "Unknown", "hang")),
        (HOUR, "TIMEOUT", (False, "Unknown", "hang")),
        (HOUR, "FAILED", (False, "Unknown", "hang")),
        (END - 300, "TIMEOUT", (True, "Planned", "time limit")),
    ],
)
def test_a_run_that_hung_was_not_ended_on_purpose(stopped, end, expected):
    made = stops(run_attempts=[attempt(0, END, state=end, exit_code=1)], **logged(stopped))
    assert made.select("planned", "cause", "component").rows() == [expected]


def test_evaluation_is_no_hang():
    log = logged(HOUR)
    log["run_marks"].append(mark("eval", HOUR, END - 60))
    made = stops(run_attempts=[attempt(0, END, state="TIMEOUT")], **log)
    assert made["planned"].to_list() == [True]


def test_the_cause_of_a_hang_lies_where_it_began():
    fault = [event(HOUR + 20)]
    made = stops(
        run_attempts=[attempt(0, END, state="CANCELLED")], kernel_events=fault, **logged(HOUR)
    )
    assert made.select("planned", "cause").rows() == [(False, "GPU")]
    assert made["failed_at"].to_list() == [at(HOUR)]


@pytest.mark.parametrize(("seconds", "planned"), [(-200, True), (-30, False)])
def test_a_fault_that_the_run_survived_is_no_reason_for_a_cancel(seconds, planned):
    made = stops(
        run_attempts=[attempt(0, END, state="CANCELLED")],
        kernel_events=[event(END + seconds)],
        **logged(END - 60),
    )
    assert made["planned"].to_list() == [planned]


def test_every_instant_of_a_recovery():
    first, second = logged(HOUR), logged(END, begin=3 * HOUR, job="2", first=31)
    marks = [
        *first["run_marks"],
        mark("detected", 900),
        mark("detected", HOUR + 700),
        *second["run_marks"],
    ]
    jobs = [
        attempt(0, 2 * HOUR, state="FAILED"),
        attempt(3 * HOUR, None, "2", run="1", nodes=("n1", "n3")),
    ]
    made = stops(
        run_attempts=jobs,
        steps=first["steps"] + second["steps"],
        run_marks=marks,
        checkpoints=[save("restore", 30, 3 * HOUR + 60, 3 * HOUR + 500, "2")],
    )
    (row,) = made.to_dicts()
    assert {name: row[name] for name in row if name.endswith("_at")} == {
        "failed_at": at(HOUR),
        "detected_at": at(HOUR + 700),
        "decided_at": at(2 * HOUR),
        "allocated_at": at(3 * HOUR),
        "started_at": at(3 * HOUR + 5),
        "restored_at": at(3 * HOUR + 500),
        "resumed_at": at(3 * HOUR + 600),
    }
    assert (row["lost_from_step"], row["nodes"], row["gpus"]) == (31, 1, 8)


@pytest.mark.parametrize(
    ("log", "failed_at"),
    [
        pytest.param({"run_marks": [mark("job_start", 5)]}, 0, id="nothing but a start"),
        pytest.param({"run_marks": [mark("init", 5, 300)]}, 300, id="start-up"),
        pytest.param(
            {"run_marks": [mark("init", 5, 300)], "checkpoints": [save("restore", 1, 300, 900)]},
            900,
            id="restore",
        ),
        pytest.param(
            {"checkpoints": [save("save", 40, 1000, 1020)]},
            1000,
            id="steps that only a save tells of",
        ),
        pytest.param({}, END, id="no log"),
    ],
)
def test_last_progress_of_an_attempt_without_steps(log, failed_at):
    made = stops(run_attempts=[attempt(0, END, state="NODE_FAIL")], **log)
    assert made["failed_at"].to_list() == [at(failed_at)]


@pytest.mark.parametrize(
    ("step", "failed_at"),
    [
        pytest.param(50, HOUR, id="of the last step that was logged"),
        pytest.param(60, HOUR + 600, id="of a step whose record is missing"),
    ],
)
def test_a_checkpoint_tells_of_steps_that_were_not_logged(step, failed_at):
    log = logged(HOUR)
    assert log["steps"][-1]["step"] == 50
    made = stops(
        run_attempts=[attempt(0, END, state="NODE_FAIL")],
        **log,
        checkpoints=[save("save", step, HOUR + 600, HOUR + 610)],
    )
    assert made["failed_at"].to_list() == [at(failed_at)]


def test_nothing_is_lost_when_the_next_attempt_goes_on_where_it_stopped():
    first, second = logged(HOUR), logged(END, begin=3 * HOUR, job="2", first=51)
    made = stops(
        run_attempts=[attempt(0, HOUR + 9, state="FAILED"), attempt(3 * HOUR, None, "2", run="1")],
        steps=first["steps"] + second["steps"],
    )
    assert made["lost_from_step"].to_list() == [None]


def test_one_incident_may_stop_many_runs():
    jobs = [attempt(0, END, job=str(n), state="NODE_FAIL", gpus=4) for n in range(3)]
    made = derived(run_attempts=jobs, **FAULT)
    assert made["interruptions"].height == 3
    assert made["incidents"].select("interrupts", "severity").rows() == [(3, "S2")]


def test_the_running_attempt_is_not_interrupted():
    assert stops(run_attempts=[attempt(0, None, state="RUNNING")], **FAULT).is_empty()


@pytest.fixture(scope="module")
def slurm_live(shared_data):
    """What a real Slurm wrote of eight nodes, two of which were killed twice under one job each."""
    from transforms.sources.base import Origin
    from transforms.sources.slurm_events import SOURCE as EVENTS
    from transforms.sources.slurm_sacct import SOURCE as SACCT

    folder, seen = shared_data / "slurm-live", datetime(2026, 11, 23, 8, tzinfo=UTC)

    def parsed(source, name, table):
        frame = source.parse((folder / name).read_bytes(), Origin(name, seen)).frames[table]
        return frame.with_columns(cluster=pl.lit("memphis"))

    attempts = parsed(SACCT, "sacct_x.psv", "job_attempts")
    states = parsed(EVENTS, "events.psv", "node_states")
    window = Window(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC), seen)
    linked = runs.link(window, job_attempts=attempts, run_marks=o.RUN_MARKS.empty())
    nodes = fleet.fleet(window, nodes=o.NODES.empty(), node_states=states, job_attempts=attempts)
    return incidents.derive(window, **(frames() | {"node_states": states} | linked | nodes))


def test_four_interruptions_name_the_killed_node_of_six(slurm_live):
    blamed = slurm_live["interruptions"].join(
        slurm_live["incidents"].select("incident", "node", "interrupts"), on="incident", how="left"
    )
    assert blamed.sort("failed_at").select(
        "run", "state", "nodes", "node", "interrupts"
    ).rows() == [
        ("1", "NODE_FAIL", 6, "gpu002", 1),
        ("1", "NODE_FAIL", 6, "gpu004", 1),
        ("34", "NODE_FAIL", 6, "gpu002", 1),
        ("34", "NODE_FAIL", 6, "gpu004", 1),
    ]
    assert blamed["co_causes"].list.len().sum() == 0


def test_the_drain_and_the_other_down_interrupted_nobody(slurm_live):
    others = slurm_live["incidents"].filter(pl.col("node").is_in(["gpu007", "gpu008"]))
    told = others.sort("began").filter(pl.col("began") > datetime(2026, 11, 23, 6, 49, tzinfo=UTC))
    assert told.select("node", "class", "interrupts", "severity").rows() == [
        ("gpu007", "GPU", 0, "S3"),
        ("gpu008", "Network", 0, "S3"),
        ("gpu007", "GPU", 0, "S3"),
        ("gpu008", "Network", 0, "S3"),
    ]


class TestSecondOrder:
    """A large run fails, comes back on nodes that another one had, and that one is preempted."""

    LARGE = (
        attempt(0, END, job="1", nodes=("n1", "n2"), state="NODE_FAIL"),
        attempt(END + 300, None, job="1", nodes=("n2", "n3")),
    )
    SMALL = (
        attempt(HOUR, END + 240, job="7", nodes=("n3",), state="PREEMPTED"),
        attempt(END + HOUR, None, job="7", nodes=("n4",)),
    )

    def preempted(self, large=LARGE, small=SMALL, **rows):
        made = stops(run_attempts=[*large, *small], **rows)
        found = made.filter(state="PREEMPTED").to_dicts()
        assert len(found) == 1
        return found[0]

    def test_it_is_planned_and_laid_to_the_other_s_incident(self):
        stop = self.preempted(kernel_events=[event(END - 60, node="n1")])
        large = stops(run_attempts=[*self.LARGE], kernel_events=[event(END - 60, node="n1")])
        assert stop["second_order_of"] == large["incident"][0] is not None
        assert (stop["planned"], stop["cause"], stop["incident"]) == (True, "Planned", None)

    def test_a_failure_without_an_incident_is_blamed_too(self):
        assert self.preempted()["second_order_of"] == ""

    @pytest.mark.parametrize(
        ("large", "why"),
        [
            (LARGE[:1], "it never came back"),
            ((LARGE[0] | {"state": "TIMEOUT"}, LARGE[1]), "it had not failed"),
            ((LARGE[0], LARGE[1] | {"nodes": ["n2", "n5"]}), "it came back elsewhere"),
            ((LARGE[0], LARGE[1] | {"started": at(END + 1200)}), "it came back later"),
        ],
    )
    def test_a_preemption_for_another_reason_is_none(self, large, why):
        assert self.preempted(large)["second_order_of"] is None, why

    def test_the_ledger_lays_its_losses_to_that_incident_under_their_own_name(self):
        from ledger_frames import account_frames

        made = derived(
            run_attempts=[*self.LARGE, *self.SMALL], kernel_events=[event(END - 60, node="n1")]
        )
        window = Window(at(-12 * HOUR), at(12 * HOUR), at(10 * HOUR))
        attempts = frames(run_attempts=[*self.LARGE, *self.SMALL])["run_attempts"]
        found = account_frames(
            window,
            {
                "run_attempts": attempts,
                "interruptions": made["interruptions"],
                "incidents": made["incidents"],
            },
        )
        of_small = (pl.col("run") == "7") & (pl.col("leaf") == "queue_wait")
        waits = found["run_time"].filter(of_small, pl.col("cause") != "start-up")
        assert waits.select("cause", "incident").rows() == [
            ("second-order", made["incidents"]["incident"][0])
        ]
