"""Attempts and the runs they belong to (methods T-3)."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from transforms.recipes import Window
from transforms.runs import LINK_CONFIDENCE, link
from transforms.tables.derived import RUN_ATTEMPTS
from transforms.tables.observed import JOB_ATTEMPTS, RUN_MARKS

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def attempt(job_id, hour, *, hours=1.0, run=None, cluster="c", **more):
    started = T0 + hour * HOUR
    return {
        "file": "a", "line_no": 1, "cluster": cluster, "job_id": job_id, "submitted": started,
        "eligible": started, "started": started, "ended": started + hours * HOUR, "run": run,
        "state": "COMPLETED", "nodes": ["n1", "n2"], "gpus": 16, **more,
    }  # fmt: skip


def mark(job_id, hour, run, *, cluster="", restart=0):
    at = T0 + hour * HOUR
    return {
        "file": "l", "line_no": 1, "cluster": cluster, "run": run, "job_id": job_id,
        "restart": restart, "kind": "job_start", "began": at, "ended": at,
    }  # fmt: skip


def frame(table, rows):
    columns = {n: [row.get(n) for row in rows] for n in table.dtypes.names()}
    return pl.DataFrame(columns, schema=table.dtypes)


def linked(attempts, marks=(), since=T0, days=1):
    window = Window(since, since + days * DAY, T0 + 90 * DAY)
    made = link(
        window, job_attempts=frame(JOB_ATTEMPTS, attempts), run_marks=frame(RUN_MARKS, list(marks))
    )
    return made["run_attempts"]


def verdicts(rows):
    return rows.select("job_id", "run", "link", "logs_steps").rows()


@pytest.mark.parametrize(
    ("attempts", "marks", "expected"),
    [
        pytest.param([attempt("7", 1)], [], [("7", "7", "alone", False)], id="alone"),
        pytest.param(
            [attempt("7", 1), attempt("7", 3)],
            [],
            [("7", "7", "requeue", False)] * 2,
            id="requeued",
        ),
        pytest.param(
            [attempt("7", 1)], [mark("7", 1.1, "big")], [("7", "big", "train_log", True)], id="log"
        ),
        pytest.param(
            [attempt("7", 1), attempt("7", 3)],
            [mark("7", 3.1, "big")],
            [("7", "big", "train_log", False), ("7", "big", "train_log", True)],
            id="an attempt that died before its first line belongs to its job's run",
        ),
        pytest.param(
            [attempt("7", 1, run="named")],
            [mark("7", 1.1, "big")],
            [("7", "named", "explicit", True)],
            id="the job's own word comes first",
        ),
        pytest.param([attempt("7", 1, run=" ")], [], [("7", "7", "alone", False)], id="blank run"),
        pytest.param(
            [attempt("7", 1)],
            [mark("8", 1.1, "big"), mark("", 1.1, "big")],
            [("7", "7", "alone", False)],
            id="another job's log",
        ),
        pytest.param(
            [attempt("7", 1), attempt("7", 1, cluster="d")],
            [mark("7", 1.1, "big")],
            [("7", "7", "alone", False)] * 2,
            id="a log that two clusters could have written names none",
        ),
        pytest.param(
            [attempt("7", 1), attempt("7", 5, cluster="d")],
            [mark("7", 1.1, "big")],
            [("7", "big", "train_log", True), ("7", "7", "alone", False)],
            id="time tells which cluster's job wrote it",
        ),
        pytest.param(
            [attempt("7", 1), attempt("7", 1, cluster="d")],
            [mark("7", 1.1, "big", cluster="d")],
            [("7", "7", "alone", False), ("7", "big", "train_log", True)],
            id="the log names the cluster",
        ),
    ],
)
def test_the_best_witness_names_the_run(attempts, marks, expected):
    assert verdicts(linked(attempts, marks)) == expected


@pytest.mark.parametrize(
    ("minutes", "expected"), [(-6, False), (-4, True), (64, True), (66, False)]
)
def test_a_log_counts_for_the_attempt_it_lies_in(minutes, expected):
    rows = linked([attempt("7", 2)], [mark("7", 2 + minutes / 60, "big")])
    assert rows["logs_steps"].to_list() == [expected]
    assert rows["run"].to_list() == ["big"]


def test_a_running_attempt_logs_until_the_horizon():
    rows = linked([attempt("7", 2, ended=None)], [mark("7", 500, "big")])
    assert verdicts(rows) == [("7", "big", "train_log", True)]


FOUR = ["n1", "n2", "n3", "n4"]


def named(job_id, hour, *, hours=1.0, state="TIMEOUT", **more):
    return attempt(
        job_id, hour, hours=hours, state=state,
        **{"name": "pretrain", "user": "maria", "account": "a", "partition": "p", "nodes": FOUR} | more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        pytest.param(
            [named("7", 1), named("8", 2, state="NODE_FAIL"), named("9", 5, state="RUNNING")],
            [("7", "7", "time_limit"), ("8", "7", "time_limit"), ("9", "7", "resubmission")],
            id="a chain of time limits that a failure breaks",
        ),
        pytest.param(
            [named("7", 1, hours=5), named("8", 6, submitted=T0 + 2 * HOUR)],
            [("7", "7", "time_limit"), ("8", "7", "time_limit")],
            id="submitted ahead, to start after the first",
        ),
        pytest.param(
            [named("7", 1, hours=5, state="FAILED"), named("8", 6, submitted=T0 + 2 * HOUR)],
            [("7", "7", "alone"), ("8", "8", "alone")],
            id="submitted ahead of a failure that nobody foresaw",
        ),
        pytest.param(
            [named("7", 1), named("8", 25.9), named("9", 51)],
            [("7", "7", "time_limit"), ("8", "7", "time_limit"), ("9", "9", "alone")],
            id="more than a day after",
        ),
        pytest.param(
            [named("7", 1, state="COMPLETED"), named("8", 3)],
            [("7", "7", "alone"), ("8", "8", "alone")],
            id="the first had finished",
        ),
        pytest.param(
            [named("7", 1), named("8", 3, user="jonas"), named("9", 3, name="sft")],
            [("7", "7", "alone"), ("8", "8", "alone"), ("9", "9", "alone")],
            id="another user, another name",
        ),
        pytest.param(
            [named("7", 1, hours=3), named("8", 2)],
            [("7", "7", "alone"), ("8", "8", "alone")],
            id="two at once",
        ),
        pytest.param(
            [named("7_1", 1), named("7_2", 3)],
            [("7_1", "7_1", "alone"), ("7_2", "7_2", "alone")],
            id="tasks of an array",
        ),
        pytest.param(
            [named("7_1", 1, state="NODE_FAIL"), named("7_1", 3)],
            [("7_1", "7_1", "requeue")] * 2,
            id="a requeued task of an array",
        ),
        pytest.param(
            [named("7", 1, gpus=64), named("8", 3, gpus=56), named("9", 5, gpus=16)],
            [("7", "7", "time_limit"), ("8", "7", "time_limit"), ("9", "9", "alone")],
            id="with fewer GPUs, and with far fewer",
        ),
        pytest.param(
            [
                named("7", 1, nodes=FOUR[:3], gpus=24),
                named("8", 2.2, nodes=FOUR[:3], gpus=24),
                named("9", 3.5, nodes=FOUR[:3], gpus=24),
            ],
            [("7", "7", "time_limit"), ("8", "7", "time_limit"), ("9", "9", "alone")],
            id="on few nodes only right after",
        ),
        pytest.param(
            [named("7", 1, state="NODE_FAIL"), named("7", 3), named("8", 5)],
            [("7", "7", "requeue"), ("7", "7", "requeue"), ("8", "7", "time_limit")],
            id="a requeue, then another job",
        ),
    ],
)
def test_jobs_that_go_on_with_each_other_are_one_run(attempts, expected):
    made = linked(attempts, days=4)
    assert (
        made.select("job_id", "run", "link").sort("job_id", maintain_order=True).rows() == expected
    )


def test_days_of_a_chain_do_not_depend_on_the_window():
    chain = [named(str(100 + n), 23 * n, hours=22) for n in range(70)]
    whole = linked(chain, days=70)
    parts = [linked(chain, since=T0 + n * DAY) for n in range(70)]
    assert pl.concat(parts).sort("cluster", "job_id", "submitted").equals(whole)
    assert whole["run"].n_unique() == 4  # pieces of four weeks


def test_every_link_has_its_confidence_in_python_and_sql():
    from test_views import warehouse

    links = RUN_ATTEMPTS.dtypes["link"].categories.to_list()
    assert list(LINK_CONFIDENCE) == links
    connection = warehouse({})
    told = [connection.sql(f"SELECT link_confidence('{link}')").fetchall()[0][0] for link in links]
    assert told == list(LINK_CONFIDENCE.values())
    assert sorted(told[:-1], reverse=True) == told[:-1]


def test_a_reused_job_id_is_another_run():
    rows = linked([attempt("7", 1), attempt("7", 1 + 24 * 32)])
    assert verdicts(rows) == [("7", "7", "alone", False)]


def test_missing_counts_become_numbers():
    rows = linked(
        [attempt("1", 1, gpus=None), attempt("2", 1, nodes=None), attempt("3", 1, node_count=4)]
    )
    assert rows.select("node_count", "gpus").rows() == [(2, 0), (0, 16), (4, 16)]


def test_a_day_is_the_same_in_any_window_and_order():
    attempts = [attempt("7", hour) for hour in (1, 20, 30, 50)] + [attempt("8", 25)]
    marks = [mark("7", 50.2, "big"), mark("8", 25.1, "other")]
    whole = linked(attempts, marks, days=3)
    parts = [linked(attempts[::-1], marks[::-1], since=T0 + n * DAY) for n in range(3)]
    assert pl.concat(parts).sort("cluster", "job_id", "submitted").equals(whole)
    assert len(whole) == 5


def test_two_jobs_with_three_attempts_each_are_two_runs(shared_data):
    from transforms.sources.base import Origin
    from transforms.sources.slurm_sacct import SOURCE

    file = shared_data / "slurm-live" / "sacct_x.psv"
    parsed = SOURCE.parse(
        file.read_bytes(), Origin(file.name, datetime(2026, 11, 23, 8, tzinfo=UTC))
    )
    made = link(
        Window(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 23, 8, tzinfo=UTC)),
        job_attempts=parsed.frames["job_attempts"],
        run_marks=RUN_MARKS.empty(),
    )["run_attempts"]  # fmt: skip
    assert len(made) == 70
    again = made.filter(link="requeue").group_by("run").len().sort("run")
    assert again.rows() == [("1", 3), ("34", 3)]


class TestHeterogeneousJobs:
    """Slurm's `12+0`, `12+1`: several components of one job, with one fate."""

    HEAD = attempt("12+0", 1, hours=2, nodes=["head"], node_count=1, gpus=0, cpus=32)

    def one(self, *parts, marks=(), **more):
        return linked([*parts], marks, **more).to_dicts()

    def test_they_are_one_attempt_of_one_run_under_the_leader_s_id(self):
        first = attempt("12+1", 1, hours=2, nodes=["n2", "n1"], node_count=2, cpus=8)
        second = attempt("12+2", 1, hours=1.9, nodes=["n3"], node_count=1, gpus=4, name="late")
        (row,) = self.one(second, self.HEAD, first)
        assert (row["job_id"], row["run"], row["link"]) == ("12", "12", "alone")
        assert (row["nodes"], row["node_count"], row["gpus"]) == (["n1", "n2", "n3"], 3, 20)
        assert (row["started"], row["ended"]) == (T0 + HOUR, T0 + 3 * HOUR)
        assert row["name"] == "late"

    def test_the_component_that_failed_tells_how_all_of_them_ended(self):
        dead = attempt("12+1", 1, hours=2, state="NODE_FAIL", exit_code=0)
        (row,) = self.one({**self.HEAD, "state": "CANCELLED", "exit_code": 1}, dead)
        assert (row["state"], row["exit_code"]) == ("NODE_FAIL", 0)

    def test_a_requeue_is_a_second_attempt_and_the_log_names_the_leader(self):
        parts = [attempt(f"12+{n}", hour) for n in (0, 1) for hour in (1, 3)]
        rows = self.one(*parts, marks=[mark("12", 3.1, "big")])
        assert [(r["job_id"], r["run"], r["link"], r["logs_steps"]) for r in rows] == [
            ("12", "big", "train_log", False),
            ("12", "big", "train_log", True),
        ]
        assert {r["gpus"] for r in rows} == {32}

    def test_while_one_component_runs_the_job_runs(self):
        (row,) = self.one(self.HEAD, attempt("12+1", 1) | {"ended": None, "state": "RUNNING"})
        assert row["ended"] is None

    def test_components_that_wait_hold_nothing(self):
        waiting = {"started": None, "ended": None, "nodes": None, "state": "PENDING"}
        (row,) = self.one(self.HEAD | waiting, attempt("12+1", 1) | waiting)
        assert (row["started"], row["nodes"], row["gpus"]) == (None, None, 16)

    def test_without_any_gpu_all_nodes_count(self):
        (row,) = self.one(self.HEAD, self.HEAD | {"job_id": "12+1", "nodes": ["other"]})
        assert (row["nodes"], row["node_count"], row["gpus"]) == (["head", "other"], 2, 0)

    def test_a_chain_of_time_limits_links_them_as_it_does_others(self):
        named = {"name": "big", "user": "maria", "account": "a", "partition": "p"}
        parts = [
            attempt(f"{job}+{n}", hour, state="TIMEOUT", **named)
            for job, hour in ((12, 1), (15, 2))
            for n in (0, 1)
        ]
        rows = self.one(*parts)
        assert [(r["job_id"], r["run"], r["link"]) for r in rows] == [
            ("12", "12", "time_limit"),
            ("15", "12", "time_limit"),
        ]
