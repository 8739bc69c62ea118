"""Every shipped mapping reads every case under tests/cases/mappings/<mapping>/ as its files say.

    tests/cases/mappings/<mapping>/<what goes wrong>/
        input.<anything>, expected.<table>.csv, expected.rejects.csv, origin.toml
                                 as of a source's case (see tests/test_sources.py)

A new mapping is its SQL file in sample_data/mappings and its cases: no test code.
"""

from pathlib import Path

import pytest
from test_sources import (
    HEAD,
    assert_golden,
    input_of,
    origin_of,
    parsed_frames,
)

from flows import known, landing, mapping
from flows.share import share

CASES = Path(__file__).parent / "cases" / "mappings"
FOLDERS = sorted(path for path in CASES.glob("*/*") if path.is_dir())
BINARY = {"clustercockpit_node_states"}  # its Parquet is made in test_clustercockpit.py
MAPPINGS = sorted((share("sample_data") / "mappings").glob("*.sql"))


@pytest.mark.parametrize("case", FOLDERS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_a_mapping_reads_its_case_as_the_golden_files_say(case):
    source = known.named(f"map:{case.parent.name}")
    parsed = source.parse(input_of(case).read_bytes(), origin_of(case))
    assert parsed.accepted + parsed.rejected + parsed.ignored == parsed.records
    goldens = {path.name.split(".")[1]: path for path in case.glob("expected.*.csv")}
    for name, frame in parsed_frames(parsed).items():
        if name in goldens:
            by = {table.name: list(table.key) for table in source.makes}
            assert_golden(frame.sort(by.get(name, frame.columns[:2])), goldens.pop(name))
        else:
            assert frame.is_empty(), f"{case}: no expected.{name}.csv for {frame.rows()}"
    assert not goldens, f"{case} expects tables that the mapping does not make"


@pytest.mark.parametrize("case", FOLDERS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_a_case_is_recognised_by_its_content(case):
    file = input_of(case)
    sure = landing.recognise(file.read_bytes()[:HEAD], file.name, known.sources().values())
    assert [source.name for source in sure] == [f"map:{case.parent.name}"]


@pytest.mark.parametrize("path", MAPPINGS, ids=lambda p: p.stem)
def test_a_shipped_mapping_says_what_it_reads_and_has_cases(path):
    header = mapping.read(path)
    assert header.title.endswith(".")
    assert header.example
    assert header.knows
    least = 0 if path.stem in BINARY else 2 if header.table else 1
    assert len([case for case in FOLDERS if case.parent.name == path.stem]) >= least
