"""`faultledger map` writes a mapping that runs as it is, whatever the file."""

import json
import re
from pathlib import Path

import pytest
from test_mapping_cases import FOLDERS, input_of
from test_sources import ORIGIN

from flows import known, mapping
from flows.cli import main

FILES = {
    "tickets.csv": "Key,Created,Resolved,Affected Host,Category\n"
    "OPS-1,2026-03-02 10:00,2026-03-02 12:00,gpu-1,GPU\nOPS-2,2026-03-03 10:00,,gpu-2,Fan\n",
    "epochs.csv": "id,host,opened_at,closed_at\n1,n1,1772445600,1772445700\n2,n2,1772445600,\n",
    "german.csv": "host;Beginn;start;select\nn1;x;02.03.2026 10:00;1\nn2;y;28.03.2026 11:30;2\n",
    "jobs.ndjson": '{"job_id": 7, "user": "u", "submit": 1772445600123, "host list": "n[1-2]"}\n',
    "deep.json": json.dumps({"meta": {"n": 1}, "data": {"events": [
        {"ts": "2026-03-02T10:00:00Z", "node": {"name": "n1"}, "severity": "WARN", "message": "hot"},
        {"ts": "2026-03-02T11:00:00Z", "node": {"name": "n2"}, "severity": "CRIT", "message": "x"},
    ]}}),
    "pairs.csv": "host,what,when,type\nn1,fan,2026-03-02T10:00:00Z,raised\n"
    "n1,fan,2026-03-02T12:00:00Z,cleared\nn2,fan,2026-03-02T12:00:00Z,raised\n",
    "plain.txt": "the node n1 fell over\nand got up again\n",
}  # fmt: skip


@pytest.fixture
def drafted(tmp_path, capsys):
    """Draft a mapping, try it; return its text and what the trial said."""

    def draft(file, *options):
        out = tmp_path / "draft.sql"
        assert main(["map", str(file), "--out", str(out), *options]) == 0
        capsys.readouterr()
        call = ["ingest", str(file), "--map", str(out), "--dry-run", "--lake", str(tmp_path / "l")]
        assert main(call) == 0, capsys.readouterr().out
        known.of_mapping(out)
        return out.read_text(), capsys.readouterr().out

    return draft


@pytest.mark.parametrize("case", FOLDERS, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_a_draft_of_every_case_runs_as_it_is(drafted, case):
    _, said = drafted(input_of(case))
    assert " of " in said


@pytest.mark.parametrize(
    ("name", "table", "accepted", "lines"),
    [
        (
            "tickets.csv",
            "outages",
            2,
            [r'"Affected Host" AS unit', r"local_time\(Created, given_z"],
        ),
        ("epochs.csv", "outages", 2, [r"to_timestamp\(opened_at\) AS began"]),
        ("german.csv", "outages", 2, [r"strptime\(\"?start\"?, '%d\.%m\.%Y %H:%M'\)"]),
        ("jobs.ndjson", "job_attempts", 1, [r"to_timestamp\(submit / 1e3\) AS submitted"]),
        ("deep.json", "cluster_events", 2, [r"reads: json data\.events", "THEN 'warning'"]),
        ("pairs.csv", "outages", 2, [r"paired_end\(type = 'raised'", "QUALIFY"]),
        ("plain.txt", "outages", 0, ["reads: lines"]),
    ],
)
def test_a_draft_guesses_the_table_the_times_and_the_names(
    drafted, tmp_path, name, table, accepted, lines
):
    (tmp_path / name).write_text(FILES[name])
    text, said = drafted(tmp_path / name)
    assert f"-- into: {table}\n" in text
    for line in lines:
        assert re.search(line, text), text
    assert f"{accepted} rows of {table}" in said


def test_every_column_of_the_table_is_in_the_draft_and_every_other_is_told(drafted, tmp_path):
    (tmp_path / "t.csv").write_text(FILES["tickets.csv"])
    text, _ = drafted(tmp_path / "t.csv", "--into", "node_states")
    header = mapping.read(tmp_path / "draft.sql")
    assert header.table is not None
    for column in set(header.table.dtypes) - {"file", "line_no", "cluster"}:
        assert re.search(rf"\b{column}\b,?  -- ", text), column
    assert "-- Not used: Key (varchar)" in text


def test_a_trial_shows_rows_reasons_and_where_each_column_is_from(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(
        "id,host,t\nT1,n1,2026-03-02T10:00:00Z\nT2,,2026-03-02T10:00:00Z\n"
    )
    (tmp_path / "m.sql").write_text(
        "-- into: outages\nSELECT line_no, 'node' AS unit_kind, host AS unit, t AS began, id AS record, "
        "NULL AS note FROM input"
    )
    call = ["ingest", str(tmp_path / "t.csv"), "--map", str(tmp_path / "m.sql"), "--dry-run"]
    assert main([*call, "--lake", str(tmp_path / "lake")]) == 0
    said = capsys.readouterr().out
    assert "1 rows of outages" in said
    assert re.search(r"1  unit is empty +3  T2,,2026", said)
    assert re.search(r"began +instant +100 % of 1 +SELECT, TIMESTAMP WITH TIME ZONE", said)
    assert re.search(r"cause +String +0 % of 1 +nothing", said)
    assert not (tmp_path / "lake").exists()


def test_a_draft_overwrites_nothing_and_needs_a_file_with_records(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(FILES["tickets.csv"])
    (tmp_path / "there.sql").write_text("-- mine")
    (tmp_path / "empty.csv").write_text("\n")
    assert main(["map", str(tmp_path / "t.csv"), "--out", str(tmp_path / "there.sql")]) == 2
    assert (tmp_path / "there.sql").read_text() == "-- mine"
    assert main(["map", str(tmp_path / "empty.csv")]) == 2
    assert main(["map", str(tmp_path / "t.csv"), "--into", "outage"]) == 2
    assert "did you mean outages?" in capsys.readouterr().err


def test_the_mapping_of_the_readme_reads_its_own_example(tmp_path):
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    (sql,) = re.findall(r"```sql\n(-- Tickets.*?)```", readme, re.DOTALL)
    (tmp_path / "tickets.sql").write_text(sql)
    header = mapping.read(tmp_path / "tickets.sql")
    data = f"{','.join(header.knows[:3])},{header.knows[3]}\n{header.example}\n".encode()
    parsed = mapping.as_source(header).parse(data, ORIGIN)
    (row,) = parsed.frames["outages"].iter_rows(named=True)
    assert (row["unit"], f"{row['began']:%H:%M}", f"{row['ended']:%H:%M}") == (
        "gpu-0417",
        "09:15",
        "13:40",
    )
