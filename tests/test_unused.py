"""Hot spares and runs that shrink within their allocation: whose GPU time is what (G-8)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_frames import accounts, attempt, leaves, mark, node, step_rows

MS = 1000
NODES = ["n1", "n2", "n3"]
FLEET = [node(name) for name in NODES]


def story(*used: int | None, length: int = 100):
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
