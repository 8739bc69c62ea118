"""Any file becomes rows of any observed table through one SELECT that sees nothing else."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from lakes import NOW

from flows import ingest as ingesting
from flows import known, landing, mapping
from flows.cli import main
from flows.errors import CallError, RefusedError
from flows.lake import Lake
from flows.reading import Options
from flows.share import share
from transforms.sources import SOURCES
from transforms.sources.base import Origin
from transforms.tables import observed

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC), cluster="alpha")
HEAD = "-- Tickets.\n-- into: outages\n"
OUTAGE = "SELECT line_no, 'node' AS unit_kind, host AS unit, opened AS began, id AS record"
TICKETS = """id,host,opened
T1,n1,2026-03-02T10:00:00Z
T2,n2,2026-03-02T11:00:00+01:00
"""


@pytest.fixture
def write(tmp_path):
    def put(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return put


@pytest.fixture
def through(write):
    """Read bytes through a mapping's text."""

    def parsed(text: str, data: str | bytes, origin: Origin = ORIGIN):
        source = known.of_mapping(write("new.sql", text))
        return source.parse(data.encode() if isinstance(data, str) else data, origin)

    return parsed


def counts(parsed):
    return parsed.records, parsed.accepted, parsed.rejected, parsed.ignored


def refused(parsed):
    return parsed.rejects.select("line_no", "reason").rows()


def hour(number: int, minute: int = 0):
    return datetime(2026, 3, 2, number, minute, tzinfo=UTC)


def test_a_csv_becomes_outages_that_cite_their_lines(through):
    parsed = through(f"{HEAD}{OUTAGE} FROM input", TICKETS)
    assert counts(parsed) == (2, 2, 0, 0)
    rows = parsed.frames["outages"].select("line_no", "unit", "cluster", "file", "began")
    assert rows.rows() == [
        (2, "n1", "alpha", "input", hour(10)),
        (3, "n2", "alpha", "input", hour(10)),
    ]


@pytest.mark.parametrize(
    "data",
    [
        '[{"id": "T1", "host": "n1", "opened": "2026-03-02T10:00:00Z"}]',
        '{"id": "T1", "host": "n1", "opened": "2026-03-02T10:00:00Z"}',
        '{"id": "T1", "host": "n1", "opened": "2026-03-02T10:00:00Z"}\n',
        '{"id": "T1",\n "host": "n1",\n "opened": "2026-03-02T10:00:00Z"}',
        "id;host;opened\r\nT1;n1;2026-03-02T10:00:00Z\r\n",
        "\ufeffid\thost\topened\nT1\tn1\t2026-03-02T10:00:00Z\n",
    ],
    ids=["array", "object", "ndjson", "pretty", "semicolons", "tabs"],
)
def test_the_kind_of_a_text_is_told_by_its_content(through, data):
    parsed = through(f"{HEAD}{OUTAGE} FROM input", data)
    assert counts(parsed) == (1, 1, 0, 0)
    assert parsed.frames["outages"]["unit"].to_list() == ["n1"]


def test_a_text_of_a_windows_program_is_read(through):
    data = "\ufeffid\thost\topened\r\nT1\tn1\t2026-03-02T10:00:00Z\r\n".encode("utf-16-le")
    assert counts(through(f"{HEAD}{OUTAGE} FROM input", data)) == (1, 1, 0, 0)


def test_records_lie_at_any_depth_of_a_document(through):
    data = {"page": {"tickets": [{"id": "T1", "host": {"name": "n1"}}, {"id": "T2", "host": {}}]}}
    text = f"""{HEAD}-- reads: json page.tickets
SELECT line_no, 'node' AS unit_kind, host.name AS unit, id AS record, file_time() AS began
FROM input"""
    parsed = through(text, json.dumps(data))
    assert counts(parsed) == (2, 1, 1, 0)
    assert refused(parsed) == [(2, "unit is empty")]
    assert json.loads(parsed.rejects["text"][0]) == {"id": "T2", "host": {}}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ('{"id": "T1", "host": "n1"}\n\n{"id": "T2", "ho\n{"id": "T3", "host": "n3"}\n', 3),
        ('[{"id": "T1", "host": "n1"}, {"id": "T3", "host": "n3"}, {"id": "T', 3),
        ('[{"id": "T1", "host": "n1"}, {"id": "T3", "host": "n3"},', 3),
    ],
    ids=["line", "element", "array"],
)
def test_a_torn_record_is_refused_and_the_others_survive(through, data, line):
    text = f"""{HEAD}SELECT line_no, 'node' AS unit_kind, host AS unit, id AS record,
    file_time() AS began FROM input"""
    parsed = through(text, data)
    assert counts(parsed) == (3, 2, 1, 0)
    assert parsed.frames["outages"]["record"].to_list() == ["T1", "T3"]
    assert parsed.rejects["line_no"].to_list() == [line]


def test_rows_of_a_parquet_file_are_counted_from_one(through, tmp_path):
    frame = pl.DataFrame({"id": ["T1", "T2"], "host": ["n1", None], "opened": [hour(1), hour(2)]})
    frame.write_parquet(tmp_path / "t.parquet")
    parsed = through(f"{HEAD}{OUTAGE} FROM input", (tmp_path / "t.parquet").read_bytes())
    assert counts(parsed) == (2, 1, 1, 0)
    assert refused(parsed) == [(2, "unit is empty")]
    assert json.loads(parsed.rejects["text"][0])["id"] == "T2"


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_table_of_an_sqlite_file_is_read(through, tmp_path, journal):
    with sqlite3.connect(tmp_path / "t.db") as made:
        made.execute(f"PRAGMA journal_mode = {journal}")
        made.execute("CREATE TABLE tickets (id TEXT, host TEXT, opened REAL, n)")
        made.execute("CREATE TABLE other (x)")
        made.execute(
            "INSERT INTO tickets VALUES ('T1', 'n1', 1772445600.5, 1), ('T2', 'n2', 0, 'x')"
        )
    made.close()
    data = (tmp_path / "t.db").read_bytes()
    select = """SELECT line_no, 'node' AS unit_kind, host AS unit, to_timestamp(opened) AS began,
    id AS record, n AS note FROM input WHERE opened > 0"""
    parsed = through(f"{HEAD}-- reads: sqlite tickets\n{select}", data)
    assert counts(parsed) == (2, 1, 0, 1)
    assert parsed.frames["outages"].select("began", "note").row(0) == (
        hour(10).replace(microsecond=500_000),
        "1",
    )
    with pytest.raises(RefusedError, match=r"2 tables \(other, tickets\): say which"):
        through(f"{HEAD}{select}", data)


def test_any_other_text_is_lines(through):
    text = f"""{HEAD}SELECT line_no, 'node' AS unit_kind, file_time() AS began,
    regexp_extract(line, 'lost (\\w+)', 1) AS unit, line AS record
FROM input WHERE line LIKE '%lost%'"""
    parsed = through(text, "all well\n\nlost n7 at noon\n")
    assert counts(parsed) == (2, 1, 0, 1)
    assert parsed.frames["outages"].select("line_no", "unit").row(0) == (3, "n7")


def test_what_duckdb_refuses_of_a_csv_keeps_its_line_and_text(through):
    """A quoted cell over two lines, a row too short, one too long, a blank line, a stray byte."""
    data = (
        b"# exported\nid,host,opened,note\n"
        b'T1,n1,2026-03-02T10:00:00Z,"two\nlines"\n'
        b"T2,n2\n"
        b"\n"
        b"T3,n3,2026-03-02T10:00:00Z,\xff,5\n"
        b"T4,n\xff4,2026-03-02T12:00:00Z,x\n"
    )
    parsed = through(f'{HEAD}-- reads: csv skip=1 quote="\n{OUTAGE}, note FROM input', data)
    assert counts(parsed) == (4, 2, 2, 0)
    rows = parsed.frames["outages"].sort("line_no").select("line_no", "unit", "note").rows()
    assert rows == [(3, "n1", "two\nlines"), (8, "n\ufffd4", "x")]
    assert parsed.rejects.rows() == [
        (5, "missing columns: the header promises 4 columns", "T2,n2"),
        (
            7,
            "too many columns: the header promises 4 columns",
            "T3,n3,2026-03-02T10:00:00Z,\ufffd,5",
        ),
    ]


def test_a_csv_without_a_header_is_given_names(through):
    text = f"{HEAD}-- reads: csv delim=| header=false names=id,host,opened\n{OUTAGE} FROM input"
    parsed = through(text, "T1|n1|2026-03-02T10:00:00Z\nT2|n2|2026-03-02T10:00:00Z\n")
    assert parsed.frames["outages"].select("line_no", "unit").rows() == [(1, "n1"), (2, "n2")]


def test_a_column_called_line_no_does_not_hide_the_line(through):
    data = "line_no,host\n70,n1\n80,n2\n"
    text = f"""{HEAD}SELECT line_no, 'node' AS unit_kind, host AS unit, line_no_1 AS record,
    file_time() AS began FROM input"""
    rows = through(text, data).frames["outages"].select("line_no", "record").rows()
    assert rows == [(2, "70"), (3, "80")]
    rows = through(text, '[{"line_no": 70, "host": "n1"}]').frames["outages"]
    assert rows.select("line_no", "record").rows() == [(1, "70")]


@pytest.mark.parametrize(
    ("select", "why"),
    [
        ("COPY (SELECT 1) TO '{}/out.csv'", "holds a COPY"),
        ("ATTACH '{}/out.db'", "holds an ATTACH"),
        ("PRAGMA database_list", "holds a PRAGMA"),
        ("SET threads = 1", "holds a SET"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("WITH x AS (COPY (SELECT 1) TO '{}/out.csv') SELECT 1", "holds a COPY inside"),
        ("WITH x AS (INSERT INTO input VALUES (1)) SELECT 1", "holds an INSERT inside"),
        ("SELECT FROM WHERE", "Parser Error"),
    ],
)
def test_a_mapping_that_does_more_than_read_is_no_mapping(write, tmp_path, select, why):
    path = write("bad.sql", HEAD + select.format(tmp_path))
    with pytest.raises(mapping.MappingError, match=why) as told:
        known.of_mapping(path)
    assert str(told.value).startswith(str(path))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "select",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT content FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "FROM '/etc/passwd'",
        "SELECT * FROM query('COPY (SELECT 1) TO ''/tmp/out.csv''')",
        "SELECT * FROM TICKETS",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT (SELECT 1 FROM 'tickets.csv')",
    ],
)
def test_a_mapping_sees_the_file_and_nothing_else(through, select):
    with pytest.raises(
        RefusedError, match=r"^new\.sql: (Permission|Catalog|Binder|Parser|Invalid)"
    ):
        through(HEAD + select, TICKETS)


def test_nothing_is_left_of_the_temporary_file(through, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    through(f"{HEAD}{OUTAGE} FROM input", TICKETS)
    with pytest.raises(RefusedError, match="cannot be read as parquet"):
        through(f"{HEAD}-- reads: parquet\n{OUTAGE} FROM input", b"PAR1 and nothing")
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("id AS recrod", r"outages has no column recrod \(did you mean record\?\): it has file, "),
        ("opened::TIMESTAMP AS ended", "ended is TIMESTAMP, which names no instant"),
        ("DATE '2026-03-02' AS ended", "ended is DATE, which names no instant"),
        ("5 AS ended", "ended is INTEGER, an instant is promised: write to_timestamp"),
        ("hsot AS note", 'Binder Error: Referenced column "hsot" not found'),
    ],
)
def test_a_select_that_does_not_fit_is_told_in_one_line(through, column, why):
    with pytest.raises(RefusedError, match=why) as told:
        through(f"{HEAD}{OUTAGE}, {column} FROM input", TICKETS)
    assert str(told.value).startswith("new.sql: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("2026-03-02 10:00:00", "ended is 2026-03-02 10:00:00, no instant with an offset or Z"),
        ("2026-03-02", "ended is 2026-03-02, no instant with an offset or Z"),
        ("soon", "ended is soon, no instant with an offset or Z"),
        ("2026-03-01T00:00:00Z", "outages breaks ended_not_before_began"),
    ],
)
def test_a_value_that_cannot_be_cast_refuses_its_row_alone(through, cell, reason):
    data = (
        f"id,host,opened,closed\nT1,n1,2026-03-02T10:00:00Z,{cell}\nT2,n2,2026-03-02T10:00:00Z,\n"
    )
    parsed = through(f"{HEAD}{OUTAGE}, closed::VARCHAR AS ended FROM input", data)
    assert counts(parsed) == (2, 1, 1, 0)
    assert parsed.rejects["reason"][0].startswith(reason)
    assert parsed.rejects.select("line_no", "text").row(0) == (2, data.splitlines()[1])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("'server'", "unit_kind is server, no one of node, gpu, rack"),
        ("NULL", "unit_kind is empty"),
    ],
)
def test_a_word_that_the_table_has_not_refuses_the_row(through, kind, why):
    text = f"{HEAD}{OUTAGE.replace(chr(39) + 'node' + chr(39), kind)} FROM input"
    parsed = through(text, TICKETS)
    assert counts(parsed) == (2, 0, 2, 0)
    assert parsed.rejects["reason"][0].startswith(why)


@pytest.mark.parametrize("cell", ["3.5", "-1", "4294967296", "many"])
def test_a_count_is_never_rounded_or_wrapped(through, cell):
    data = f"id,asked,gpus\n1,2026-03-02T10:00:00Z,{cell}\n2,2026-03-02T10:00:00Z,8\n"
    text = """-- Jobs.
-- into: job_attempts
SELECT line_no, id AS job_id, asked AS submitted, 'COMPLETED' AS state, gpus FROM input"""
    parsed = through(text, data)
    assert counts(parsed) == (2, 1, 1, 0)
    assert parsed.frames["job_attempts"].select("job_id", "gpus").row(0) == ("2", 8)
    assert parsed.rejects["reason"][0].startswith("gpus is ")


def test_a_record_that_breaks_the_select_is_refused_and_the_others_survive(through):
    """The cast is the author's own, inside the SELECT, where DuckDB gives up on the whole."""
    rows = "".join(f"T{n},n{n},{n if n % 31 else 'x'}\n" for n in range(1, 101))
    text = f"""{HEAD}SELECT line_no, 'node' AS unit_kind, host AS unit, id AS record,
    to_timestamp(t::BIGINT + 1772445600) AS began FROM input"""
    parsed = through(text, "id,host,t\n" + rows)
    assert counts(parsed) == (100, 97, 3, 0)
    assert parsed.rejects["line_no"].to_list() == [32, 63, 94]
    assert parsed.rejects["reason"].str.contains("Could not convert string 'x'").all()


def test_a_mapping_that_breaks_on_every_record_is_refused_whole(through):
    rows = "".join(f"T{n},n{n},x\n" for n in range(400))
    text = f"{HEAD}SELECT line_no, t::BIGINT AS record FROM input"
    with pytest.raises(RefusedError, match="more than 200 records break the SELECT"):
        through(text, "id,host,t\n" + rows)


@pytest.mark.parametrize(
    ("select", "lines"),
    [
        (
            "SELECT host AS unit, opened AS began, id AS record, 'node' AS unit_kind FROM input",
            [2, 3],
        ),
        (
            "SELECT host AS unit, min(opened) AS began, min(id) AS record, 'node' AS unit_kind "
            "FROM input GROUP BY host",
            [2, 3],
        ),
        (
            "SELECT min(opened) AS began, 'T' AS record, 'node' AS unit_kind, 'n' AS unit "
            "FROM input GROUP BY ALL",
            [2],
        ),
    ],
    ids=["plain", "grouped", "all"],
)
def test_a_select_that_leaves_line_no_out_is_given_it(through, select, lines):
    parsed = through(HEAD + select, TICKETS)
    assert parsed.frames["outages"]["line_no"].sort().to_list() == lines


def test_a_select_that_cannot_carry_its_lines_is_told_so(through):
    select = OUTAGE.replace("line_no", "DISTINCT 1 AS x")
    with pytest.raises(RefusedError, match="has no column x"):
        through(f"{HEAD}{select} FROM input", TICKETS)
    with pytest.raises(RefusedError, match="gives no line_no"):
        through(f"{HEAD}{select.replace('1 AS x,', '')} FROM input", TICKETS)


def test_a_line_that_gives_a_sound_and_a_broken_row_is_accepted_and_told(through):
    text = f"""{HEAD}SELECT line_no, 'node' AS unit_kind, unnest([host, NULL]) AS unit, id AS record,
    opened AS began FROM input"""
    parsed = through(text, TICKETS)
    assert counts(parsed) == (2, 2, 0, 0)
    assert refused(parsed) == [(2, "unit is empty"), (3, "unit is empty")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1", "says neither or both"),
        ("-- into: outages\n-- sets aside: x\nSELECT 1", "says neither or both"),
        ("-- into: outage\nSELECT 1", r"into outage \(did you mean outages\?\)"),
        ("-- into: arrivals\nSELECT 1", "a mapping fills one of"),
        ("-- into: outages\n", "holds no SELECT"),
        ("-- sets aside: why\nSELECT 1", "would never run"),
        ("-- into: outages\n-- reads: excel\nSELECT 1", "reads excel: there are json"),
        ("-- into: outages\n-- reads: csv sep=;\nSELECT 1", "write name=value of delim"),
        ("-- into: outages\n-- reads: csv skip=x\nSELECT 1", "a number of lines"),
        ("-- into: outages\n-- reads: lines\n-- knows: (\nSELECT 1", "no regular expression"),
        ("-- into: outages\n-- into: outages\nSELECT 1", "says `into` twice"),
    ],
)
def test_a_header_that_promises_nothing_usable_is_told_in_one_line(write, text, why):
    path = write("bad.sql", text)
    with pytest.raises(mapping.MappingError, match=why) as told:
        mapping.read(path)
    assert str(told.value).startswith(f"{path}: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("nothing", [b"", b"\n", b" \r\n\n"])
@pytest.mark.parametrize("kind", ["json", "ndjson", "csv", "lines"])
def test_nothing_gives_nothing(through, nothing, kind):
    assert counts(through(f"{HEAD}-- reads: {kind}\n{OUTAGE} FROM input", nothing)) == (0, 0, 0, 0)


def test_a_file_is_ingested_through_a_mapping_once(write, tmp_path):
    tickets = write("tickets.csv", TICKETS + "T3,,2026-03-02T10:00:00Z\n")
    made = write("new.sql", f"{HEAD}{OUTAGE} FROM input")
    options = Options(mapping=made, cluster="alpha")
    report = ingesting.ingest([tickets], tmp_path / "lake", options, NOW)
    assert report.gained["outages"] == 2
    (arrival,) = Lake(tmp_path / "lake").read(observed.ARRIVALS).iter_rows(named=True)
    assert (arrival["source"], arrival["accepted"], arrival["rejected"]) == ("map:new", 2, 1)
    (reject,) = Lake(tmp_path / "lake").read(observed.REJECTS).iter_rows(named=True)
    assert (reject["line_no"], reject["reason"]) == (4, "unit is empty")
    assert Lake(tmp_path / "lake").landed("map:new", arrival["sha256"]) == tickets.read_bytes()
    again = ingesting.ingest([tickets], tmp_path / "lake", options, NOW)
    assert not any(again.gained.values())


def test_a_mapping_and_a_source_at_once_is_a_wrong_call(write, tmp_path, capsys):
    tickets, made = write("t.csv", TICKETS), write("new.sql", f"{HEAD}{OUTAGE} FROM input")
    lake = ["--lake", str(tmp_path / "lake")]
    assert main(["ingest", str(tickets), "--map", str(made), "--as", "slurm_sacct", *lake]) == 2
    assert "give one" in capsys.readouterr().err
    assert main(["ingest", str(tickets), "--map", str(tmp_path / "none.sql"), *lake]) == 2
    assert "none.sql: cannot be read" in capsys.readouterr().err


def test_a_select_that_does_not_fit_leaves_the_file_for_another_time(write, tmp_path, capsys):
    tickets = write("t.csv", TICKETS)
    write("new.sql", f"{HEAD}{OUTAGE}, hsot AS note FROM input")
    call = [
        "ingest",
        str(tickets),
        "--map",
        str(tmp_path / "new.sql"),
        "--lake",
        str(tmp_path / "l"),
    ]
    assert main(call) == 1
    assert 'Referenced column "hsot" not found' in capsys.readouterr().out
    write("new.sql", f"{HEAD}{OUTAGE} FROM input")
    assert main(call) == 0
    assert Lake(tmp_path / "l").read(observed.OUTAGES).height == 2


def test_shipped_mappings_only_read_as_those_of_callers_must():
    for path in sorted((share("sample_data") / "mappings").glob("*.sql")):
        assert mapping.as_source(mapping.read(path)).name in known.sources()


def test_shipped_mappings_lie_beside_the_sample_data_and_are_no_input(write, tmp_path):
    (tmp_path / "mappings").mkdir()
    write("mappings/x.sql", "-- x")
    (found,) = landing.walk([tmp_path])
    assert landing.is_beside_the_point(found.name)


CASES = Path(__file__).parent / "cases" / "sources"


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*/input.*")), ids=lambda p: p.parent.name)
def test_no_shipped_mapping_claims_what_a_source_reads(case):
    head = case.read_bytes()[: landing.packing.HEAD]
    assert not landing.recognise(head, case.name, known.shipped())


def test_no_mapping_has_the_name_of_a_source():
    assert not {source.name for source in SOURCES} & {source.name for source in known.shipped()}
    with pytest.raises(CallError, match="no source map:none"):
        known.named("map:none")


def test_every_macro_of_a_mapping_is_there():
    from flows.mapping import sandbox

    with sandbox.opened() as connection:
        sandbox.lock(connection, ORIGIN)
        with pytest.raises(duckdb.Error, match="locked"):
            connection.execute("SET threads = 1")
        named = connection.execute("SELECT given_zone(), given_cluster(), file_name()").fetchone()
    assert named == ("UTC", "alpha", "input")
