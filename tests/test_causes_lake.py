"""The studies of causes put to a lake: the sample's planted history, and a calendar of changes."""

import json
import shutil
from pathlib import Path

import pytest
from lakes import take

from flows import settings, warehouse
from flows.cli import main
from flows.derive import derive

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"


@pytest.fixture(scope="module")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("causes") / "lake"
    root.mkdir()
    shutil.copy(SAMPLE / "settings.toml", root)
    take(root, *(SAMPLE / part for part in ("slurm", "kernel", "inventory", "train")))
    derive(root)
    return root


@pytest.fixture
def ask(sample_lake, capsys):
    """Rows of one command over the sample's lake."""

    def run(*words: str, code: int = 0) -> list[dict]:
        assert main([*words, "--lake", str(sample_lake), "--format", "json"]) == code
        told = capsys.readouterr()
        return json.loads(told.out) if not code else [{"error": told.err}]

    return run


def test_the_pdu_that_tripped_is_named_and_no_other(ask):
    rows = ask("domains")
    named = [(r["kind"], r["name"]) for r in rows if r["what"] == "domain"]
    assert ("pdu", "pdu-004a") in named
    assert {name for _, name in named} <= {"pdu-004a", "rack-004"}
    (pdu,) = [r for r in rows if r["kind"] == "pdu" and r["what"] == "all"]
    assert (pdu["verdict"], pdu["largest_burst"]) == ("nodes fail together", 3)


def test_two_weeks_of_one_rate_show_no_change(ask):
    assert {row["changed_on"] for row in ask("changes")} == {None}


def test_costs_by_class_add_up_to_what_the_ledger_charges(ask, sample_lake):
    rows = [row for row in ask("blast") if row["width"] == "any"]
    with warehouse.open_warehouse(sample_lake) as connection:
        (charged,) = connection.execute(
            "SELECT sum(gpu_hours(gpu_ms)) FROM gpu_time JOIN incidents USING (incident) "
            "WHERE counts AND definition = 'coalesced-180s'"
        ).fetchone()
    assert sum(row["gpu_hours_lost"] for row in rows) == pytest.approx(charged)
    assert max(row["amplification"] for row in rows if row["class"] == "GPU") > 10


def test_signs_and_the_schedulers_check_are_scored(ask):
    signs = {row["sign"]: row for row in ask("precursors")}
    assert {row["verdict"] for row in signs.values()} == {"no evidence that it foretells failures"}
    (check,) = ask("detectors")
    assert check["reporter"] == "scheduler: healthcheck"
    assert check["alarms_hit"] <= check["alarms"]


def test_a_change_of_detectors_is_kept_in_the_settings_and_stops_a_comparison(
    sample_lake, tmp_path, capsys
):
    root = shutil.copytree(sample_lake, tmp_path / "lake")
    with (root / "settings.toml").open("a") as said:
        said.write(
            '\n[[calendar]]\nday = 2026-03-09\nkind = "detector"\nwhat = "a new check"\n'
            '\n[[calendar]]\nday = 2026-03-04\nkind = "driver"\nwhat = "570"\nclass = "GPU"\n'
        )
    rows = warehouse.query(root, "SELECT day::VARCHAR AS day, kind, what, class FROM calendar")
    assert rows.rows() == [
        ("2026-03-04", "driver", "570", "GPU"),
        ("2026-03-09", "detector", "a new check", None),
    ]
    weeks = ("2026-03-02..2026-03-09", "2026-03-09..2026-03-16")
    assert main(["compare", *weeks, "--lake", str(root)]) == 2
    assert "2026-03-09 a new check" in capsys.readouterr().err
    assert main(["compare", *weeks, "--across-detectors", "--lake", str(root)]) == 0


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('day = 2026-03-09\nkind = "moon"\nwhat = "full"', "is none of detector, driver"),
        ('day = 2026-03-09\nkind = "driver"', "what' is missing"),
        ('day = 2026-03-09\nkind = "driver"\nwhat = "x"\nclass = "Sun"', "class 'Sun'"),
        ('day = 2026-03-09\nkind = "driver"\nwhat = "x"\nrack = "r"', "unknown rack"),
        ('day = "soon"\nkind = "driver"\nwhat = "x"', "soon"),
    ],
)
def test_a_calendar_that_cannot_be_meant_is_refused(tmp_path, entry, reason):
    (tmp_path / "settings.toml").write_text(f"[[calendar]]\n{entry}\n")
    with pytest.raises(settings.SettingsError, match=reason):
        settings.load(tmp_path)


def test_the_planted_slow_hours_are_found_with_their_size(ask):
    """The simulator slows every step of three hours by 1.22; the run stopped twice in them."""
    spells = ask("slow", "pretrain-70b")
    assert len(spells) == 2
    for spell in spells:
        assert spell["slowdown_lo"] < 1.22 < spell["slowdown_hi"]
        assert spell["verdict"] == "no node shows a cause"
        lost = spell["steps"] * (spell["slow_s"] - spell["usual_s"]) * spell["gpus"] / 3600
        assert spell["gpu_hours_lost"] == pytest.approx(lost, rel=0.05)


@pytest.mark.parametrize(
    ("study", "why"),
    [
        ("excursions", "no GPU was sampled"),
        ("fabric", "no link was sampled"),
        ("climate", "no temperature board_inlet_temp_c or gpu_temp_c was sampled"),
        ("sdc", "no screen for silent corruption"),
    ],
)
def test_what_no_file_tells_is_refused_with_what_to_bring(ask, study, why):
    assert why in ask(study, code=2)[0]["error"]
