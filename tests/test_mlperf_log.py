"""A real MLPerf run of 11,616 GPUs: four fifths of it were start-up."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lakes import MODIFIED

from flows import warehouse
from transforms.sources import BY_NAME
from transforms.sources.base import Origin

ROOT = Path(__file__).resolve().parents[1]
FILE = Path("training-logs") / "mlperf" / "eos-n1452-gpt3-result_0.txt"
ORIGIN = Origin("gpt3.txt", datetime.fromtimestamp(MODIFIED, UTC))


@pytest.fixture(scope="module")
def parsed(shared_data: Path):
    return BY_NAME["mlperf_log"].parse((shared_data / FILE).read_bytes(), ORIGIN)


def test_eleven_thousand_ranks_tell_one_start(parsed):
    marks = parsed.frames["run_marks"]
    assert (parsed.records, parsed.rejected) == (13_214, 0)
    assert dict(marks["kind"].value_counts().rows()) == {
        "job_start": 1, "init": 1, "eval": 23, "finished": 1,
    }  # fmt: skip
    (init,) = marks.filter(kind="init").to_dicts()
    (start,) = marks.filter(kind="job_start").to_dicts()
    (stop,) = marks.filter(kind="finished").to_dicts()
    assert start["gpus"] == 11_616
    assert 13.7 * 60 <= (init["ended"] - init["began"]).total_seconds() <= 13.9 * 60
    assert (stop["began"] - init["ended"]).total_seconds() / 60 == pytest.approx(3.451, abs=5e-4)


def test_blocks_hold_nine_steps_each(parsed):
    """53,526,528 tokens a block, 2,904 samples of 2,048 tokens a step."""
    steps = parsed.frames["steps"]
    assert steps.height == 23 * 9
    assert steps["tokens"].unique().to_list() == [2_904 * 2_048]
    assert steps["tokens"].sum() == 1_231_110_144  # what the run itself calls trained


def test_four_fifths_of_the_job_are_start_up(shared_data, tmp_path):
    """Through the command line, as an operator would."""
    lake = tmp_path / "lake"
    for verb in (["ingest", str(shared_data / FILE)], ["derive"]):
        told = subprocess.run(
            [sys.executable, "-m", "flows", *verb, "--plain", "--lake", str(lake)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
    (run,) = warehouse.query(lake, "SELECT * FROM run_goodput").to_dicts()
    leaves = warehouse.query(lake, "SELECT leaf, sum(gpu_ms)::BIGINT FROM run_time GROUP BY 1")
    assert run["gpus"] == 11_616
    assert dict(leaves.rows())["init"] / run["wall_gpu_ms"] == pytest.approx(0.806, abs=5e-4)
    assert run["goodput"] == pytest.approx(0.1795, abs=5e-5)
    assert run["coverage"] > 0.9998
    minutes = {leaf: ms / run["gpus"] / 60_000 for leaf, ms in leaves.rows()}
    (start,) = warehouse.query(
        lake,
        """
        SELECT
            epoch(began - first_started) / 60 AS launch,
            epoch(ended - began) / 60 AS told
        FROM run_marks, run_goodput
        WHERE kind = 'init'
        """,
    ).to_dicts()
    assert 13.7 <= start["told"] <= 13.9
    # Records that come before init_start are of the same start-up.
    assert minutes["init"] == pytest.approx(start["launch"] + start["told"], abs=0.003)
    assert sum(minutes.values()) - minutes["init"] == pytest.approx(3.451, abs=0.003)
