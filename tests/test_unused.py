"""Hot spares, runs that shrink within their allocation, nodes that slow a run: whose GPU time is what (G-4, G-8)."""

import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_frames import DAY_S, accounts, attempt, incident, leaves, mark, node, step_rows

from transforms.ledger.owners import NOBODY
from transforms.ledger.struck import BLOCK, FEWEST, SILENCE_MS, Strikes, missing, slowed_by

MS = 1000
NODES = ["n1", "n2", "n3"]
FLEET = [node(name) for name in NODES]


def story(*used: int | None, length: int = 100, **more):
    """Starts of the process every 100 s within one allocation of 24 GPUs, each on so many GPUs."""
    marks = [
        mark("job_start", n * length, n * length, gpus=gpus, restart=n)
        for n, gpus in enumerate(used)
    ]
    steps = [
        row
        for n in range(len(used))
        for row in step_rows(n * length // 10, n * length, [10] * (length // 10), restart=n)
    ]
    return accounts(
        fleet=FLEET,
        run_attempts=[attempt(0, len(used) * length, NODES)],
        run_marks=marks,
        steps=steps,
        **more,
    )


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        pytest.param((24,), {"ideal": 2400}, id="all in use"),
        pytest.param((None,), {"ideal": 2400}, id="nothing told"),
        pytest.param((16,), {"ideal": 1600, "spare": 800}, id="a hot spare node"),
        pytest.param((30,), {"ideal": 2400}, id="more than it holds: records disagree"),
        pytest.param((8,), {"ideal": 2400}, id="a rank that tells its own node's"),
        pytest.param(
            (24, 16), {"ideal": 2400 + 1600, "repair_wait": 800}, id="goes on without a node"
        ),
        pytest.param((16, 24), {"ideal": 1600 + 2400, "spare": 800}, id="takes the spare in"),
        pytest.param(
            (20, 16, 20),
            {"ideal": 2000 + 1600 + 2000, "repair_wait": 400, "spare": 1200},
            id="shrinks and grows beside a spare",
        ),
    ],
)
def test_what_is_not_trained_on_is_spare_or_missing(used, expected):
    made = story(*used)
    for table in ("run_time", "gpu_time"):
        found = leaves(made[table].filter(run="r"))
        assert found == {leaf: seconds * MS for leaf, seconds in expected.items()}
    told = leaves(made["run_time"], "leaf", "cause", "evidence")
    assert {key[1:] for key in told if key[0] in ("spare", "repair_wait")} <= {("", "marks")}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(1, 3))
def test_runs_that_resize_sum_to_their_allocation_and_the_fleet_to_its_capacity(used, hundreds):
    made = story(*used, length=100 * hundreds)
    seconds = 100 * hundreds * len(used)
    assert made["run_time"]["gpu_ms"].sum() == 24 * seconds * MS
    assert made["run_time"]["gpu_ms"].min() > 0
    held = made["gpu_time"].filter(run="r")["gpu_ms"].sum()
    assert held == 24 * seconds * MS
    assert made["gpu_time"]["gpu_ms"].sum() == 24 * 86_400 * MS
    # What the starts themselves say, one after the other.
    trained, latest = 0, 24
    for gpus in used:
        latest = min(gpus, 24) if gpus >= 12 else latest
        trained += 100 * hundreds * latest
    found = leaves(made["run_time"])
    assert found.get("ideal", 0) + found.get("slow", 0) == trained * MS


@pytest.mark.parametrize(
    ("used", "nodes", "expected"),
    [
        pytest.param((24, 16), ["n3"], {("GPU", "i1"): 8}, id="its node's GPUs"),
        pytest.param(
            (24, 12), ["n3"], {("GPU", "i1"): 8, ("over-eviction", "i1"): 4}, id="and healthy ones"
        ),
        pytest.param((24, 12), ["n2", "n3"], {("GPU", "i1"): 12}, id="two nodes struck"),
        pytest.param((24, 16), ["n9"], {("", ""): 8}, id="a node that the run does not hold"),
        pytest.param((24, 20, 16), ["n3"], {("GPU", "i1"): 4 + 4, ("", ""): 4}, id="two losses"),
        pytest.param((24, 12, 20), ["n3"], {("GPU", "i1"): 8 + 4, ("over-eviction", "i1"): 4},
                     id="those evicted come back first"),
    ],
)  # fmt: skip
def test_missing_gpus_are_the_incident_s_that_struck_their_nodes(used, nodes, expected):
    """It struck 50 s before the second start; a third start is 100 s later."""
    made = story(*used, incidents=[incident("i1", 50, nodes)])
    lost = made["run_time"].filter(pl.col("leaf") == "repair_wait")
    assert leaves(lost, "cause", "incident") == {key: n * 100 * MS for key, n in expected.items()}


@pytest.mark.parametrize(
    ("tokens", "second", "expected"),
    [
        pytest.param((24, 24), 15, {"ideal": 2400 + 2400}, id="the same batch, half as long again"),
        pytest.param((24, 16), 10, {"ideal": 2400 + 1600}, id="as many tokens a GPU"),
        pytest.param((24, 24), 18, {"ideal": 2400 + 2400, "slow": 480}, id="dearer than that"),
        pytest.param((None, None), 18, {"ideal": 2400 + 2400, "slow": 480}, id="no tokens told"),
    ],
)
def test_what_a_step_costs_more_on_fewer_gpus_is_slow_as_elastic(tokens, second, expected):
    """Ten steps of 10 s on 24 GPUs, then ten on 16: beyond the full size's GPU time a token."""
    marks = [mark("job_start", 0, 0, gpus=24), mark("job_start", 100, 100, gpus=16, restart=1)]
    steps = step_rows(1, 0, [10] * 10, tokens=tokens[0])
    steps += step_rows(11, 100, [second] * 10, tokens=tokens[1], restart=1)
    made = accounts(
        fleet=FLEET,
        run_attempts=[attempt(0, 100 + 10 * second, NODES)],
        run_marks=marks,
        steps=steps,
    )["run_time"]
    kept = made.filter(pl.col("leaf").is_in(["ideal", "slow"]))
    assert leaves(kept) == {leaf: seconds * MS for leaf, seconds in expected.items()}
    assert set(kept.filter(leaf="slow")["cause"]) <= {"elastic"}


def owners_one_by_one(use, incidents, held, per_node):
    """Who has each missing GPU at each start, told GPU by GPU; a GPU has one owner or nobody."""
    owner: list[int | None] = [None] * held  # of GPU n, counted from 0: None while it trains
    told = []
    before, since = use[0], None
    for nth, now in enumerate(use):
        at = 100 * nth
        if now < before:
            near = [
                i for i in incidents if i["began"] <= at and (since is None or i["began"] > since)
            ]
            last = max(near, key=lambda i: (i["began"], i["owner"]), default=None)
            for gpu in range(now, before):
                is_struck = last and gpu >= before - last["struck"] * per_node
                owner[gpu] = NOBODY if not last else last["owner" if is_struck else "eviction"]
        for gpu in range(now):
            owner[gpu] = None
        told.append(list(owner[: max(use[: nth + 1])]))
        before, since = now, at
    return told


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(12, 24), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(-5, 60), st.integers(1, 2)), max_size=4, unique=True),
)
def test_each_missing_gpu_has_one_owner_whatever_the_starts(use, struck):
    used = pl.DataFrame({"line": 0, "began": [100 * n for n in range(len(use))], "use": use})
    used = used.with_columns(most=pl.col("use").cum_max())
    lines = pl.DataFrame({"line": [0], "started": [0], "gpus": [24], "node_count": [3]})
    incidents = [
        {"line": 0, "incident": f"i{n}", "began": 10 * at, "ended": 10 * at, "klass": "GPU",
         "struck": nodes, "owner": 50 + n, "eviction": 90 + n}
        for n, (at, nodes) in enumerate(struck)
    ]  # fmt: skip
    whole = dict.fromkeys(("line", "began", "ended", "struck", "owner", "eviction"), pl.Int64)
    rows = pl.DataFrame(incidents, schema=whole | {"incident": pl.String, "klass": pl.String})
    found = missing(used, lines, Strikes(rows))
    for row, owner in enumerate(owners_one_by_one(use, incidents, 24, 8)):
        parts = found.filter(row=row).iter_rows(named=True)
        told = {gpu: part["owner"] for part in parts for gpu in range(part["low"], part["high"])}
        assert told == {gpu: who for gpu, who in enumerate(owner) if who is not None}
        assert sum(found.filter(row=row).select(pl.col("high") - pl.col("low")).to_series()) == len(
            told
        )


def slowed_one_by_one(steps, incidents, pace):
    """Who slowed each step, told step by step: the incident that began last before its end."""
    blocks: dict[tuple[int, int, int], list[float]] = {}
    for (line, step, began, ended), usual in zip(steps, pace, strict=True):
        key = (line, began // (DAY_S * MS), step // BLOCK)
        blocks.setdefault(key, []).append((ended - began) / usual)
    told = []
    for line, step, began, ended in steps:
        shares = blocks[line, began // (DAY_S * MS), step // BLOCK]
        is_slow = len(shares) >= FEWEST and statistics.median(shares) >= 1.1
        # Of incidents that overlap the one that began first keeps the time they share.
        reached, spans = 0, []
        for i in sorted(incidents, key=lambda i: (i["began"], -i["ended"], i["owner"])):
            if i["line"] == line and i["klass"] == "GPU" and i["ended"] + SILENCE_MS > reached:
                spans.append((max(reached, i["began"]), i["ended"] + SILENCE_MS, i["owner"]))
                reached = i["ended"] + SILENCE_MS
        last = [span for span in spans if span[0] < ended][-1:]
        told.append(last[0][2] if is_slow and last and last[0][1] > began else NOBODY)
    return told


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 60), st.sampled_from([9, 10, 12, 20])), max_size=60),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 900), st.integers(0, 200), st.booleans()), max_size=4),
)  # fmt: skip
def test_slow_steps_are_the_incident_s_that_lasted_on_a_node_meanwhile(drawn, struck):
    """Two attempts around a midnight; steps are drawn, so that blocks have gaps and repeats."""
    now, steps = {0: DAY_S - 300, 1: DAY_S - 100}, []
    for line, step, took in drawn:
        steps.append((line, step, now[line] * MS, (now[line] + took) * MS))
        now[line] += took
    steps.sort(key=lambda step: (step[0], step[2]))
    incidents = [
        {"line": line, "incident": f"i{n}", "began": (DAY_S - 600 + at) * MS,
         "ended": (DAY_S - 600 + at + lasted) * MS, "klass": "GPU" if is_gpu else "Human",
         "struck": 1, "owner": 50 + n, "eviction": 90 + n}
        for n, (line, at, lasted, is_gpu) in enumerate(struck)
    ]  # fmt: skip
    frame = pl.DataFrame(
        steps, dict.fromkeys(("line", "step", "began", "ended"), pl.Int64), orient="row"
    )
    whole = dict.fromkeys(("line", "began", "ended", "struck", "owner", "eviction"), pl.Int64)
    rows = pl.DataFrame(incidents, schema=whole | {"incident": pl.String, "klass": pl.String})
    pace = np.full(len(steps), 10 * MS)
    found = slowed_by(frame, slice(None), pace, Strikes(rows))
    assert found.tolist() == slowed_one_by_one(steps, incidents, pace.tolist())
