"""The GPU-time ledger on small histories whose every second is known (methods G-1 to G-10)."""

import polars as pl
import pytest
from ledger_frames import (
    DAY_S,
    accounts,
    at,
    attempt,
    incident,
    leaves,
    logged,
    mark,
    node,
    rows,
    save,
    step_rows,
    stop,
)

from transforms import money
from transforms.checkpoints import last_durable
from transforms.ledger.readouts import assumed_rework_gpu_ms, google_runtime_goodput, read_out

MS = 1000
NODES = ["n1", "n2"]
FLEET = [node("n1"), node("n2")]


def state(name, began, ended, state="DOWN*", reason="Not responding"):
    return {
        "cluster": "c", "node": name, "began": began, "ended": ended, "state": state,
        "reason": reason, "file": "events", "line_no": 1,
    }  # fmt: skip


def two_hours_of_sixteen_gpus():
    """The job of methods G-1, failure and all; n1 is what broke."""
    first = attempt(300, 4170, NODES, eligible=0, state="NODE_FAIL")
    second = attempt(4350, None, NODES, eligible=4170)
    return {
        "horizon": 7200,
        "fleet": FLEET,
        "run_attempts": [first, second],
        "steps": [
            *step_rows(1, 480, [10] * 180),
            *step_rows(181, 2310, [10] * 120),
            *step_rows(301, 3510, [10] * 36),
            *step_rows(301, 4530, [10] * 180, restart=1),
            *step_rows(481, 6360, [14] * 60, restart=1),
        ],
        "run_marks": [
            mark("job_start", 302, 302),
            mark("init", 300, 480),
            mark("init", 4350, 4530, restart=1),
        ],
        "checkpoints": [
            save(180, 2280, 2310, 2400),
            save(300, 3510, 3510, 3600),
            save(480, 6330, 6360, 6400),
        ],
        "interruptions": [stop(first, 3870, 4170, incident="i1")],
        "incidents": [incident("i1", 3870, ["n1"])],
        "node_states": [state("n1", 4170, 4350)],
    }


@pytest.fixture(scope="module")
def job():
    return accounts(**two_hours_of_sixteen_gpus())


def seconds(account: pl.DataFrame, gpus: int = 16) -> dict[str, float]:
    return {leaf: gpu_ms / gpus / MS for leaf, gpu_ms in leaves(account).items()}


class TestMethodsExamples:
    def test_x19_every_total(self, job, golden):
        want = golden["X19_identity"]
        found = seconds(job["run_time"])
        kept = found.pop("ideal") + found.pop("slow")
        assert kept == want["productive"]
        assert found == {
            "queue_wait": want["queue"],
            "init": want["init"],
            "ckpt_stall": want["ckpt_stall"],
            "step_lost": want["lost"],
            "hang": want["hang"],
            "repair_wait": want["repair_wait"],
        }
        assert job["run_time"]["gpu_ms"].sum() == want["gpu_seconds"] * MS

    def test_x19_read_outs(self, job, golden):
        want = golden["X19_identity"]
        found = read_out(leaves(job["run_time"]))
        assert found.goodput == pytest.approx(want["goodput_wall"], rel=1e-12)
        assert found.ettr_unqueued == pytest.approx(want["ettr_alloc"], rel=1e-12)
        assert found.ettr_meta == found.goodput
        assert found.coverage == 1
        # The product form: not queued x kept of the rest x program efficiency.
        product = 6900 / 7200 * found.ettr_unqueued * found.program_goodput
        assert product == pytest.approx(0.75, rel=1e-12)

    def test_x19b_slow_steps(self, job, golden):
        want = golden["X19b_straggler"]
        found = seconds(job["run_time"])
        assert (found["ideal"], found["slow"]) == (want["ideal"], want["straggler"])
        efficiency = read_out(leaves(job["run_time"])).program_goodput
        assert efficiency == pytest.approx(want["program_eff"], rel=1e-12)

    def test_x19_steps_after_the_last_checkpoint_are_provisional(self, job):
        loose = job["run_time"].filter("provisional")
        assert loose["gpu_ms"].sum() == 840 * 16 * MS

    def test_x19_every_loss_has_its_owner(self, job):
        owned = leaves(job["run_time"], "leaf", "cause", "incident")
        keys = {key for key in owned if key[0] not in ("ideal", "slow")}
        assert keys == {
            ("queue_wait", "start-up", ""),
            ("init", "start-up", ""),
            ("init", "GPU", "i1"),
            ("ckpt_stall", "insurance", ""),
            ("step_lost", "GPU", "i1"),
            ("hang", "GPU", "i1"),
            ("repair_wait", "GPU", "i1"),
        }

    def test_x19_the_fleet_waits_only_with_the_nodes_that_are_well(self, job):
        found = leaves(job["gpu_time"], "leaf", "run", "incident")
        assert found[("repair_wait", "r", "i1")] == 180 * 8 * MS
        assert found[("down", "", "i1")] == 180 * 8 * MS
        assert job["gpu_time"]["gpu_ms"].sum() == 7200 * 16 * MS

    def test_x44_lost_steps_stay_in_the_week_in_which_they_ran(self, golden):
        want = golden["X44_boundary"]
        monday = 7 * DAY_S
        first = attempt(monday - 90 * 60, monday + 60 * 60, NODES)
        second = attempt(monday + 60 * 60, monday + 61 * 60, NODES)
        account = accounts(
            days=(6, 8),
            fleet=FLEET,
            run_attempts=[first, second],
            steps=[
                *step_rows(100, monday - 90 * 60, [60] * 150),
                *step_rows(100, monday + 60 * 60, [60], restart=1),
            ],
            interruptions=[stop(first, monday + 60 * 60, monday + 60 * 60)],
        )["run_time"]
        lost = leaves(account.filter(leaf="step_lost"), "day")
        assert [lost[day] / 16 / MS / 60 for day in sorted(lost)] == [want["before"], want["after"]]
        assert sum(lost.values()) == want["lost_total"] * 60 * 16 * MS

    def test_x37_google_s_runtime_form(self, golden):
        assert google_runtime_goodput(60, 20, 5, 3) == pytest.approx(
            golden["X37_google_runtime"]["v"], rel=1e-12
        )

    def test_x38_rework_where_no_log_tells(self, golden):
        minute = 60 * MS
        found = assumed_rework_gpu_ms(100 * minute, 1024) + assumed_rework_gpu_ms(20 * minute, 8)
        assert money.gpu_hours(found) == pytest.approx(
            golden["X38_goodput_loss"]["gpuh"], rel=1e-12
        )

    def test_x18_and_x36_money(self, golden):
        want, hang = golden["X18_money"], golden["X36_hang"]
        price = money.implied_price_per_gpu_hour(1.25e9, 100_000, 720)
        assert price == pytest.approx(want["per_gpu_hour_720"], rel=1e-12)
        assert money.implied_price_per_gpu_hour(1.25e9, 100_000, 730.5) == pytest.approx(
            want["per_gpu_hour_730"], rel=1e-12
        )
        assert money.cost_of_lost_goodput(1.25e9, 0.99) == pytest.approx(
            want["one_point"], rel=1e-9
        )
        assert money.cost_of_lost_goodput(1.25e9, 0.44) == pytest.approx(want["lost_44"], rel=1e-9)
        assert money.cost_of_standstill(100_000, 1, price) == pytest.approx(
            want["per_minute_fleet"], rel=1e-9
        )
        assert money.cost_of_standstill(100_000, 15, price) == pytest.approx(
            want["interruption_10min_rework5"], rel=1e-9
        )
        half_an_hour = 100_000 * 30 * 60 * MS
        assert money.gpu_hours(half_an_hour) == hang["timeout30"]
        assert money.cost(half_an_hour, 17.36) == pytest.approx(hang["cost"], rel=1e-9)
        assert money.cost_of_standstill(100_000, 0.5, 17.36) == pytest.approx(
            hang["detect30s"], rel=1e-9
        )


def run(attempts, horizon=None, **given):
    given = {"fleet": FLEET} | given
    return accounts(horizon=horizon, run_attempts=attempts, **given)["run_time"]


class TestKeptOrLost:
    def test_a_manual_rollback_inside_an_attempt_is_a_person_s(self):
        one = attempt(0, 100, NODES)
        found = run([one], steps=[*step_rows(1, 0, [10] * 6), *step_rows(4, 60, [10] * 4)])
        assert leaves(found, "leaf", "cause") == {
            ("ideal", ""): 70 * 16 * MS,
            ("step_lost", "Human"): 30 * 16 * MS,
        }

    def test_a_rollback_to_an_older_checkpoint_without_a_failure_is_a_person_s(self):
        done = attempt(0, 60, NODES, state="COMPLETED")
        again = attempt(60, 100, NODES, job_id="2")
        steps = [*step_rows(1, 0, [10] * 6), *step_rows(3, 60, [10] * 4, job_id="2")]
        found = leaves(run([done, again], steps=steps), "leaf", "cause")
        assert found[("step_lost", "Human")] == 40 * 16 * MS

    def test_of_two_attempts_at_once_the_later_is_kept(self):
        zombie = attempt(0, 100, NODES)
        heir = attempt(50, 100, ["n3", "n4"], job_id="2")
        found = accounts(
            fleet=[*FLEET, node("n3"), node("n4")],
            run_attempts=[zombie, heir],
            steps=[*step_rows(1, 0, [10] * 10), *step_rows(4, 50, [10] * 5, job_id="2")],
        )["run_time"]
        assert leaves(found) == {"ideal": 80 * 16 * MS, "step_lost": 70 * 16 * MS}

    def test_a_zombie_s_checkpoint_that_the_next_attempt_comes_from_saves_its_steps(self):
        """The heir trained beside it from an older checkpoint, and in vain."""
        zombie = attempt(0, 200, NODES)
        heir = attempt(50, 120, ["n3", "n4"], job_id="2")
        third = attempt(200, 300, NODES, job_id="3")
        given = {
            "fleet": [*FLEET, node("n3"), node("n4")],
            "run_attempts": [zombie, heir, third],
            "steps": [
                *step_rows(1, 0, [10] * 20),
                *step_rows(4, 50, [10] * 7, job_id="2"),
                *step_rows(19, 200, [10] * 10, job_id="3"),
            ],
        }
        by_number = accounts(**given)["run_time"]
        assert leaves(by_number) == {"ideal": 280 * 16 * MS, "step_lost": (20 + 70) * 16 * MS}
        # Also where the steps' numbers alone would not tell: step 9 both had reached.
        given["steps"][-10:] = step_rows(10, 200, [10] * 10, job_id="3")
        given["checkpoints"] = [
            save(9, 90, 90, 95),
            {**save(8, 100, 100, 105), "job_id": "2"},
            logged(kind="restore", step=9, began=200, block_ended=200, job_id="3"),
        ]
        by_save = accounts(**given)["run_time"]
        assert leaves(by_save) == {"ideal": 190 * 16 * MS, "step_lost": (110 + 70) * 16 * MS}
        given["checkpoints"][0], given["checkpoints"][1] = (
            save(8, 90, 90, 95),
            {**save(9, 110, 110, 115), "job_id": "2"},
        )
        of_the_heir = accounts(**given)["run_time"]
        assert leaves(of_the_heir)["ideal"] == (30 + 60 + 100) * 16 * MS

    def test_a_checkpoint_tells_where_an_attempt_began_though_its_first_steps_are_not_logged(self):
        first = attempt(0, 100, NODES)
        second = attempt(100, 200, NODES, submitted=100)
        found = run(
            [first, second],
            steps=[*step_rows(1, 0, [10] * 10), *step_rows(9, 150, [10] * 5)],
            checkpoints=[logged(kind="restore", step=5, began=100, block_ended=110)],
        )
        assert leaves(found) == {
            "ideal": 100 * 16 * MS, "step_lost": 50 * 16 * MS, "restore": 10 * 16 * MS,
            "unknown": 40 * 16 * MS,
        }  # fmt: skip

    def test_a_crash_loop_leaves_lost_steps_with_the_failure_that_lost_them(self):
        first = attempt(0, 100, NODES)
        dud = attempt(100, 110, NODES, submitted=100)
        third = attempt(110, 200, NODES, submitted=110)
        found = run(
            [first, dud, third],
            steps=[*step_rows(1, 0, [10] * 10), *step_rows(6, 110, [10] * 9)],
            run_marks=[mark("init", 100, None)],
            interruptions=[
                stop(first, 100, 100, incident="i1"),
                stop(dud, 105, 110, incident="i2", cause="Host"),
            ],
        )
        owned = leaves(found, "leaf", "incident")
        assert owned[("step_lost", "i1")] == 50 * 16 * MS
        assert owned[("init", "i1")] == 10 * 16 * MS

    def test_what_two_ranks_log_of_one_step_is_one_step(self):
        one = attempt(0, 100, NODES)
        steps = step_rows(1, 0, [10] * 10) + [
            {**row, "began": row["began"] + 0.25, "ended": row["ended"] - 0.25}
            for row in step_rows(1, 0, [10] * 10)
        ]
        assert leaves(run([one], horizon=100, steps=steps)) == {"ideal": 100 * 16 * MS}

    def test_planned_stops_own_their_losses_as_planned(self):
        first = attempt(0, 100, NODES, state="CANCELLED")
        second = attempt(120, 200, NODES, submitted=110)
        found = run(
            [first, second],
            steps=[*step_rows(1, 0, [10] * 9), *step_rows(8, 130, [10] * 7)],
            interruptions=[stop(first, 90, 100, planned=True, cause="Human")],
        )
        assert leaves(found.filter(leaf="step_lost"), "cause") == {"Planned": 20 * 16 * MS}
        assert leaves(found, "leaf", "cause")[("queue_wait", "Planned")] == 20 * 16 * MS


class TestIdealStep:
    def test_a_checkpoint_in_a_step_costs_it_neither_ideal_nor_slow_time(self):
        one = attempt(0, 120, NODES)
        steps = step_rows(1, 0, [10] * 10 + [20])
        found = run([one], steps=steps, checkpoints=[save(10, 102, 109, 110)])
        assert seconds(found) == {"ideal": 110, "slow": 3, "ckpt_stall": 7}

    def test_the_ideal_is_the_tenth_percentile_of_the_first_200_steps(self):
        """A run that speeds up later was not slow by its first ideal; one that slows down is."""
        lengths = [10] * 19 + [11] * 181 + [5] * 100 + [12] * 100
        one = attempt(0, sum(lengths), NODES)
        found = seconds(run([one], steps=step_rows(1, 0, lengths)))
        # Of 200 the 20th smallest: 11 s, since only 19 took less.
        assert found == {"ideal": sum(min(n, 11) for n in lengths), "slow": 100}

    def test_each_gpu_count_has_its_own_ideal(self):
        first = attempt(0, 100, NODES)
        small = attempt(100, 200, ["n1"], submitted=100)
        steps = [*step_rows(1, 0, [10] * 10), *step_rows(11, 100, [20] * 5)]
        assert "slow" not in leaves(run([first, small], steps=steps))

    def test_the_ideal_does_not_creep_up_however_long_the_run_lasts(self):
        """A fault that began weeks ago, far beyond what a day's rows rest on, still makes it slow."""
        one = attempt(0, None, NODES)
        steps = step_rows(1, 0, [10] * 200) + step_rows(201, 3 * DAY_S, [12] * 7000)
        steps += step_rows(7201, 40 * DAY_S, [12] * 100)
        found = accounts(days=(40, 41), fleet=FLEET, run_attempts=[one], steps=steps)["run_time"]
        kept = {leaf: ms for leaf, ms in seconds(found).items() if leaf in ("ideal", "slow")}
        assert kept == {"ideal": 1000, "slow": 200}

    def test_each_batch_size_has_its_own_ideal(self):
        """Steps of twice the tokens take longer and are not slow; a few tokens more are the same."""
        one = attempt(0, 1000, NODES)
        steps = step_rows(1, 0, [10] * 20, tokens=4_194_304)
        steps += step_rows(21, 200, [12] * 5, tokens=4_300_000)
        steps += step_rows(26, 260, [20] * 20, tokens=8_388_608)
        found = seconds(run([one], steps=steps))
        assert found["slow"] == 10

    def test_lost_steps_are_not_slow(self):
        first = attempt(0, 100, NODES)
        second = attempt(100, 150, NODES, submitted=100)
        steps = [*step_rows(1, 0, [10, 10, 80]), *step_rows(3, 100, [10] * 5)]
        assert leaves(run([first, second], steps=steps)) == {
            "ideal": 70 * 16 * MS,
            "step_lost": 80 * 16 * MS,
        }


class TestStragglers:
    """Two nodes of eight GPUs; the ideal is 10 s, and from step 201 on steps take 13 s."""

    def slow(self, incidents, lengths=(13,) * 100):
        one = attempt(0, 2000 + sum(lengths) + 60, NODES)
        steps = step_rows(1, 0, [10] * 200 + list(lengths))
        found = run([one], steps=steps, incidents=incidents)
        told = found.filter(pl.col("leaf") == "slow")
        assert leaves(found)["ideal"] == (2000 + 10 * len(lengths)) * 16 * MS
        return {key: ms / 16 / MS for key, ms in leaves(told, "cause", "incident").items()}

    def test_slow_steps_while_an_incident_lasts_on_a_node_of_the_run_are_its_own(self):
        """From step 220 (2260 s) to 2500 s and the 180 s after, while blocks of steps are slow."""
        lasting = {**incident("i1", 2260, ["n2"], "PCIe"), "ended": 2500}
        assert self.slow([lasting]) == {("PCIe", "i1"): 33 * 3, ("", ""): 67 * 3}

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"nodes": ["n9"]}, id="on another node"),
            pytest.param({"class": "Software (user)"}, id="a program's own error"),
            pytest.param({"definition": "as-recorded"}, id="under another definition"),
            pytest.param({"began": 100, "ended": 200}, id="long before"),
        ],
    )
    def test_what_no_hardware_of_the_run_explains_is_nobody_s(self, other):
        lasting = {**incident("i1", 2260, ["n2"]), "ended": 2500} | other
        assert self.slow([lasting]) == {("", ""): 100 * 3}

    def test_a_stray_slow_step_is_no_spell(self):
        lasting = {**incident("i1", 2000, ["n2"]), "ended": 4000}
        assert self.slow([lasting], ([10] * 9 + [13]) * 5) == {("", ""): 5 * 3}

    def test_of_two_incidents_at_once_the_first_to_begin_has_the_time_they_share(self):
        first = {**incident("i1", 2000, ["n1"], "PCIe"), "ended": 2620 - 180}
        second = {**incident("i2", 2100, ["n2"], "Network"), "ended": 4000}
        found = self.slow([first, second])
        assert sum(found.values()) == 300
        # The step that ends beyond it belongs to the second.
        assert found[("PCIe", "i1")] == 47 * 3

    def test_steps_lost_to_a_restart_inside_the_allocation_are_the_incident_s_that_struck_it(self):
        one = attempt(0, 400, NODES)
        steps = [*step_rows(1, 0, [10] * 20), *step_rows(11, 260, [10] * 14, restart=1)]
        found = run([one], steps=steps, incidents=[incident("i1", 195, ["n2"])])
        assert leaves(found, "leaf", "incident")[("step_lost", "i1")] == 100 * 16 * MS


class TestTokens:
    def tokens(self, attempts, fleet=FLEET, **given):
        found = accounts(fleet=fleet, run_attempts=attempts, **given)["run_tokens"]
        assert found["cluster"].to_list() == ["c"] * len(found)
        return [
            (row["day"].day, row["gpu_model"], row["steps"], row["told_steps"], row["tokens"],
             row["kept_gpu_ms"])
            for row in found.iter_rows(named=True)
        ]  # fmt: skip

    def test_steps_that_were_lost_trained_no_tokens(self):
        first = attempt(0, 100, NODES)
        second = attempt(100, 150, NODES, submitted=100)
        told = [*step_rows(1, 0, [10] * 10, tokens=7), *step_rows(9, 100, [10] * 2, tokens=7)]
        untold = step_rows(11, 120, [10] * 3)
        fleet = [node("n1", gpu_model="H100"), node("n2", gpu_model="H100")]
        assert self.tokens([first, second], fleet, steps=[*told, *untold]) == [
            (2, "H100", 13, 10, 70, 130 * 16 * MS)
        ]

    def test_a_step_belongs_to_the_day_on_which_it_began(self):
        one = attempt(DAY_S - 15, DAY_S + 25, NODES)
        steps = step_rows(1, DAY_S - 15, [10] * 4, tokens=5)
        found = self.tokens([one], steps=steps, days=(0, 2))
        assert found == [(2, "", 2, 2, 10, 15 * 16 * MS), (3, "", 2, 2, 10, 25 * 16 * MS)]

    def test_of_what_two_ranks_tell_of_a_step_the_larger_counts(self):
        one = attempt(0, 100, NODES)
        steps = step_rows(1, 0, [10] * 9, tokens=5) + step_rows(1, 0.5, [9] * 9, tokens=8)
        assert self.tokens([one], steps=steps)[0][2:5] == (9, 9, 45 + 27)

    def test_gpus_of_two_models_and_of_none_are_told_apart(self):
        both = attempt(0, 20, NODES)
        one = attempt(0, 20, ["n3"], run="o", job_id="2")
        fleet = [node("n1", gpu_model="H100"), node("n2", gpu_model="A100"), node("n3")]
        steps = [*step_rows(1, 0, [10] * 2), *step_rows(1, 0, [10] * 2, run="o", job_id="2")]
        found = self.tokens([both, one], fleet, steps=steps)
        assert {row[1] for row in found} == {"A100 + H100", ""}
        assert {row[4] for row in found} == {0}


class TestStopping:
    def test_without_a_log_nothing_is_measured(self):
        found = run([attempt(0, 100, NODES, logs_steps=False)])
        assert leaves(found, "leaf", "cause") == {("not_measured", ""): 100 * 16 * MS}

    def test_a_logging_attempt_without_evidence_is_unknown(self):
        found = run([attempt(0, 100, NODES)])
        assert leaves(found, "leaf", "cause") == {("unknown", "start-up"): 100 * 16 * MS}

    def test_a_watchdog_parts_the_hang_from_the_decision(self):
        one = attempt(0, 100, NODES, state="FAILED")
        found = run(
            [one],
            steps=step_rows(1, 0, [10] * 3),
            run_marks=[mark("detected", 70, 70)],
            interruptions=[stop(one, 30, 70)],
        )
        assert seconds(found) == {"ideal": 30, "hang": 40, "decide": 30}

    def test_a_start_up_that_fails_is_start_up_until_it_is_noticed(self):
        one = attempt(0, 100, NODES, state="FAILED")
        found = run(
            [one],
            run_marks=[mark("job_start", 5, 5), mark("init", 6, None), mark("detected", 60, 60)],
            interruptions=[stop(one, 0, 60)],
        )
        assert seconds(found) == {"init": 60, "decide": 40}

    def test_a_start_up_takes_three_times_as_long_as_usual_then_it_hangs(self):
        first = attempt(0, 100, NODES)
        second = attempt(100, 300, NODES, submitted=100, state="FAILED")
        found = run(
            [first, second],
            steps=step_rows(1, 10, [10] * 9),
            run_marks=[mark("init", 100, None)],
            interruptions=[stop(first, 100, 100), stop(second, 100, 290, incident="i2")],
        )
        assert seconds(found) == {"init": 10 + 30, "ideal": 90, "hang": 160, "decide": 10}
        assert leaves(found, "leaf", "incident")[("hang", "i2")] == 160 * 16 * MS

    def test_an_attempt_that_never_said_a_word_starts_up_until_it_is_noticed(self):
        first = attempt(0, 100, NODES)
        second = attempt(100, 200, NODES, submitted=100, state="FAILED")
        found = run(
            [first, second],
            steps=step_rows(1, 30, [10] * 7),
            run_marks=[mark("job_start", 101, 101)],
            interruptions=[stop(first, 100, 100), stop(second, 100, 195)],
        )
        assert seconds(found) == {"init": 30 + 90, "ideal": 70, "hang": 5, "decide": 5}

    def test_time_to_the_first_sign_of_a_process_is_start_up(self):
        one = attempt(0, 100, NODES)
        found = run([one], run_marks=[mark("job_start", 5, 5)], steps=step_rows(1, 40, [10] * 6))
        assert seconds(found) == {"init": 40, "ideal": 60}

    def test_between_training_and_release_the_gpus_stand_idle(self):
        one = attempt(0, 100, NODES, state="COMPLETED")
        found = run([one], steps=step_rows(1, 0, [10] * 8), run_marks=[mark("finished", 85, 85)])
        assert seconds(found) == {"ideal": 80, "unknown": 5, "drain_idle": 15}

    def test_pauses_are_cut_out_of_steps_and_restore_comes_before_init(self):
        one = attempt(0, 100, NODES)
        found = run(
            [one],
            steps=step_rows(1, 40, [60]),
            run_marks=[
                mark("init", 0, 30),
                mark("eval", 50, 60),
                mark("data_wait", 55, 65),
            ],
            checkpoints=[logged(kind="restore", step=0, began=20, block_ended=40)],
        )
        assert seconds(found) == {
            "init": 20, "restore": 20, "eval_or_custom": 5, "data_stall": 10, "ideal": 45,
        }  # fmt: skip

    def test_a_save_that_never_let_go_is_part_of_the_hang(self):
        one = attempt(0, 100, NODES, state="FAILED")
        found = run(
            [one],
            steps=step_rows(1, 0, [10] * 5),
            checkpoints=[save(5, 50, None, None)],
            interruptions=[stop(one, 50, 100)],
        )
        assert seconds(found) == {"ideal": 50, "hang": 50}

    def test_a_log_that_outlives_its_allocation_is_cut_to_it(self):
        """A node's clock five seconds ahead adds no GPU time."""
        found = run([attempt(0, 50, NODES)], steps=step_rows(1, 5, [10] * 5))
        assert seconds(found) == {"init": 5, "ideal": 45}


class TestWaiting:
    def waits(self, attempts, **given):
        found = run(attempts, **given).filter(pl.col("leaf").is_in(["queue_wait", "repair_wait"]))
        return seconds(found)

    def test_a_request_that_names_no_gpus_waits_for_as_many_as_before(self):
        before = attempt(0, 100, NODES)
        pending = attempt(None, None, [], eligible=100, submitted=100)
        pending |= {"nodes": None}
        assert self.waits([before, pending], horizon=160) == {"queue_wait": 60}

    def test_a_request_that_may_not_start_yet_is_no_wait(self):
        before = attempt(0, 100, NODES)
        held = {**attempt(None, None, [], submitted=0, gpus=16), "nodes": None}
        assert self.waits([before, held | {"job_id": "2"}], horizon=160) == {}

    def test_a_run_with_gpus_does_not_wait(self):
        zombie = attempt(0, 200, NODES)
        heir = attempt(150, 200, NODES, job_id="2", eligible=20)
        assert self.waits([zombie, heir]) == {}

    def test_it_is_repair_only_while_an_old_node_is_out(self):
        before = attempt(0, 100, NODES, state="NODE_FAIL")
        after = attempt(300, 400, ["n2", "n3"], submitted=100)
        found = self.waits(
            [before, after],
            node_states=[state("n1", 120, 150), state("n1", 140, 200), state("n3", 200, 290)],
        )
        assert found == {"queue_wait": 120, "repair_wait": 80}

    def test_it_is_a_queue_while_enough_nodes_stand_free(self):
        """From 200 on another job has n3, and n1 is still broken."""
        before = attempt(0, 100, NODES, state="NODE_FAIL")
        after = attempt(300, 400, NODES, submitted=100)
        other = attempt(200, 400, ["n3"], job_id="o", run="o", logs_steps=False)
        found = accounts(
            fleet=[*FLEET, node("n3"), node("n4", gpu_model="older")],
            run_attempts=[before, after, other],
            node_states=[state("n1", 100, 250)],
        )["run_time"].filter(run="r")
        waits = found.filter(pl.col("leaf").is_in(["queue_wait", "repair_wait"]))
        assert leaves(waits, "leaf", "evidence") == {
            ("queue_wait", "scheduler"): 150 * 16 * MS,
            ("repair_wait", "node_states"): 50 * 16 * MS,
        }

    def test_a_node_is_replaced_by_its_like_as_it_was_when_the_wait_began(self):
        """n1 comes back later with other GPUs, of which n4 has the like and stands free all along."""
        before = attempt(0, 100, NODES, state="NODE_FAIL")
        after = attempt(300, 400, NODES, submitted=100)
        returns = [
            node("n1", gpu_model="old", valid_to=500),
            node("n1", gpu_model="new", valid_from=600),
            node("n2", gpu_model="old"),
            *(node(name, gpu_model="new") for name in ("n4", "n5")),
        ]
        down = [state("n1", 100, 250)]
        found = self.waits([before, after], fleet=returns, node_states=down)
        assert found == {"repair_wait": 150, "queue_wait": 50}
        alike = [row | {"gpu_model": "old"} for row in returns]
        assert self.waits([before, after], fleet=alike, node_states=down) == {"queue_wait": 200}

    def test_a_repair_is_seen_though_the_job_s_records_name_no_cluster(self):
        before = attempt(0, 100, NODES, state="NODE_FAIL", cluster="")
        after = attempt(233, 400, NODES, submitted=111, cluster="")
        found = self.waits([before, after], node_states=[state("n2", 100, 132)])
        assert found == {"repair_wait": 32, "queue_wait": 101}

    def test_the_fleet_counts_a_wait_only_on_nodes_that_no_job_uses(self):
        before = attempt(0, 100, NODES)
        after = attempt(200, 300, NODES, submitted=100)
        other = attempt(100, 150, ["n1"], run="o", job_id="9", gpus=2, logs_steps=False)
        found = accounts(fleet=FLEET, run_attempts=[before, after, other])
        assert leaves(found["run_time"])["queue_wait"] == 100 * 16 * MS
        assert leaves(found["gpu_time"])["queue_wait"] == (100 + 50) * 8 * MS


class TestNodes:
    def physical(self, attempts, fleet=FLEET, **given):
        found = accounts(fleet=fleet, run_attempts=attempts, horizon=100, **given)["gpu_time"]
        assert found["gpu_ms"].sum() == sum(n["gpus"] for n in fleet) * 100 * MS
        return {leaf: gpu_ms / 100 / MS for leaf, gpu_ms in leaves(found, "leaf", "run").items()}

    def test_shares_that_do_not_divide_go_to_the_first_nodes(self):
        nine = attempt(0, 100, ["n2", "n1"], gpus=9, logs_steps=False)
        four = attempt(0, 100, ["n1"], gpus=4, logs_steps=False, job_id="2", run="q")
        # n1 gives 5 to the first and has 3 left for the second.
        assert self.physical([nine, four]) == {
            ("not_measured", "r"): 9, ("not_measured", "q"): 3, ("idle", ""): 4,
        }  # fmt: skip

    def test_a_node_that_no_fleet_knows_counts_for_the_run_alone(self):
        one = attempt(0, 100, ["n1", "nowhere"], logs_steps=False)
        found = accounts(fleet=FLEET, run_attempts=[one], horizon=100)
        assert leaves(found["run_time"]) == {"not_measured": 1600 * MS}
        assert leaves(found["gpu_time"]) == {"not_measured": 800 * MS, "idle": 800 * MS}

    def test_a_job_without_gpus_takes_none(self):
        cpus = attempt(0, 100, ["n1"], gpus=0, logs_steps=False)
        assert self.physical([cpus]) == {("idle", ""): 16}

    @pytest.mark.parametrize(
        ("word", "reason", "leaf"),
        [
            ("DRAIN", "XID 79 GPU has fallen off the bus", "down"),
            ("DOWN*", "Not responding", "down"),
            ("MAINT", "firmware", "maintenance"),
            ("UNK", "cold-start", "unobserved"),
        ],
    )
    def test_a_job_keeps_its_gpus_whatever_the_node_s_state(self, word, reason, leaf):
        two = attempt(0, 100, ["n1"], gpus=2, logs_steps=False)
        found = self.physical([two], node_states=[state("n1", -50, None, word, reason)])
        assert found == {("not_measured", "r"): 2, (leaf, ""): 6, ("idle", ""): 8}

    def test_the_incident_that_took_a_node_out_owns_its_time(self):
        found = accounts(
            fleet=FLEET,
            horizon=100,
            node_states=[state("n1", 10, 90), state("n2", 20, 40, "DOWN*", "DIMM failed")],
            incidents=[incident("i1", 5, ["n1"], "NVLink")],
        )["gpu_time"]
        assert leaves(found.filter(leaf="down"), "cause", "incident") == {
            ("NVLink", "i1"): 80 * 8 * MS,
            ("Host", ""): 20 * 8 * MS,
        }

    def test_a_record_without_a_cluster_counts_where_its_node_is(self):
        one = attempt(0, 100, ["n1"], cluster="", logs_steps=False)
        found = accounts(fleet=FLEET, run_attempts=[one], horizon=100)
        assert leaves(found["gpu_time"], "cluster") == {"c": 1600 * MS}
        assert leaves(found["run_time"], "cluster") == {"": 800 * MS}

    def test_a_node_counts_only_while_it_is_in_the_fleet(self):
        one = attempt(0, 100, ["n1"], logs_steps=False)
        fleet = [node("n1", valid_from=20, valid_to=60), node("n1", gpus=4, valid_from=60)]
        found = accounts(fleet=fleet, run_attempts=[one], horizon=100)["gpu_time"]
        assert leaves(found) == {"not_measured": (40 * 8 + 40 * 4) * MS}


def test_an_empty_lake_has_empty_accounts():
    assert all(account.is_empty() for account in accounts().values())


def test_days_past_the_horizon_hold_nothing():
    found = accounts(days=(0, 3), horizon=DAY_S + 7.0004, fleet=[node("n1")])["gpu_time"]
    assert found["gpu_ms"].to_list() == [8 * DAY_S * MS, 8 * 7 * MS]


def test_instants_are_cut_to_milliseconds_before_anything_is_subtracted():
    """Each of three steps of 0.9996 ms would be 0 ms by itself; together they are 3 ms."""
    began, length = 0.0005, 0.0009996
    found = run(
        [attempt(began, began + 3 * length, NODES)], steps=step_rows(1, began, [length] * 3)
    )
    assert found["gpu_ms"].sum() == 3 * 16


def test_the_last_durable_checkpoint_is_the_last_that_was_safe_by_then():
    saves = rows(
        "checkpoints",
        save(10, 100, 105, 150),
        save(20, 200, 205, None),
        {**save(30, 300, 305, 350), "ok": False},
        save(40, 400, 405, 450),
        logged(kind="restore", step=10, began=460, block_ended=470),
    )
    moments = pl.DataFrame({"run": ["r"] * 4, "at": [at(s) for s in (149, 150, 449, 500)]}).cast(
        {"at": pl.Datetime("us", "UTC")}
    )
    found = last_durable(saves, moments, by=["run"])
    assert found["saved_step"].to_list() == [None, 10, 10, 40]
    assert found["saved_at"].to_list() == [None, at(100), at(100), at(400)]
