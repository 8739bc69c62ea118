"""Where the fleet's GPU time went, by where the GPUs stand and by who asked for them."""

from datetime import date

import pytest
from ledger_frames import rows
from test_views import ROOT, rows_of

from transforms.studies import BY_NAME, Asked, RefusalError

HOUR_MS = 3_600_000
STUDY = BY_NAME["fleet_goodput"]
CASES = ROOT / "tests" / "cases" / "sql"


def told(leaf, hours, run="", **more):
    return {
        "day": date(2026, 3, 2), "cluster": "c", "run": run, "leaf": leaf, "cause": "",
        "incident": "", "evidence": "steps", "provisional": False, "provider": "", "hall": "H1",
        "gpu_ms": hours * HOUR_MS, **more,
    }  # fmt: skip


def asked(by, *given, attempts=()):
    return STUDY.by(
        Asked(options={"by": by}),
        gpu_time=rows("gpu_time", *given),
        run_attempts=rows("run_attempts", *attempts),
    )


def attempt(run, hours, account):
    return {"cluster": "c", "run": run, "job_id": str(hours), "submitted": 3600.0 * hours, "account": account, "partition": "train"}  # fmt: skip


def test_every_hour_of_a_hall_is_in_one_column():
    leaves = (
        "idle", "spare", "queue_wait", "repair_wait", "down", "maintenance", "unobserved", "init",
        "ideal", "slow", "step_lost", "hang", "drain_idle", "not_measured", "unknown",
    )  # fmt: skip
    given = [told(leaf, 2**place, "r") for place, leaf in enumerate(leaves)]
    loose = told("ideal", 2**15, "r", provisional=True)
    other = told("idle", 7, hall="H2")
    (first, second) = asked("hall", *given, loose, other).to_dicts()
    assert [row["hall"] for row in (first, second)] == ["H1", "H2"]
    assert first["gpu_hours"] == pytest.approx(2**16 - 1)
    parts = {n: v for n, v in first.items() if n.endswith("_gpu_hours")}
    assert parts == pytest.approx(
        {
        "kept_gpu_hours": 2**8 + 2**9 + 2**15, "idle_gpu_hours": 1 + 2,
        "waiting_gpu_hours": 4 + 8, "down_gpu_hours": 16, "maintenance_gpu_hours": 32,
        "unobserved_gpu_hours": 64, "lost_gpu_hours": 2**7 + 2**10 + 2**11 + 2**12,
        "not_measured_gpu_hours": 2**13, "unknown_gpu_hours": 2**14,
        }
    )  # fmt: skip
    assert sum(parts.values()) == pytest.approx(first["gpu_hours"])
    shares = {n: first[n] * (2**16 - 1) for n in ("goodput_lo", "goodput", "goodput_hi", "fleet_goodput")}  # fmt: skip
    assert shares == pytest.approx(
        {
            "goodput_lo": 2**8 + 2**9, "goodput": 2**8 + 2**9 + 2**15,
            "goodput_hi": 2**8 + 2**9 + 2**15 + 2**14, "fleet_goodput": 2**8 + 2**15,
        }
    )  # fmt: skip
    assert (second["gpu_hours"], second["goodput"]) == (pytest.approx(7), 0)


def test_an_account_is_that_of_the_last_attempt_and_free_gpus_have_none():
    found = asked(
        "account,partition", told("ideal", 5, "r"), told("hang", 3, "s"), told("idle", 4),
        attempts=[attempt("r", 1, "old"), attempt("r", 2, "new"), attempt("s", 1, "new") | {"cluster": ""}],
    )  # fmt: skip
    assert found.select("account", "partition", "gpu_hours", "kept_gpu_hours").rows() == [
        ("new", "train", pytest.approx(8), pytest.approx(5)),
        (None, None, pytest.approx(4), 0),
    ]


@pytest.mark.parametrize(
    ("view", "by"), [("account_time", "partition,account"), ("hall_time", "provider,hall")]
)
def test_the_groups_are_those_of_the_views(view, by):
    (case,) = (CASES / view).iterdir()
    frames = {path.stem: rows_of(path) for path in case.glob("*.csv") if path.stem != "expected"}
    frames = {"run_attempts": rows("run_attempts")} | frames
    found = STUDY.by(Asked(options={"by": f"cluster,{by}"}), **frames)
    lines = [line.split(",") for line in (case / "expected.csv").read_text().splitlines()]
    want: dict[tuple, float] = {}
    for line in lines[1:]:
        group = tuple(name or None for name in line[:3])
        want[group] = want.get(group, 0) + int(line[5]) / HOUR_MS
    assert {row[:3]: row[3] for row in found.rows()} == pytest.approx(want)


def test_what_it_does_not_know_is_refused():
    with pytest.raises(RefusalError, match="cannot group by rack: there are cluster, provider"):
        asked("rack", told("idle", 1))
    with pytest.raises(RefusalError, match="no GPU time on the days asked"):
        asked("hall")
