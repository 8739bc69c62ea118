"""Every source reads every case under tests/cases/sources/<source>/ as its golden files say.

    tests/cases/sources/<source>/<what goes wrong>/
        input.<anything>         the bytes
        expected.<table>.csv     rows, one file per table that gets any; only its columns compare
        expected.rejects.csv     if any record is refused: line_no, reason, text (or some of them)
        expected.unknown.csv     if any metric is unknown: metric, samples
        origin.toml              optional: modified, cluster, node, zone, booted;
                                 is_sniffable = false where nothing in the bytes tells the format

Lists join by `;`, instants are ISO with Z, an empty cell is null or ''. A new case needs no code.
"""

import csv
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transforms.sources import BY_NAME, SOURCES
from transforms.sources.base import Origin, Parsed, Source

CASES = Path(__file__).parent / "cases" / "sources"
FOLDERS = sorted(path for path in CASES.glob("*/*") if path.is_dir())
ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC))
HEAD = 1 << 16


def told_by(case: Path) -> dict[str, Any]:
    file = case / "origin.toml"
    return tomllib.loads(file.read_text()) if file.exists() else {}


def origin_of(case: Path) -> Origin:
    told = {k: v for k, v in told_by(case).items() if k != "is_sniffable"}
    for name in ("modified", "booted"):
        if isinstance(told.get(name), str):
            told[name] = datetime.fromisoformat(told[name])
    return Origin(**{"file": "input", "modified": ORIGIN.modified, **told})


def input_of(case: Path) -> Path:
    (file,) = case.glob("input.*")
    return file


def plain(value: Any) -> Any:
    """A cell as it compares: no null apart from '', lists joined, instants in UTC."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ";".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return value


def wanted(text: str, dtype: pl.DataType) -> Any:
    """A golden cell as the column's type."""
    if text == "" or dtype == pl.Boolean:
        return text
    if dtype.is_integer():
        return int(text)
    if dtype.is_float():
        return pytest.approx(float(text), rel=1e-12, abs=0)
    if isinstance(dtype, pl.Datetime):
        return datetime.fromisoformat(text)
    return date.fromisoformat(text) if dtype == pl.Date else text


def assert_golden(frame: pl.DataFrame, golden: Path) -> None:
    with golden.open(newline="") as file:
        header, *expected = csv.reader(file)
    assert set(header) <= set(frame.columns), f"{golden} names columns the table has not"
    found = [[plain(v) for v in row] for row in frame.select(header).rows()]
    dtypes = [frame.schema[name] for name in header]
    rows = [[wanted(t, d) for t, d in zip(row, dtypes, strict=True)] for row in expected]
    assert found == rows, golden


def parsed_frames(parsed: Parsed) -> dict[str, pl.DataFrame]:
    return {**parsed.frames, "rejects": parsed.rejects, "unknown": parsed.unknown}


def assert_keeps_promises(source: Source, parsed: Parsed) -> None:
    assert set(parsed.frames) <= {table.name for table in source.makes}
    for table in source.makes:
        if table.name in parsed.frames:
            table.conform(parsed.frames[table.name])
            broken = table.broken_rules(parsed.frames[table.name])
            assert broken.keys() <= {"primary_key"}, broken  # repeats fold when the lake merges
    assert parsed.accepted + parsed.rejected + parsed.ignored == parsed.records
    assert min(parsed.accepted, parsed.rejected, parsed.ignored) >= 0
    assert parsed.rejects.height == parsed.rejected
    assert parsed.rejects["reason"].null_count() == 0


@pytest.mark.parametrize("case", FOLDERS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_a_source_reads_its_case_as_the_golden_files_say(case):
    source = BY_NAME[case.parent.name]
    parsed = source.parse(input_of(case).read_bytes(), origin_of(case))
    assert_keeps_promises(source, parsed)
    goldens = {path.name.split(".")[1]: path for path in case.glob("expected.*.csv")}
    for name, frame in parsed_frames(parsed).items():
        if name in goldens:
            by = {table.name: list(table.key) for table in source.makes}
            ordered = frame.sort(by.get(name, frame.columns[:2]), nulls_last=True)
            assert_golden(ordered, goldens.pop(name))
        else:
            assert frame.is_empty(), f"{case}: no expected.{name}.csv for {frame.rows()}"
    assert not goldens, f"{case} expects tables that the source does not make"


@pytest.mark.parametrize("case", FOLDERS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_only_its_own_source_claims_a_case(case):
    if told_by(case).get("is_sniffable") is False:
        pytest.skip("nothing in the bytes tells the format")
    file = input_of(case)
    head = file.read_bytes()[:HEAD].decode("utf-8", "replace")
    claims = {source.name: source.sniff(head, file.name) for source in SOURCES}
    own = claims.pop(case.parent.name)
    assert own > max(claims.values(), default=0), claims


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
def test_a_source_has_cases(source):
    cases = [case.name for case in FOLDERS if case.parent.name == source.name]
    assert len(cases) >= 3, f"{source.name} has {len(cases)} golden cases: {cases}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
@pytest.mark.parametrize("nothing", [b"", b"\n", b"\r\n \n"])
def test_nothing_gives_nothing(source, nothing):
    parsed = source.parse(nothing, ORIGIN)
    assert_keeps_promises(source, parsed)
    assert parsed.accepted == 0
    assert all(frame.is_empty() for frame in parsed.frames.values())


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_input_never_raises_and_is_counted(source, data):
    """Arbitrary bytes, and real cases with a stretch overwritten, doubled or cut out."""
    inputs = [input_of(c).read_bytes() for c in FOLDERS if c.parent.name == source.name]
    whole = data.draw(st.one_of(*map(st.just, inputs), st.binary(max_size=300)))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 60)))
    middle = data.draw(st.binary(max_size=20) | st.just(whole[start:end] * 2))
    damaged = whole[:start] + middle + whole[end:]
    assert_keeps_promises(source, source.parse(damaged, ORIGIN))
    head = damaged[:HEAD].decode("utf-8", "replace")
    assert source.sniff(head, "input") in (0, 1, 2)
