"""`faultledger ask why-was-my-run-slow`: a run's losses with their incidents, lines and cost."""

import json

import pytest
from lakes import take, write

from flows import cli
from flows.derive import derive

SACCT = """\
JobID|JobName|Cluster|Submit|Eligible|Start|End|State|ExitCode|NNodes|NodeList|AllocTRES|Comment
7|train|c|2026-03-02T07:59:00|2026-03-02T08:00:00|2026-03-02T08:00:00|2026-03-02T09:00:00|NODE_FAIL|0:0|2|n[1-2]|gres/gpu=16|run=big
7|train|c|2026-03-02T09:00:00|2026-03-02T09:00:00|2026-03-02T10:00:00|2026-03-02T11:00:00|COMPLETED|0:0|2|n[1-2]|gres/gpu=16|run=big
"""
XID = "<4>1 2026-03-02T08:50:10.000000Z n2 kernel - - - NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."
PRICE = '[[prices]]\nvalid_from = 2026-01-01\ncurrency = "EUR"\nprice_per_gpu_hour = 2.0\n'


def step(number: int, at: str) -> str:
    return json.dumps(
        {"t": at, "cluster": "c", "run": "big", "job_id": "7", "event": "step", "step": number, "seconds": 600}
    )  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """An hour of steps, a lost GPU, an hour's wait, and twenty minutes run again."""
    root = tmp_path_factory.mktemp("losses")
    first = [step(n, f"2026-03-02T08:{n}0:00Z") for n in range(1, 6)]
    again = [step(n, f"2026-03-02T10:{n - 2}0:00Z") for n in range(4, 8)]
    write(
        root / "in",
        {"sacct.psv": SACCT, "k/n2.log": f"{XID}\n", "train.ndjson": "\n".join([*first, *again])},
    )
    take(root / "lake", root / "in")
    (root / "lake" / "settings.toml").write_text(PRICE)
    derive(root / "lake")
    return root / "lake"


def test_the_dearest_loss_comes_first_with_its_line_and_its_cost(lake, capsys):
    assert cli.main(["ask", "why-was-my-run-slow", "--run", "big", "--lake", str(lake)]) == 0
    told = capsys.readouterr().out
    headline, _ = told.split("\n", 1)
    assert headline == (
        "big: 48.0 GPU-hours from 2026-03-02 08:00 to 2026-03-02 11:00, up to 16 GPUs; 1 unplanned stop. "
        "Kept at the ideal pace: 38.9%; lost, the dearest first: 29.3 GPU-hours, 61.1%, 59 EUR."
    )
    first = told.split("  2  ")[0]
    # Two lost steps, ten minutes of hang, an hour without GPUs, ten minutes to the first step.
    assert "26.7 GPU-hours" in first
    assert "53 EUR" in first
    assert "GPU: lost" in first
    assert "1.33 h without a new step" in first
    assert "k/n2.log:1  " + XID in first
    assert "queue_wait 16.0, step_lost 5.3, " in first


def test_programs_get_every_loss_with_the_texts(lake, capsys):
    cli.main(
        ["ask", "why_was_my_run_slow", "--run", "big", "--lake", str(lake), "--format", "json"]
    )
    rows = json.loads(capsys.readouterr().out)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["raw_texts"] == [XID]
    assert [row["gpu_hours"] for row in rows] == sorted(
        (r["gpu_hours"] for r in rows), reverse=True
    )
    assert all(row["cost"] == pytest.approx(2 * row["gpu_hours"]) for row in rows)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["--run", "small"], "no run small: there are big.", id="unknown"),
        pytest.param([], "which run? Name it with --run: there are big.", id="unnamed"),
    ],
)
def test_a_run_that_is_not_there_is_answered_by_those_that_are(lake, capsys, words, expected):
    assert cli.main(["ask", "why-was-my-run-slow", *words, "--lake", str(lake)]) == 2
    assert expected in capsys.readouterr().err
