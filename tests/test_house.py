"""The rules of the house, held by reading the code."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import flows
import transforms
from transforms import recipes, tables

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(p for top in ("flows", "transforms") for p in (ROOT / top).rglob("*.py"))
PURE = [path for path in MODULES if path.relative_to(ROOT).parts[0] == "transforms"]
SQL = sorted((ROOT / "sql").rglob("*.sql"))
VIEWS = sorted((ROOT / "sql" / "views").glob("*.sql"))

# What each part of the house may import beside the standard library. First match wins.
DATA = {"polars", "numpy", "scipy", "numba", "dataframely", "transforms"}
MAY_IMPORT = {
    "transforms/report/": {*DATA, "altair", "vl_convert", "jinja2"},
    "transforms/simulate/": {*DATA, "zstandard"},
    "transforms/": DATA,
    "flows/warehouse.py": {"duckdb", "pyarrow", "polars", "flows", "transforms"},
    "flows/cli.py": {"cyclopts", "rich", "flows", "transforms"},
    "flows/": {"prefect", "polars", "pyarrow", "rich", "zstandard", "flows", "transforms"},
}
# Standard-library modules through which a "pure" function would touch the world.
IMPURE = {"os", "pathlib", "io", "subprocess", "socket", "urllib", "time", "random", "logging"}
# Calls that read, write, run a query or look at the clock.
WORLDLY = re.compile(r"^(scan|read|write|sink)_|^(collect|collect_async|now|today|utcnow)$")
CLOCKS = {"schedule.py", "cli.py"}
LONGEST = 300
DICTIONARY = {"transforms/tables/observed.py", "transforms/tables/derived.py"}  # split at 600


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def called(path: Path) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_dependency_rule(path):
    place = name_of(path)
    allowed = next(names for prefix, names in MAY_IMPORT.items() if place.startswith(prefix))
    stdlib = set(sys.stdlib_module_names) - (IMPURE if path in PURE else set())
    assert not (stray := imported(path) - allowed - stdlib), f"{place} may not import {stray}"


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_transforms_only_describe_the_work(path):
    own = (
        {"read_scrape", "read_labels"}
        if "sources" in path.parts or path.stem == "series"
        else set()
    )
    worldly = {name for name in called(path) if WORLDLY.search(name)} - own
    assert not worldly


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p not in PURE and p.name not in CLOCKS], ids=name_of
)
def test_only_the_schedule_and_the_command_line_look_at_the_clock(path):
    assert not called(path) & {"now", "today", "utcnow"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_and_stays_small(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert path.stem == "__init__" or path.stem not in sys.stdlib_module_names
    assert len(text.splitlines()) <= (2 * LONGEST if name_of(path) in DICTIONARY else LONGEST)


@pytest.mark.parametrize("path", [p for p in MODULES if p.name != "lake.py"], ids=name_of)
def test_only_the_lake_knows_where_its_rooms_are(path):
    strings = [
        n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)
    ]
    rooms = {
        s
        for s in strings
        if isinstance(s, str) and re.fullmatch(r"(observed|derived|landed)/.*", s)
    }
    assert not rooms


@pytest.mark.parametrize("package", [flows, transforms], ids=lambda m: m.__name__)
def test_flows_and_transforms_are_ours(package):
    assert Path(package.__file__).is_relative_to(ROOT), f"another {package.__name__} is installed"
    owners = importlib.metadata.packages_distributions()
    assert set(owners.get(package.__name__, ["faultledger"])) == {"faultledger"}


@pytest.mark.parametrize("path", SQL, ids=name_of)
def test_sql_file_holds_one_statement_under_a_header(path):
    text = path.read_text()
    assert re.match(r"-- [A-Z]", text), f"{path} does not open with what it answers"
    (statement,) = duckdb.extract_statements(text)
    kind = "CREATE" if path.parent.name == "macros" else "SELECT"
    assert statement.type.name == kind
    if kind == "CREATE":
        assert f"MACRO {path.stem}(" in text


@pytest.mark.parametrize("path", VIEWS, ids=name_of)
def test_a_view_reads_tables_and_never_another_view(path):
    words = set(re.findall(r"(?:FROM|JOIN)\s+(\w+)", path.read_text()))
    assert not words & {view.stem for view in VIEWS}


def test_no_column_needs_quotes_in_sql():
    for table in tables.ALL:
        for name in table.dtypes:
            duckdb.extract_statements(f"SELECT {name} FROM {table.name} WHERE {name} IS NULL")


def test_every_table_and_column_is_explained():
    for table in tables.ALL:
        assert table.grain
        assert all(table.meanings.values()), table.name


def test_every_derived_table_has_one_recipe_after_all_that_it_reads():
    made: list[str] = []
    for recipe in recipes.RECIPES:
        derived = [table.name for table in recipe.reads if table.room == "derived"]
        assert set(derived) <= set(made)
        made += [table.name for table in recipe.makes]
    assert sorted(made) == sorted(table.name for table in tables.DERIVED)


def test_tests_hold_no_package_to_shadow_ours():
    """pytest puts tests/ first on sys.path: tests/transforms/__init__.py would be `transforms`."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_the_lock_names_hashes_and_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert len(re.findall(r"^\S+==", lock, re.MULTILINE)) <= lock.count("--hash=sha256:")


@pytest.mark.parametrize("verb", ["sql", "check", "tables", "sources", "report"])
def test_verbs_that_only_read_do_not_wait_for_prefect(verb):
    code = (
        "import sys; from flows import cli;"
        f"sys.argv = ['faultledger', '{verb}', '--help']; cli.main(['{verb}', '--help']);"
        "sys.exit('prefect' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
