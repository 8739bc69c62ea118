"""What XDMoD's Slurm shredder takes is read alike, however sacct was asked to print it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from transforms.sources import SOURCES, slurm_sacct
from transforms.sources.base import Origin

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC))
CASES = Path(__file__).parent / "cases" / "sources" / "slurm_sacct"
CASE = CASES / "no_header_and_names_last"
NAMES = "|".join(
    (
        *("JobID", "JobIDRaw", "Cluster", "Partition", "QOS", "Account", "Group", "GID", "User"),
        *("UID", "Submit", "Eligible", "Start", "End", "Elapsed", "ExitCode", "State", "NNodes"),
        *("NCPUS", "ReqCPUS", "ReqMem", "ReqTRES", "AllocTRES", "Timelimit", "NodeList", "JobName"),
    )
)
SOUND = 2


@pytest.fixture
def lines() -> list[str]:
    """A sound row of the case, and another job like it."""
    first = (CASE / "input.psv").read_text(errors="replace").splitlines()[0]
    return [first, first.replace("900|900|", "905|905|")]


def attempts(lines: list[str]):
    parsed = slurm_sacct.SOURCE.parse(("\n".join(lines) + "\n").encode(), ORIGIN)
    assert (parsed.accepted, parsed.rejected) == (SOUND, 0), parsed.rejects.rows()
    return parsed.frames["job_attempts"].drop("line_no")


def without_qos(line: str) -> str:
    cells = line.split("|")
    return "|".join(cells[:4] + cells[5:])


def surely(text: str) -> list[str]:
    return [source.name for source in SOURCES if source.sniff(text, "input") == 2]


@pytest.mark.parametrize(
    ("header", "end"),
    [([NAMES], ""), ([NAMES], "|"), ([], "")],
    ids=["-P", "-p", "-P -n"],
)
def test_the_26_columns_are_read_with_and_without_a_header(lines, header, end):
    said = [line + end for line in header + lines]
    assert surely("\n".join(said)) == ["slurm_sacct"]
    assert attempts(said).equals(attempts(lines))


def test_the_25_columns_of_before_the_qos_are_read_without_a_header(lines):
    said = [without_qos(line) for line in lines]
    assert surely("\n".join(said)) == ["slurm_sacct"]
    assert attempts(said).drop("qos").equals(attempts(lines).drop("qos"))
    assert attempts(said)["qos"].null_count() == SOUND


def test_the_clusters_own_file_is_read_in_every_form(shared_data: Path):
    own = (shared_data / "xdmod-sacct" / "phillips.log").read_text().splitlines()
    for said in (own, [NAMES, *own], [without_qos(line) for line in own]):
        parsed = slurm_sacct.SOURCE.parse("\n".join(said).encode(), ORIGIN)
        assert (parsed.accepted, parsed.rejected) == (4285, 0)
