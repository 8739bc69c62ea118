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
SKIN = [path for path in MODULES if path.relative_to(ROOT).parts[0] == "flows"]
SQL = sorted((ROOT / "sql").rglob("*.sql"))
VIEWS = sorted((ROOT / "sql" / "views").glob("*.sql"))

# What each part of the house may import beside the standard library. First match wins.
CORE = {"polars", "numpy", "scipy", "numba", "dataframely", "transforms"}
MAY_IMPORT = {
    "transforms/report/": CORE | {"altair", "jinja2", "vl_convert", "markupsafe"},
    "transforms/simulate/formats/packing.py": CORE | {"zstandard"},
    "transforms/": CORE,
    "flows/warehouse.py": {"duckdb", "polars", "flows"},
    "flows/furnishing.py": {"duckdb", "polars", "flows", "transforms"},
    "flows/tables_in_sql.py": {"polars", "pyarrow", "flows", "transforms"},
    "flows/mapping/": {"duckdb", "polars", "pyarrow", "flows", "transforms"},
    "flows/lake.py": {"polars", "zstandard", "flows", "transforms"},
    "flows/footers.py": {"pyarrow"},
    "flows/encoding.py": {"pyarrow", "numpy", "polars", "flows", "transforms"},
    "flows/packing.py": {"zstandard", "flows"},
    "flows/identity.py": {"xxhash"},
    "flows/cli.py": {"cyclopts", "flows"},
    "flows/cli_about.py": {"cyclopts", "flows"},
    "flows/cli_nodes.py": {"cyclopts", "flows"},
    "flows/cli_studies.py": {"cyclopts", "flows", "transforms"},
    "flows/cli_causes.py": {"cyclopts", "flows"},
    "flows/cli_machines.py": {"cyclopts", "flows"},
    "flows/cli_lives.py": {"cyclopts", "flows", "transforms"},
    "flows/cli_fleet.py": {"cyclopts", "flows"},
    "flows/cli_runs.py": {"cyclopts", "flows"},
    "flows/cli_samples.py": {"cyclopts", "flows"},
    "flows/raw_quantiles.py": {"duckdb", "numpy", "polars", "pyarrow", "flows", "transforms"},
    "flows/cli_lake.py": {"cyclopts", "flows"},
    "flows/progress.py": {"rich"},
    "flows/orchestrate.py": {"prefect", "flows"},
    "flows/schedule.py": {"prefect", "flows"},
    "flows/": {"polars", "flows", "transforms"},
}
# Standard-library modules through which a "pure" function would touch the world.
IMPURE = {"os", "pathlib", "io", "subprocess", "socket", "urllib", "time", "random", "logging"}
# Calls that read, write, run a query or look at the clock.
WORLDLY = re.compile(r"^(scan|read|write|sink)_|^(collect|collect_async|now|today|utcnow)$")
CLOCK = {"now", "today", "utcnow", "time", "time_ns"}
MAY_LOOK_AT_THE_CLOCK = {"flows/cli.py", "flows/schedule.py"}
LAKE_PATHS = re.compile(r"(^|/)(landed|observed|derived|reports|\.s[a-z]+|\.locks)/|part\.parquet")
LONGEST = {"transforms/tables/": 600, "": 300}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(tree(path)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def calls(path: Path) -> list[ast.Attribute]:
    nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return [node.func for node in nodes if isinstance(node.func, ast.Attribute)]


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_imports_follow_the_dependency_rule(path):
    allowed = next(names for prefix, names in MAY_IMPORT.items() if place(path).startswith(prefix))
    pure = path in PURE
    impure = IMPURE - ({"random"} if "simulate" in path.parts else set())
    stdlib = set(sys.stdlib_module_names) - (impure if pure else set())
    assert not (stray := imported(path) - allowed - stdlib), f"{place(path)} may not import {stray}"


@pytest.mark.parametrize("path", PURE, ids=place)
def test_transforms_only_describe_the_work(path):
    assert not (worldly := {c.attr for c in calls(path) if WORLDLY.search(c.attr)}), worldly


@pytest.mark.parametrize("path", PURE, ids=place)
def test_chance_is_seeded(path):
    """`random.Random(seed)` or `default_rng(seed)`; never the generators that everybody shares."""
    shared = [
        ast.unparse(call)
        for call in calls(path)
        if ast.unparse(call.value) in ("random", "np.random", "numpy.random")
        and call.attr not in ("Random", "default_rng", "Generator", "PCG64", "SeedSequence")
    ]
    assert not shared
    unseeded = [
        ast.unparse(node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in ("Random", "default_rng")
        and not node.args
    ]
    assert not unseeded


@pytest.mark.parametrize("path", SKIN, ids=place)
def test_only_the_command_line_and_the_schedule_look_at_the_clock(path):
    looks = {ast.unparse(call) for call in calls(path) if call.attr in CLOCK}
    looks -= {"datetime.time"}
    assert place(path) in MAY_LOOK_AT_THE_CLOCK or not looks, looks


@pytest.mark.parametrize("path", SKIN, ids=place)
def test_only_the_lake_knows_a_path_inside_the_lake(path):
    docs = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
    }
    texts = [
        node.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docs
    ]
    known = [text for text in texts if LAKE_PATHS.search(text)]
    assert place(path) == "flows/lake.py" or not known


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_every_module_says_what_it_is_and_stays_readable(path):
    assert ast.get_docstring(tree(path)), f"{place(path)} has no docstring"
    assert path.stem == "__init__" or path.stem not in sys.stdlib_module_names
    longest = next(most for prefix, most in LONGEST.items() if place(path).startswith(prefix))
    assert len(path.read_text().splitlines()) <= longest


def test_no_frame_crosses_the_border_of_a_task():
    for node in ast.walk(tree(ROOT / "flows" / "orchestrate.py")):
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            said = [node.returns, *(argument.annotation for argument in node.args.args)]
            kinds = " ".join(ast.unparse(kind) for kind in said if kind)
            assert not re.search("DataFrame|LazyFrame", kinds), node.name


@pytest.mark.parametrize("package", [flows, transforms], ids=lambda m: m.__name__)
def test_flows_and_transforms_are_ours(package):
    assert Path(package.__file__).is_relative_to(ROOT), f"another {package.__name__} is installed"
    assert set(importlib.metadata.packages_distributions().get(package.__name__, ())) <= {
        "faultledger"
    }


@pytest.mark.parametrize("path", SQL, ids=place)
def test_sql_file_holds_one_statement_under_a_header(path):
    text = path.read_text()
    assert re.match(r"-- [A-Z0-9]", text), f"{place(path)} does not open with what it answers"
    assert not re.search(r"{{|{%", text), "SQL is no template"
    (statement,) = duckdb.extract_statements(text)
    kind = "CREATE" if path.parent.name == "macros" else "SELECT"
    assert statement.type.name == kind
    if kind == "CREATE":
        assert re.search(rf"MACRO {path.stem}\s*\(", text)
    assert re.fullmatch(r"[a-z0-9_]+", path.stem)


@pytest.mark.parametrize("path", VIEWS, ids=place)
def test_a_view_reads_tables_and_macros_never_another_view(path):
    text = re.sub(r"--.*", "", path.read_text())
    read = set(re.findall(r"\b(?:FROM|JOIN)\s+([a-z_0-9]+)", text))
    own = set(re.findall(r"\b([a-z_0-9]+) AS (?:MATERIALIZED )?\(", text))
    known = {table.name for table in tables.ALL} | {
        "poisson_limits",
        "prices",
        "settings",
        "calendar",
        "models",
        "peaks",
    }
    assert read - own <= known


def test_tables_views_macros_and_questions_share_no_name():
    names = [path.stem for path in SQL] + [table.name for table in tables.ALL]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})


@pytest.mark.parametrize("table", tables.ALL, ids=lambda t: t.name)
def test_every_column_says_what_it_means_and_every_table_has_a_key(table):
    assert table.key
    assert not [name for name, meaning in table.meanings.items() if not meaning]
    assert table.day is None or table.day in table.dtypes


def test_no_column_needs_quotes_in_sql():
    for table in tables.ALL:
        for name in table.dtypes:
            duckdb.extract_statements(f"SELECT {name} FROM {table.name} WHERE {name} IS NULL")


def test_every_derived_table_has_one_recipe_after_all_that_it_reads():
    made: list[str] = []
    for recipe in recipes.RECIPES:
        read = {table.name for table in recipe.reads if table.room == "derived"}
        assert read <= set(made)
        made += [table.name for table in recipe.makes]
    assert sorted(made) == sorted(table.name for table in tables.DERIVED)


def test_tests_hold_no_package_to_shadow_ours():
    """pytest puts tests/ first on sys.path: tests/transforms/__init__.py would be `transforms`."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_the_lock_names_hashes_and_no_addresses():
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|git\+|@ file:", lock)
    assert len(re.findall(r"^\S+==", lock, re.MULTILINE)) <= lock.count("--hash=sha256:")


def test_nothing_real_is_committed():
    """Operators' own files stay beside the checkout: none of them may be tracked, byte for byte."""
    shared = ROOT.parent / "shared" / "data"
    if not shared.is_dir():
        pytest.skip("needs the real inputs in ../shared/data")
    real = {path.read_bytes() for path in shared.rglob("*") if path.is_file()}
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.split(b"\0")
    ours = [ROOT / name.decode() for name in listed if name]
    same = [p.name for p in ours if p.is_file() and p.stat().st_size and p.read_bytes() in real]
    assert set(same) <= {"LICENSE"}
