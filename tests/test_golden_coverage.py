"""Every worked example of sections 3 and 7 of the methods is held by a test, figure by figure.

Read from the tests' own text: a test claims an example by its key, and a figure by its name, in
one function. What a test recomputes in another form, or takes as its input, is listed with why.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
# Examples by the section that gives them.
SECTIONS = {
    3: "X2 X2b X3 X4 X5 X6b X7 X7b X8 X8b X8c X9 X10 X11 X12 X12b X15 X22b X29 X35 X40 X42 X48",
    7: "X8 X8c X20 X21 X22 X22b X23 X23b X24 X43",
}
# The example and figure, and where it is instead.
ELSEWHERE = {
    ("X43_blast", "hgx"): "a node's GPUs are the fleet's own in every case of test_blast",
}


def claims() -> dict[str, set[str]]:
    """Golden key to all strings of the functions that name it, its parametrisation included."""
    found: dict[str, set[str]] = {}
    for path in sorted(TESTS.glob("test_*.py")):
        if path == Path(__file__).resolve():
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                said = {
                    part.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
                for key in said:
                    if key.startswith("X"):
                        found.setdefault(key, set()).update(said)
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_figure_of_a_section_is_claimed_by_a_test(section, golden):
    by_number = {key.split("_")[0]: key for key in golden}
    held, missing = claims(), []
    for number in SECTIONS[section].split():
        key = by_number[number]
        if key not in held:
            missing.append(f"{key}: no test")
            continue
        figures = golden[key] if isinstance(golden[key], dict) else {}
        missing += [
            f"{key}: {figure}"
            for figure in figures
            if figure not in held[key] and (key, figure) not in ELSEWHERE
        ]
    assert not missing


def test_what_is_said_to_be_elsewhere_is_an_example_that_there_is(golden):
    for (key, figure), reason in ELSEWHERE.items():
        assert figure in golden[key], (key, figure)
        assert len(reason) > 10
