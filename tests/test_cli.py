"""The command line: what each verb prints, how it ends, and what it does not import."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
from lakes import FILES, take, write

from flows import output, settings, weekly
from flows.cli import app, main
from flows.derive import derive
from flows.errors import DataError
from flows.share import header, sql_files
from transforms import tables
from transforms.sources import SOURCES

VERBS = [
    "demo",
    "ingest",
    "derive",
    "compact",
    "retain",
    "report",
    "sql",
    "ask",
    "check",
    "analyze",
    "simulate",
    "schedule",
    "sources",
    "tables",
]


@pytest.fixture
def inbox(tmp_path):
    return write(tmp_path / "inbox")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run one command over a lake in a temporary folder: (exit code, stdout, stderr)."""
    monkeypatch.setenv("FAULTLEDGER_LAKE", str(tmp_path / "lake"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture(scope="module")
def derived_lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("derived")
    take(folder / "lake", write(folder / "inbox"))
    derive(folder / "lake")
    return folder / "lake"


@pytest.fixture
def derived(call, derived_lake, tmp_path):
    shutil.copytree(derived_lake, tmp_path / "lake")
    return call


def test_every_verb_of_the_design_is_there():
    assert set(VERBS) <= {name for name in app if not name.startswith("-")}


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_an_example(verb, call):
    code, out, _ = call(verb, "--help")
    assert code == 0
    assert re.search(rf"Example:\s+faultledger {verb}", out)


@pytest.mark.parametrize("words", ["sql", "ask", "report", "check", "tables", "sources", "ingest"])
def test_a_verb_that_needs_no_prefect_does_not_wait_for_it(words, tmp_path, inbox):
    extra = {"sql": ["SELECT 1"], "tables": ["steps"], "ingest": [str(inbox)]}.get(words, [])
    code = "import sys; from flows.cli import main; main(sys.argv[1:]); assert 'prefect' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code, words, *extra],
        env={"FAULTLEDGER_LAKE": str(tmp_path / "lake"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_ingest_says_what_became_of_each_file(call, inbox):
    code, out, _ = call("ingest", inbox)
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert re.search(r"slurm_sacct +2 job_attempts +2 +0 +0$", lines["sacct.psv"])
    assert re.search(r"train_log .* 3 +1 +0 +not a JSON object$", lines["train.ndjson"])
    assert out.splitlines()[-1] == (
        "Gained 3 arrivals, 2 job_attempts, 2 kernel_events, 1 rejects, 1 run_marks, 2 steps."
    )
    code, out, _ = call("ingest", inbox)
    assert (code, out.splitlines()[-1]) == (0, "Nothing new.")


def test_a_dry_run_writes_nothing(call, inbox, tmp_path):
    code, out, _ = call("ingest", inbox, "--dry-run")
    assert code == 0
    assert "2 kernel_events" in out
    assert "Gained" not in out
    assert not (tmp_path / "lake").exists()


def test_a_file_that_nothing_can_read_ends_with_one(call, inbox):
    write(inbox, {"odd.txt": "a shopping list"})
    code, out, _ = call("ingest", inbox)
    assert code == 1
    assert "no source knows this format" in out
    assert "2 kernel_events" in out


def test_a_source_can_be_forced(call, tmp_path):
    write(tmp_path, {"odd.txt": "a shopping list\n"})
    code, out, _ = call("ingest", tmp_path / "odd.txt", "--as", "kernel_log")
    assert code == 0
    assert re.search(r"kernel_log .* 0 +0 +1$", out.splitlines()[2])


WRONG = {
    "a missing file": (["ingest", "nosuch"], r"nosuch: no such file or folder"),
    "an unknown source": (
        ["ingest", "{inbox}", "--as", "x"],
        r"no source x: there are .*inventory_nodes",
    ),
    "an unknown verb": (["bogus"], r'Unknown command "bogus"'),
    "an unknown option": (["check", "--bogus"], r"Unknown option: --bogus"),
    "a wrong day": (["derive", "--since", "yesterday"], r"--since"),
    "a wrong zone": (
        ["ingest", "{inbox}", "--zone", "Mars/Base"],
        r"--zone Mars/Base: no such zone",
    ),
    "a wrong instant": (["ingest", "{inbox}", "--booted", "noon"], r"--booted noon: no instant"),
    "wrong SQL": (["sql", "selec 1"], r"Parser Error"),
    "two statements": (["sql", "SELECT 1; SELECT 2"], r"2 statements: give one"),
    "a wrong week": (["report", "--week", "2026-99"], r"'2026-99' is no ISO week"),
    "a week without data": (["report", "--week", "2020-W01"], r"nothing was derived for 2020-W01"),
    "a wrong format": (["report", "--format", "docx"], r"no format docx: there are html, md, json"),
    "an unknown question": (["ask", "nosuch"], r"no question nosuch: there are"),
    "a question without its values": (
        ["ask", "week_rates", "--since", "2026-03-02"],
        r"give a value for \$until",
    ),
    "an unknown table": (["tables", "nosuch"], r"no table nosuch: there are"),
    "too small a fleet": (["simulate", "{new}", "--gpus", "8"], r"at least 96 GPUs"),
    "a folder in use": (["simulate", "{inbox}"], r"not empty"),
    "a demo over other files": (["demo", "--lake", "{inbox}"], r"not a lake \(kern\.log"),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_call_ends_with_two_and_one_line(derived, inbox, tmp_path, words):
    given, message = WRONG[words]
    code, out, err = derived(*(w.format(inbox=inbox, new=tmp_path / "new") for w in given))
    assert code == 2
    assert re.search(message, err)
    assert err.count("\n") == 1, err
    assert not out
    assert {path.name for path in inbox.iterdir()} == set(FILES)


def test_data_that_is_not_there_ends_with_one_and_one_line(call, tmp_path):
    (tmp_path / "lake").mkdir()
    code, _, err = call("derive")
    assert (code, err.count("\n")) == (1, 1)
    assert "holds no observed records. Ingest some first." in err
    code, _, err = call("report")
    assert (code, err.count("\n")) == (1, 1)
    assert "Run `faultledger derive`" in err


def test_derive_counts_rows_and_says_what_was_current(call, inbox):
    call("ingest", inbox)
    code, out, _ = call("derive")
    assert code == 0
    assert re.search(r"^run_attempts +2$", out, re.MULTILINE)
    assert "13 stretches made, 3 were current" in out  # without samples no hour is to be made
    assert "0 stretches made" in call("derive")[1]


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_sql_answers_in_four_formats(derived, tmp_path, form):
    statement = "SELECT job_id, submitted, nodes, 0.1 + 0.2 AS x FROM job_attempts ORDER BY job_id"
    path = tmp_path / "answer"
    code, out, _ = derived("sql", statement, "--format", form, "--out", path)
    assert (code, out) == (0, "")
    if form == "parquet":
        assert pl.read_parquet(path)["nodes"].to_list() == [["n1", "n2"], ["n3"]]
    elif form == "json":
        (first, _) = json.loads(path.read_text())
        assert first == {
            "job_id": "1",
            "submitted": "2026-03-02T08:00:00Z",
            "nodes": ["n1", "n2"],
            "x": 0.3,
        }
    elif form == "csv":
        (_, first, _) = csv.reader(io.StringIO(path.read_text()))
        assert first == ["1", "2026-03-02T08:00:00Z", '["n1", "n2"]', "0.3"]
    else:
        lines = path.read_text().splitlines()
        assert lines[0].split() == ["job_id", "submitted", "nodes", "x"]
        assert lines[-1] == "(2 rows)"


def test_sql_reads_a_file_and_standard_input(derived, tmp_path, monkeypatch):
    (tmp_path / "count.sql").write_text("SELECT count(*) AS n FROM steps;\n")
    assert derived("sql", tmp_path / "count.sql", "--format", "csv")[1] == "n\n2\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT count(*) AS n FROM steps"))
    assert derived("sql", "--format", "csv", "--sandbox")[1] == "n\n2\n"


def test_the_prompt_goes_on_after_a_mistake(derived, monkeypatch):
    said = iter(["SELECT", " count(*) AS n FROM steps;", "selec;"])

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def answer(prompt):
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", answer)
    code, out, _ = derived("sql", "--format", "csv")
    assert code == 0
    assert "n\n2\n" in out
    assert "Parser Error" in out


def test_a_question_nobody_gave_days_for_is_of_the_last_whole_week(derived):
    days = ("--since", "2026-03-02", "--until", "2026-03-09")
    assert derived("ask", "week_headline") == derived("ask", "week_headline", *days)


def test_ask_lists_its_questions_and_answers_one(derived):
    listed = derived("ask")[1]
    for path in sql_files("questions"):
        assert path.stem in listed
        assert header(path).split("\n")[0] in listed
    code, out, _ = derived(
        "ask", "week_rates", "--since", "2026-03-02", "--until", "2026-03-09", "--format", "json"
    )
    assert code == 0
    assert json.loads(out)


def test_check_ends_with_one_when_it_finds_something_and_shows_it(derived):
    code, out, _ = derived("check")
    assert code == 1
    assert "rejected_input: 1 rows. Input that was refused" in out
    assert re.search(r"train_log +train\.ndjson +not a JSON object +1 +3", out)
    assert re.search(r"\d+ of \d+ checks found nothing\.$", out.strip())


def test_report_writes_its_files_and_prints_the_headline(derived, tmp_path):
    code, out, _ = derived("report", "--week", "2026-W10", "--format", "html", "json")
    assert code == 0
    folder = tmp_path / "lake/reports/2026-W10"
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    assert str(folder / "report.html") in out
    assert json.loads((folder / "report.json").read_text())["week"] == "2026-W10"


def test_a_report_that_says_something_else_keeps_the_earlier_one(derived, tmp_path):
    folder = tmp_path / "lake/reports/2026-W10"
    derived("report", "--week", "2026-W10", "--as-of", "2026-03-10")
    derived("report", "--week", "2026-W10", "--as-of", "2026-03-11")
    assert not list(folder.glob("as-of-*"))
    earlier = (folder / "report.md").read_text()
    more = "3|alpha|2026-03-03T08:00:00|2026-03-03T08:00:00|2026-03-03T08:01:00|2026-03-04T08:01:00|FAILED|1:0|1|n4|billing=8,gres/gpu=8,node=1"
    write(tmp_path, {"more.psv": FILES["sacct.psv"].splitlines()[0] + "\n" + more + "\n"})
    derived("ingest", tmp_path / "more.psv")
    derived("derive")
    derived("report", "--week", "2026-W10", "--as-of", "2026-03-12")
    (kept,) = folder.glob("as-of-*")
    assert kept.name == "as-of-2026-03-11T000000Z"
    assert (kept / "report.md").read_text() == earlier
    assert (folder / "report.md").read_text() != earlier


def test_sources_and_tables_say_all_there_is(call):
    told = call("sources")[1]
    for source in SOURCES:
        assert source.name in told
        assert source.example.splitlines()[0] in told
    told = call("tables")[1]
    for table in tables.ALL:
        assert f"one row per {table.grain}" in told
    told = call("tables", "gpu_time")[1]
    for column, meaning in tables.BY_NAME["gpu_time"].meanings.items():
        assert re.search(rf"^{column} .*{re.escape(meaning)}$", told, re.MULTILINE)


def test_a_simulated_fleet_is_written_where_it_can_be_ingested(call, tmp_path):
    code, out, _ = call("simulate", tmp_path / "fleet", "--gpus", 96, "--days", 1, "--seed", 3)
    assert code == 0
    assert "what was planted is in" in out
    assert (tmp_path / "fleet/truth/summary.json").is_file()
    assert call("ingest", tmp_path / "fleet")[0] == 0


def test_settings_that_cannot_be_meant_are_said_with_their_file(call, tmp_path, inbox):
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake/settings.toml").write_text('colour = "red"\n')
    code, _, err = call("ingest", inbox)
    assert code == 1
    assert re.search(r"settings\.toml: unknown setting colour\. Known are calendar, cluster, ", err)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cluster = 7", "cluster is 7, a text is needed"),
        ("zone = 'Mars/Base'", "Mars/Base"),
        ("week_close_hours = -1", "negative"),
        (
            "[[prices]]\nvalid_from = 2026-01-01\ncurrency = 'USD'",
            "'price_per_gpu_hour' is missing",
        ),
        (
            "[[prices]]\nvalid_from = 2026-01-01\ncurrency = 'USD'\nprice_per_gpu_hour = 1\n"
            "[[prices]]\nvalid_from = 2026-02-01\ncurrency = 'USD'\nprice_per_gpu_hour = 2\n",
            "two prices hold on 2026-02-01: close the earlier",
        ),
        ("cluster = ", "Correct the TOML"),
    ],
)
def test_a_setting_is_held_to_its_meaning(tmp_path, text, complaint):
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(DataError, match=complaint):
        settings.load(tmp_path)


def test_cells_are_written_so_that_a_person_reads_them():
    moment = datetime(2026, 3, 2, 8, tzinfo=UTC)
    cells = [None, True, 0.1 + 0.2, Decimal("1.50"), moment, date(2026, 3, 2), ["a", None], 7]
    assert [output.cell(value) for value in cells] == (
        ["", "true", "0.3", "1.50", "2026-03-02T08:00:00Z", "2026-03-02", '["a", null]', "7"]
    )


def test_csv_keeps_every_digit_and_json_has_no_nan():
    frame = pl.DataFrame({"x": [0.1 + 0.2, float("nan")], "t": ['a "b"\n', None]})
    assert list(csv.reader(io.StringIO(output.as_csv(frame))))[1:] == [
        ["0.30000000000000004", 'a "b"\n'],
        ["nan", ""],
    ]
    assert json.loads(output.as_json(frame))[1] == {"x": None, "t": None}


@pytest.mark.parametrize(
    ("moment", "hours", "week"),
    [
        ("2026-03-18T00:00", 48, "2026-W11"),
        ("2026-03-17T23:59", 48, "2026-W10"),
        ("2026-03-16T00:00", 0, "2026-W11"),
        ("2027-01-05T00:00", 24, "2026-W53"),
    ],
)
def test_a_week_closes_some_hours_after_its_end(moment, hours, week):
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert weekly.last_closed_week(now, hours) == week
