"""The README names everything there is, and what it shows really runs."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from transforms import dictionary, tables
from transforms.sources import SOURCES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
VERBS = (
    "demo",
    "ingest",
    "map",
    "derive",
    "compact",
    "retain",
    "report",
    "sql",
    "ask",
    "check",
    "rates",
    "compare",
    "availability",
    "changes",
    "regress",
    "domains",
    "blast",
    "precursors",
    "fabric",
    "excursions",
    "climate",
    "quantiles",
    "slow",
    "sdc",
    "detectors",
    "survival",
    "recurrence",
    "ageing",
    "trend",
    "suspects",
    "slots",
    "relapses",
    "simulate",
    "schedule",
    "sources",
    "tables",
)
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_shown(verb):
    assert f"faultledger {verb}" in README


@pytest.mark.parametrize("source", [source.name for source in SOURCES])
def test_every_source_is_named(source):
    assert f"`{source}`" in README


@pytest.mark.parametrize("file", sorted((ROOT / "sql").glob("[vq]*/*.sql")), ids=lambda p: p.stem)
def test_every_view_and_question_is_named(file):
    assert f"`{file.stem}`" in README


def test_the_dictionary_is_the_one_in_force():
    shown = README.split("<!-- dictionary -->\n")[1].split("\n<!-- /dictionary -->")[0]
    assert shown == dictionary.overview(tables.ALL), "run `make readme`"


def test_the_example_of_a_new_source_is_one_file_one_line_and_one_folder(tmp_path: Path):
    """A copy of the house takes the README's source as shown, and its own tests then hold it."""
    for folder in ("transforms", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pyc*"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (code,) = re.findall(r"```python\n(\"\"\"Power.*?)```", README, re.DOTALL)
    (tmp_path / "transforms" / "sources" / "psu_log.py").write_text(code)
    listed = tmp_path / "transforms" / "sources" / "__init__.py"
    text = listed.read_text()
    text = text.replace("import (\n", "import (\n    psu_log,\n", 1)
    listed.write_text(text.replace("= (\n", "= (\n    psu_log.SOURCE,\n", 1))
    (block,) = re.findall(r"```text\n(input\.log.*?)```", README, re.DOTALL)
    for case in ("torn_line", "torn_line_again", "torn_line_once_more"):
        folder = tmp_path / "tests" / "cases" / "sources" / "psu_log" / case
        folder.mkdir(parents=True)
        file = ""
        for line in block.splitlines():
            file = line[:31].strip() or file
            with (folder / file).open("a") as growing:
                growing.write(line[31:] + "\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "psu_log"]
    done = subprocess.run(
        [*command, "tests/test_sources.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 11


@pytest.fixture(scope="module")
def demo_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` leaves behind, made without Prefect to save its server's start."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo" / "lake").mkdir(parents=True)
    shutil.copy(ROOT / "sample_data" / "settings.toml", folder / "demo" / "lake")
    for verb in (f"ingest --plain {ROOT / 'sample_data'}", "derive --plain"):
        faultledger(f"{verb} --lake demo/lake", folder)
    return folder


def faultledger(call: str, folder: Path) -> str:
    command = [sys.executable, "-m", "flows", *shlex.split(call)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: the sample's planted bad records
    return done.stdout


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_transcript_prints_what_it_shows(block: str, demo_lake: Path):
    command, _, shown = block.partition("\n")
    assert command.startswith("$ faultledger ")
    printed = faultledger(command.removeprefix("$ faultledger "), demo_lake)
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()
