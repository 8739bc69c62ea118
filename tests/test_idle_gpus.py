"""Telemetry as the last degree of evidence: GPUs that stand idle under an allocation (G-8, G-10)."""

from datetime import timedelta
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_frames import (
    DAY_S,
    MONDAY,
    accounts,
    at,
    attempt,
    incident,
    leaves,
    mark,
    node,
    rows,
    step_rows,
)

from transforms.ledger.lines import REACH_DAYS, attempt_lines
from transforms.ledger.nodes import shares
from transforms.ledger.telemetry import idle_over_time, idle_pieces

H = 3600
GPU_HOUR_MS = H * 1000
NODES = ["n1", "n2", "n3"]
FLEET = [node(name) for name in NODES]


def spell(name, first_hour, last_hour, idle, watched=8, gpus=8, **more):
    began = first_hour * H
    return {
        "cluster": "c", "node": name, "began": began, "ended": last_hour * H,
        "day": at(began).date(), "gpus": gpus, "watched": watched, "idle": idle, **more,
    }  # fmt: skip


def hours_of(account, *by):
    return {key: ms / GPU_HOUR_MS for key, ms in leaves(account, *(by or ("leaf", "evidence"))).items()}  # fmt: skip


def story(*spells, held=None, steps=(0, 8), fleet=FLEET, **more):
    """A run on 24 GPUs from midnight to 08:00, with a step each 600 s within the hours `steps`."""
    held = held or attempt(0, 8 * H, NODES)
    made = step_rows(1, steps[0] * H, [600] * ((steps[1] - steps[0]) * 6))
    return accounts(fleet=fleet, run_attempts=[held], steps=made, idle_spells=spells, **more)


LOGGED = {("ideal", "steps"): 24 * 8}


@pytest.mark.parametrize(
    ("spells", "expected"),
    [
        pytest.param((), {}, id="no telemetry"),
        pytest.param([("n1", 0, 8, 0)], {}, id="all at work"),
        pytest.param([("n1", 0, 3, 0), ("n1", 3, 6, 2)], {"repair_wait": 6}, id="two ranks die"),
        pytest.param([("n1", 0, 8, 8)], {"spare": 64}, id="a node that never worked"),
        pytest.param(
            [("n3", 0, 2, 8), ("n3", 2, 4, 0), ("n3", 4, 8, 3)], {"spare": 16, "repair_wait": 12},
            id="a spare that is taken in, and dies",
        ),
        pytest.param(
            [("n2", 0, 4, 2), ("n2", 4, 8, 5)], {"spare": 16, "repair_wait": 12}, id="spares and dead ranks"
        ),
        pytest.param(
            [("n1", 0, 3, 0), ("n1", 5, 7, 1)], {"repair_wait": 2}, id="unseen hours between"
        ),
        pytest.param([("n1", 4, 5, 8, 8, 12)], {"repair_wait": 0, "spare": 4}, id="more GPUs than the inventory has"),
        pytest.param([("n1", 0, 3, 0, 5), ("n1", 3, 6, 5, 5)], {"spare": 15}, id="three that nobody watches"),
        pytest.param([(n, 2, 4, 8) for n in NODES], {}, id="all idle: the log knows better"),
    ],
)  # fmt: skip
def test_gpus_that_take_no_part_in_training_are_dead_or_spare(spells, expected):
    made = story(*(spell(*one) for one in spells))
    apart = {(leaf, "telemetry"): hours for leaf, hours in expected.items() if hours}
    want = apart | {("ideal", "steps"): 24 * 8 - sum(expected.values())}
    for table in ("run_time", "gpu_time"):
        assert hours_of(made[table].filter(run="r")) == want
    told = made["run_time"].filter(pl.col("evidence").cast(pl.String) == "telemetry")
    assert set(told["cause"]) <= {""}
    assert not told["provisional"].any()


STRUCK = 2 * H + 1800
"""Half an hour ahead of the first whole hour in which the GPUs stand idle."""


@pytest.mark.parametrize(
    ("struck", "at_s", "expected"),
    [
        pytest.param(["n1"], STRUCK, {("GPU", "i1"): 6}, id="its node"),
        pytest.param(["n2"], STRUCK, {("", ""): 6}, id="another of the attempt's nodes"),
        pytest.param(["n1", "n9"], STRUCK, {("GPU", "i1"): 6}, id="its node and one elsewhere"),
        pytest.param(["n9"], STRUCK, {("", ""): 6}, id="a node that the run does not hold"),
        pytest.param(["n1"], H, {("", ""): 6}, id="two hours ahead"),
        pytest.param(["n1"], 4 * H, {("", ""): 6}, id="when they had died already"),
    ],
)
def test_for_dead_ranks_answers_what_struck_their_nodes(struck, at_s, expected):
    """Two ranks of n1 are idle from 03:00 to 06:00."""
    made = story(
        spell("n1", 0, 3, 0), spell("n1", 3, 6, 2), incidents=[incident("i1", at_s, struck)]
    )
    for table in ("run_time", "gpu_time"):
        lost = made[table].filter(pl.col("leaf") == "repair_wait", run="r")
        assert hours_of(lost, "cause", "incident") == expected


def test_where_one_comes_back_as_another_dies_nobody_is_blamed_and_nothing_lost():
    """n1's rest ends when n2's begins: as many at work as before, of more that ever were."""
    made = story(
        spell("n1", 0, 3, 4), spell("n1", 3, 8, 0), spell("n2", 0, 3, 0), spell("n2", 3, 8, 4)
    )
    assert hours_of(made["run_time"], "leaf", "incident") == {
        ("spare", ""): 12, ("repair_wait", ""): 20, ("ideal", ""): 8 * 24 - 32,
    }  # fmt: skip


IN_HALLS = [node(name, hall=hall) for name, hall in zip(NODES, ("H1", "H2", "H1"), strict=True)]


def test_idle_gpus_count_in_the_hall_where_they_stand():
    """Three of n1 never work, two of n2 die at 04:00."""
    made = story(spell("n1", 0, 8, 3), spell("n2", 0, 4, 0), spell("n2", 4, 8, 2), fleet=IN_HALLS)[
        "gpu_time"
    ].filter(run="r")
    assert hours_of(made, "hall", "leaf") == {
        ("H1", "spare"): 24, ("H2", "repair_wait"): 8,
        ("H1", "ideal"): 16 * 8 - 24, ("H2", "ideal"): 8 * 8 - 8,
    }  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(NODES), st.integers(0, 7), st.integers(0, 8)), max_size=12)
)
def test_each_hall_has_its_idle_gpus_and_sums_to_what_stands_there(told):
    idle = {(name, hour): count for name, hour, count in told}
    made = story(
        *(spell(name, hour, hour + 1, count) for (name, hour), count in sorted(idle.items())),
        fleet=IN_HALLS,
    )["gpu_time"].filter(run="r")
    want = {"H1": 0, "H2": 0}
    for hour in range(8):
        counts = {name: idle.get((name, hour), 0) for name in NODES}
        if sum(counts.values()) < 24:  # else the log knows better
            for row in IN_HALLS:
                want[row["hall"]] += counts[row["node"]]
    seen = hours_of(made.filter(pl.col("evidence").cast(pl.String) == "telemetry"), "hall")
    assert seen == {hall: hours for hall, hours in want.items() if hours}
    assert hours_of(made, "hall") == {"H1": 16 * 8, "H2": 8 * 8}


def test_time_that_no_log_explains_is_drained_where_the_gpus_are_idle():
    """Steps until 02:00, silence until the end at 08:00: of all 24 GPUs, then of 16 of them."""
    lost = [spell(n, 2, 5, 8) for n in NODES] + [spell(n, 5, 7, 8) for n in NODES[:2]]
    found = hours_of(story(*lost, steps=(0, 2))["run_time"])
    assert found == {
        ("ideal", "steps"): 48,
        ("drain_idle", "telemetry"): 24 * 3 + 16 * 2,
        ("unknown", "none"): 8 * 2 + 24,
    }


def test_a_job_that_never_logs_stays_unmeasured_and_the_evidence_tells():
    dev = attempt(0.5 * H, 6 * H, ["n1"], run="dev", logs_steps=False)
    made = accounts(
        fleet=FLEET, run_attempts=[dev], idle_spells=[spell("n1", 0, 3, 8), spell("n1", 3, 4, 7)]
    )
    assert hours_of(made["run_time"]) == {
        ("not_measured", "telemetry"): 8 * 2.5 + 7,
        ("not_measured", "scheduler"): 1 + 16,
    }
    assert made["run_hours"].is_empty()


def test_what_a_better_witness_tells_stays():
    """A hang that was noticed, a late release, an evaluation: idle or not."""
    held = attempt(0, 8 * H, NODES)
    made = story(
        *(spell(n, 0, 8, 8) for n in NODES), held=held, steps=(0, 2),
        run_marks=[mark("eval", 2 * H, 4 * H), mark("finished", 5 * H, None)],
    )  # fmt: skip
    assert hours_of(made["run_time"]) == {
        ("ideal", "steps"): 48, ("eval_or_custom", "marks"): 48,
        ("drain_idle", "telemetry"): 24, ("drain_idle", "marks"): 72,
    }  # fmt: skip


def test_gpus_that_a_start_tells_unused_are_counted_once():
    """The start uses 16 of 24; 10 are idle, so two more have died."""
    made = story(
        spell("n3", 0, 8, 8), spell("n2", 0, 4, 0), spell("n2", 4, 8, 2),
        run_marks=[mark("job_start", 0, 0, gpus=16)],
    )  # fmt: skip
    assert hours_of(made["run_time"]) == {
        ("ideal", "steps"): 16 * 8 - 8,
        ("spare", "marks"): 64,
        ("repair_wait", "telemetry"): 8,
    }


@pytest.mark.parametrize(
    ("idle", "expected"),
    [(8, (6, 2)), (7, (5, 1)), (3, (1, 0)), (2, (0, 0))],
    ids=["all idle", "one at work", "three idle", "two idle"],
)
def test_of_a_shared_node_those_count_that_must_be_idle(idle, expected):
    jobs = [
        attempt(0, H, ["n1"], job_id=run, run=run, gpus=gpus, logs_steps=False)
        for run, gpus in (("a", 6), ("b", 2))
    ]
    made = accounts(fleet=FLEET, run_attempts=jobs, idle_spells=[spell("n1", 0, 1, idle)])
    seen = hours_of(made["run_time"], "run", "evidence")
    assert tuple(seen.get((run, "telemetry"), 0) for run in "ab") == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [(None, 4), (-1 * DAY_S, 8), (-20 * DAY_S, 8)],
    ids=["there", "left", "left long ago"],
)
def test_an_inventory_counts_while_it_has_the_node(left, expected):
    """Of twelve GPUs eight are sampled and idle; of a node that the inventory no longer has, all eight."""
    made = accounts(
        fleet=[node("n1", 12, valid_to=left)], idle_spells=[spell("n1", 0, 1, 8)],
        run_attempts=[attempt(0, H, ["n1"], logs_steps=False)],
    )  # fmt: skip
    assert hours_of(made["run_time"])["not_measured", "telemetry"] == expected


def test_samples_that_name_no_cluster_are_those_of_the_only_one():
    made = story(spell("n1", 0, 8, 8, cluster=""))
    assert hours_of(made["run_time"])["spare", "telemetry"] == 64


def test_a_rank_that_died_longer_ago_than_the_reach_is_a_spare():
    days = REACH_DAYS + 3
    first, *later = [spell("n1", 24 * d, 24 * (d + 1), 1 if d else 0) for d in range(days)]
    given = {
        "fleet": FLEET, "run_attempts": [attempt(0, days * DAY_S, NODES)],
        "steps": step_rows(1, 0, [6 * H] * 4 * days), "idle_spells": [first, *later],
    }  # fmt: skip
    whole = accounts(days=(0, days), **given)["run_time"]
    found = {
        day: next(iter(hours_of(some.filter(pl.col("leaf").cast(pl.String) != "ideal"), "leaf")), "")
        for (day,), some in whole.sort("day").group_by("day", maintain_order=True)
    }  # fmt: skip
    assert [*found.values()] == ["", *["repair_wait"] * REACH_DAYS, "spare", "spare"]


def drawn(rng: Random):
    """Attempts and spells of three nodes over two days, at random."""
    fleet = [node(n, rng.choice([4, 8])) for n in NODES]
    jobs = []
    for number in range(rng.randint(1, 4)):
        began = rng.uniform(0, 40 * H)
        picked = rng.sample(NODES, rng.randint(1, 3))
        jobs.append(
            attempt(began, began + rng.uniform(60, 20 * H), picked, job_id=f"j{number}",
                    run=f"r{number}", gpus=rng.randint(1, 8 * len(picked)))
        )  # fmt: skip
    spells = []
    for name in NODES:
        hour = 0
        while (hour := hour + rng.choice([0, 0, 1, 3])) < 48:
            until = min(hour + rng.randint(1, 5), hour // 24 * 24 + 24)
            gpus = rng.choice([3, 8])
            watched = rng.randint(1, gpus)
            spells.append(spell(name, hour, until, rng.randint(0, watched), watched, gpus))
            hour = until
    return rows("fleet", *fleet), rows("run_attempts", *jobs), rows("idle_spells", *spells)


def seen_by_hand(line, wanted, fleet, spells, at_ms):
    """works and most of a line at an instant, node by node and spell by spell."""
    works = most = line["gpus"]
    installed = dict(fleet.select("node", "gpus").rows())
    for name, wants in wanted:
        own = [
            (row, max(row["gpus"], installed[name]))
            for row in spells.filter(node=name).iter_rows(named=True)
        ]
        idle = least = 0
        for row, has in own:
            began, ended = (int(row[n].timestamp() * 1000) for n in ("began", "ended"))
            if max(began, line["started"]) <= at_ms < min(ended, line["ended"]):
                idle = least = max(0, wants - (has - row["idle"]))
        for row, has in own:
            began, ended = (int(row[n].timestamp() * 1000) for n in ("began", "ended"))
            hour = GPU_HOUR_MS
            whole = (max(began, line["started"]) + hour - 1) // hour * hour
            if row["watched"] == has and began <= at_ms and whole + hour <= ended and began < line["ended"]:  # fmt: skip
                least = min(least, max(0, wants - (has - row["idle"])))
        works, most = works - idle, most - least
    return works, most


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_idle_gpus_are_those_counted_by_hand(seed):
    rng = Random(seed)
    fleet, attempts, spells = drawn(rng)
    lines = attempt_lines(attempts, MONDAY + timedelta(days=3))
    fleet = fleet.with_columns(place=pl.lit(0, pl.Int64))
    found = idle_over_time(idle_pieces(lines, fleet, spells), lines)
    wanted = shares(lines)
    for line in lines.iter_rows(named=True):
        own = found.filter(line=line["line"])
        on = wanted.filter(line=line["line"]).select("node", "wants").rows()
        for _ in range(8):
            when = int(rng.uniform(line["started"], line["ended"]))
            past = own.filter(pl.col("began") <= when)
            said = past.select("use", "most").row(-1) if past.height else (line["gpus"],) * 2
            assert said == seen_by_hand(line, on, fleet, spells, when)
