"""A requeued job of a real Slurm, from its accounting and node events alone: every second told.

Job 34 held six nodes of eight GPUs three times; two nodes were killed under it. It logged nothing.
"""

from pathlib import Path

import pytest
from lakes import take, write

from flows import warehouse
from flows.derive import derive

GPUS = 48
HELD_S = 146 + 26 + 421  # 06:55:56-06:58:22, 07:00:35-07:01:01, 07:03:14-07:10:15
WAITED_S = {"start-up": 3, "first return": 133, "second return": 133}
"""From 06:55:53, when it could have started, and from each end to the next start."""


@pytest.fixture(scope="module")
def lake(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slurm")
    texts = {
        name: (shared_data / "slurm-live" / name).read_text()
        for name in ("sacct_x.psv", "events.psv")
    }
    take(folder / "lake", write(folder / "in", texts))
    derive(folder / "lake")
    return folder / "lake"


def asked(lake: Path, query: str) -> list[dict[str, object]]:
    return warehouse.query(lake, query).to_dicts()


def test_every_second_of_the_requeued_run_is_told_by_the_scheduler(lake):
    rows = asked(lake, "SELECT leaf, cause, evidence, gpu_ms FROM run_time WHERE run = '34'")
    seconds = {}
    for row in rows:
        assert row["gpu_ms"] % (GPUS * 1000) == 0
        kind = "held" if row["leaf"] == "not_measured" else row["cause"]
        seconds[kind] = seconds.get(kind, 0) + row["gpu_ms"] // GPUS // 1000
    assert seconds == {"held": HELD_S, "start-up": 3, "Unknown": 266}
    assert sum(seconds.values()) == HELD_S + sum(WAITED_S.values()) == 862
    assert {row["leaf"] for row in rows} == {"not_measured", "queue_wait", "repair_wait"}
    assert {row["evidence"] for row in rows} == {"scheduler", "node_states"}


def test_each_wait_is_owned_by_the_node_that_was_killed(lake):
    owned = asked(
        lake,
        """
        SELECT node, sum(gpu_ms)::BIGINT // 48000 AS seconds
        FROM run_time JOIN incidents USING (incident)
        WHERE run = '34'
        GROUP BY node ORDER BY node
        """,
    )
    assert owned == [{"node": "gpu002", "seconds": 133}, {"node": "gpu004", "seconds": 133}]


def test_without_a_log_nothing_is_called_productive(lake):
    (run,) = asked(lake, "SELECT * FROM run_goodput WHERE run = '34'")
    assert (run["wall_gpu_ms"], run["kept_gpu_ms"]) == (862 * GPUS * 1000, 0)
    assert (run["goodput"], run["coverage"], run["disruptions"]) == (None, 0.0, 2)


def test_the_fleet_of_the_day_sums_to_its_capacity(lake):
    spent = asked(lake, "SELECT day, sum(gpu_ms)::BIGINT AS ms FROM gpu_time GROUP BY day")
    had = asked(lake, "SELECT day, sum(gpu_capacity_ms)::BIGINT AS ms FROM exposure GROUP BY day")
    assert spent == had
