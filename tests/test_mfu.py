"""Model FLOPs utilisation: from the log's tokens and what settings.toml says, to a number or a reason (G-5)."""

import shutil
from pathlib import Path

import pytest
from lakes import take

from flows import cli, settings, warehouse
from flows.derive import derive
from transforms.ledger.readouts import mfu
from transforms.simulate import SAMPLE

MODEL = '[[models]]\nrun = "sft-*"\nparameters = 8e9\n'
PEAK = (
    '[[peaks]]\ngpu_model = "*"\npeak_flops = 989e12\nnumber_format = "bf16"\nsource = "a sheet"\n'
)


SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample_data"


@pytest.fixture(scope="module")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mfu") / "lake"
    root.mkdir()
    shutil.copy(SAMPLE_DATA / "settings.toml", root)
    take(root, *(SAMPLE_DATA / part for part in ("slurm", "inventory", "train")))
    derive(root)
    return root


def said(root, text):
    with (root / "settings.toml").open("a") as file:
        file.write(f"\n{text}")
    return root


@pytest.fixture
def lake(sample_lake, tmp_path):
    return shutil.copytree(sample_lake, tmp_path / "lake")


def test_a_finished_run_keeps_each_step_once_with_all_its_tokens(lake):
    """Whatever was lost and run again, 1 to the last step count once; both divisions agree."""
    rows = warehouse.query(
        said(lake, MODEL + PEAK), "SELECT * FROM run_mfu WHERE run LIKE 'sft-%' AND day IS NULL"
    ).to_dicts()
    assert [row["run"] for row in rows] == [plan.run for plan in SAMPLE.mids]
    for row, plan in zip(rows, SAMPLE.mids, strict=True):
        assert row["kept_steps"] == plan.last_step
        assert row["kept_tokens"] == plan.last_step * plan.tokens_per_step
        gpus = plan.nodes * 8
        seconds = row["kept_gpu_ms"] / gpus / 1000
        want = mfu(8e9, row["kept_tokens"] / seconds, gpus, 989e12)
        assert row["mfu"] == pytest.approx(want, rel=1e-9)
        assert 0 < row["mfu_wall"] < row["mfu"] < 1
        assert "bf16 (a sheet)" in row["definition"]


def test_the_answer_to_why_a_run_was_slow_tells_it_where_it_is_known(lake, capsys):
    said(lake, MODEL + PEAK)
    headlines = {}
    for run in ("sft-8b-1", "pretrain-70b"):
        assert cli.main(["ask", "why-was-my-run-slow", "--run", run, "--lake", str(lake)]) == 0
        headlines[run] = capsys.readouterr().out.split("\n", 1)[0]
    # 6 x 8e9 FLOP x 2,097,152 tokens in 15 s and a little, of 64 x 989e12 FLOP/s.
    assert headlines["sft-8b-1"].endswith(" MFU 10.5% while it trains, 9.9% of all its time.")
    assert "MFU" not in headlines["pretrain-70b"]


def test_the_days_of_a_run_sum_to_the_whole(lake):
    (row,) = warehouse.query(
        said(lake, MODEL + PEAK),
        """SELECT bool_and(whole.kept_gpu_ms = summed.kept_gpu_ms) AS same_kept,
               bool_and(whole.kept_tokens = summed.kept_tokens) AS same_tokens,
               bool_and(whole.wall_gpu_ms = summed.wall_gpu_ms) AS same_wall
           FROM run_mfu AS whole JOIN (
               SELECT run, sum(kept_gpu_ms) AS kept_gpu_ms, sum(kept_tokens) AS kept_tokens,
                   sum(wall_gpu_ms) AS wall_gpu_ms
               FROM run_mfu WHERE day IS NOT NULL GROUP BY run
           ) AS summed USING (run) WHERE whole.day IS NULL AND whole.mfu IS NOT NULL""",
    ).to_dicts()
    assert row == {"same_kept": True, "same_tokens": True, "same_wall": True}


def test_without_settings_every_run_has_its_reason_and_none_a_number(sample_lake):
    rows = warehouse.query(
        sample_lake, "SELECT DISTINCT mfu, mfu_wall, hfu, definition, reason FROM run_mfu"
    ).to_dicts()
    assert {row.pop("reason") for row in rows} == {
        "no step was kept",
        "settings.toml has no [[models]] for this run: how many parameters?",
    }
    assert {value for row in rows for value in row.values()} == {None}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('[[models]]\nrun = "r"', "parameters' is missing"),
        ('[[models]]\nrun = "r"\nparameters = 405', "405 parameters: give their number"),
        ('[[models]]\nrun = "r"\nparameters = -1', "a number above 0"),
        ('[[models]]\nrun = "r"\nparameters = 7e9\nlayers = 3', "needs all of layers, hidden"),
        ('[[models]]\nrun = "r"\nparameters = 7e9\nlayers = 0.5', "a whole number above 0"),
        ('[[models]]\nrun = ""\nparameters = 7e9', "a text is needed"),
        ('[[models]]\nrun = "r"\nparameters = 7e9\nheads = 3', "models: unknown heads"),
        (PEAK.replace("989e12", "989"), "989 FLOP/s of .*: give FLOP/s"),
        (PEAK + "capped_flops = 990e12", "above its peak_flops"),
        (PEAK.replace('source = "a sheet"\n', ""), "source' is missing"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, entry, reason):
    with pytest.raises(settings.SettingsError, match=reason):
        settings.load(said(tmp_path, entry))
