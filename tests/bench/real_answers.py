"""A page of answers about two real systems, with intervals: to be read beside their README.

    python tests/bench/real_answers.py      needs ../shared/data

InfiniteHBD: 400 servers over 348 days (584 outages as recorded). slurm-live: 8 nodes of a running
Slurm in which jobs failed and nodes were killed. Each line of the page is a command as typed.
"""

import io
import json
import shlex
import sys
import tempfile
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.cli import main

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BEGAN, DAYS, SERVERS = datetime(2024, 3, 30, tzinfo=UTC), 348, 400

INFINITEHBD = (
    """sql "SELECT definition, clock, failures, round(node_days, 2) AS node_days, round(mtbf_hours / 24, 2) AS mtbf_days, round(mtbf_hours_lo / 24, 2) AS lo, round(mtbf_hours_hi / 24, 2) AS hi, round(per_1000_node_days, 3) AS per_1000 FROM fleet_rates WHERE class = 'all' AND clock IN ('wall', 'in_service') ORDER BY definition, clock" """,
    """sql "SELECT class, component, sum(failures) AS failures, round(1000 * sum(failures) / (SELECT sum(wall_ms) / 8.64e7 FROM exposure), 3) AS per_1000, round(1000 * poisson_lo(sum(failures)) / (SELECT sum(wall_ms) / 8.64e7 FROM exposure), 3) AS lo, round(1000 * poisson_hi(sum(failures)) / (SELECT sum(wall_ms) / 8.64e7 FROM exposure), 3) AS hi FROM failures WHERE definition = 'as-recorded' GROUP BY ALL ORDER BY 3 DESC LIMIT 8" """,
    """sql "SELECT basis, repairs, open, round(mean_hours, 2) AS mean_hours, round(median_hours, 3) AS median_hours, round(p90_hours, 1) AS p90_hours, round(out_hours / 24, 2) AS out_days FROM repair_times" """,
    "rates cluster --clock wall --definition as-recorded",
    "rates cluster --clock wall",
    "availability cluster --promised 0.98",
    "survival --of between-failures --by cluster --clock wall",
    "survival --of repair --by cluster",
    "trend cluster --definition as-recorded",
    "suspects --clock wall --top 5",
)
SLURM = (
    """sql "SELECT state, count(*) AS attempts FROM job_attempts GROUP BY ALL ORDER BY 2 DESC" """,
    """sql "SELECT began, node, len(nodes) AS nodes, class, component, root_kind, counts, interrupts FROM incidents ORDER BY began" """,
    """sql "SELECT node, down_from, round(epoch(up_again - down_from) / 60, 1) AS minutes, planned, reason FROM repairs ORDER BY down_from LIMIT 18" """,
    """sql "SELECT clock, definition, failures, round(node_days, 3) AS node_days, round(per_1000_node_days, 1) AS per_1000, round(per_1000_node_days_lo, 1) AS lo, round(per_1000_node_days_hi, 1) AS hi FROM fleet_rates WHERE class = 'all' AND definition = 'coalesced-180s'" """,
    """sql "SELECT job_id, run, failed_at, state, cause, planned, nodes FROM interruptions ORDER BY failed_at" """,
    "rates cluster",
    "availability cluster",
)


def called(*arguments: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        main(list(arguments))
    return out.getvalue()


def infinitehbd(root: Path) -> Path:
    folder = DATA / "infinitehbd"
    faulty = sorted({event["node_id"] for event in json.loads((folder / "fault_trace.json").read_text())})  # fmt: skip
    servers = faulty + [f"silent-{n}" for n in range(SERVERS - len(faulty))]
    ends = BEGAN + timedelta(days=DAYS)
    spell = f"8,{BEGAN:%Y-%m-%d},{ends:%Y-%m-%d}"
    lines = ["node,gpus,valid_from,valid_to", *(f"{server},{spell}" for server in servers)]
    (root / "nodes.csv").write_text("\n".join(lines) + "\n")
    lake = root / "lake"
    lake.mkdir()
    (lake / "settings.toml").write_text(
        f"observed_from = {BEGAN:%Y-%m-%d}\nobserved_until = {ends:%Y-%m-%d}\n"
    )
    called("ingest", str(folder), str(root / "nodes.csv"), "--lake", str(lake), "--plain")
    called("derive", "--lake", str(lake), "--plain")
    return lake


def slurm(root: Path) -> Path:
    lake, folder = root / "lake", DATA / "slurm-live"
    files = ("sacct_x.psv", "events.psv", "scontrol_nodes.txt", "slurmctld.log")
    paths = [str(folder / name) for name in files]
    called(
        "ingest", *paths, "--cluster", "memphis", "--zone", "UTC", "--lake", str(lake), "--plain"
    )
    called("derive", "--lake", str(lake), "--plain")
    return lake


def page(title: str, lake: Path, questions: tuple[str, ...]) -> None:
    print(f"\n== {title} ==")
    for question in questions:
        print(f"\n$ faultledger {question.strip()}", flush=True)
        sys.stdout.write(called(*shlex.split(question), "--lake", str(lake)))


if __name__ == "__main__":
    for title, made, questions in (
        ("InfiniteHBD", infinitehbd, INFINITEHBD),
        ("slurm-live", slurm, SLURM),
    ):
        with tempfile.TemporaryDirectory() as folder:
            page(title, made(Path(folder)), questions)
