"""SQL sees one moment of the lake, and a sandbox sees nothing else."""

import multiprocessing
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from lakes import NOW, at, rows, take, write

from flows import furnishing, share, warehouse
from flows.atomic import publish
from flows.lake import Lake
from flows.parquet_views import folder_columns
from flows.warehouse import WarehouseError
from transforms import tables
from transforms.tables import derived, observed


@pytest.fixture
def root(tmp_path):
    take(tmp_path / "lake", write(tmp_path / "inbox"))
    return tmp_path / "lake"


def test_every_table_answers_with_its_promised_columns(root):
    with warehouse.open_warehouse(root) as connection:
        for table in tables.ALL:
            found = connection.execute(f"DESCRIBE {table.name}").fetchall()
            promised = [*table.dtypes.names(), *folder_columns(table)]
            assert [row[0] for row in found] == promised, table.name


def test_every_table_and_column_says_what_it_is(root):
    with warehouse.open_warehouse(root) as connection:
        named = "database_name = 'faultledger' AND NOT internal"
        about = dict(
            connection.execute(
                f"SELECT table_name, comment FROM duckdb_tables() WHERE {named} UNION ALL "
                f"SELECT view_name, comment FROM duckdb_views() WHERE {named}"
            ).fetchall()
        )
        columns = connection.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() "
            "WHERE database_name = 'faultledger'"
        ).fetchall()
    meanings = {(table, column): comment for table, column, comment in columns}
    for table in tables.ALL:
        assert about[table.name] == f"One row per {table.grain}"
        for column, meaning in table.meanings.items():
            assert meanings[table.name, column] == meaning
    for view in warehouse.sql_files("views"):
        assert about[view.stem] == share.header(view)


def test_empty_tables_have_the_types_of_full_ones(root):
    full = warehouse.query(root, "SELECT column_name, column_type FROM (DESCRIBE kernel_events)")
    lake = Lake(root)
    for path in lake.files(observed.KERNEL_EVENTS):
        path.unlink()
    warehouse.refresh(root)
    empty = warehouse.query(root, "SELECT column_name, column_type FROM (DESCRIBE kernel_events)")
    assert empty.equals(full)


def test_instants_are_utc_and_whole_sums_are_integers(root):
    frame = warehouse.query(
        root, "SELECT max(observed_at) AS latest, sum(code) AS codes FROM kernel_events"
    )
    assert frame.row(0) == (at("2026-03-04T08:59"), 127)
    assert frame["codes"].dtype == pl.Int64


def test_a_moved_lake_still_answers(root, tmp_path, monkeypatch):
    shutil.move(root, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    count = "SELECT count(*) FROM kernel_events"
    assert warehouse.query(Path("moved"), count).item() == 2


def test_another_client_reads_the_file_from_inside_the_lake(root):
    ask = "import duckdb; print(duckdb.connect('faultledger.duckdb', read_only=True)"
    ask += ".execute('SELECT count(*) FROM kernel_events').fetchone()[0])"
    done = subprocess.run([sys.executable, "-c", ask], cwd=root, capture_output=True, check=True)
    assert done.stdout == b"2\n"


def test_the_file_is_of_a_format_that_older_clients_read(root):
    header = (root / "faultledger.duckdb").read_bytes()[8:64]
    assert header[:4] == b"DUCK"
    assert int.from_bytes(header[4:12], "little") == 64  # the storage format of 1.0 and 1.1


def test_prices_and_settings_are_tables(root):
    (root / "settings.toml").write_text(
        'cluster = "a"\n[[prices]]\nvalid_from = 2026-01-01\ncurrency = "USD"\nprice_per_gpu_hour = 2.35\n'
    )
    (price,) = warehouse.query(root, "FROM prices").rows()
    assert price == (at("2026-01-01"), None, "USD", 2.35)
    named = "SELECT value FROM settings WHERE name = 'cluster'"
    assert warehouse.query(root, named).item() == "a"
    assert warehouse.query(root, "SELECT hi FROM poisson_limits WHERE failures = 0").item() == (
        pytest.approx(3.688879454113936, rel=1e-9)
    )


def test_a_lake_copied_without_its_snapshots_is_made_whole(root):
    shutil.rmtree(root / ".snapshots")
    assert warehouse.query(root, "SELECT count(*) FROM kernel_events").item() == 2


def test_a_reader_holding_a_connection_keeps_its_moment(root, tmp_path):
    with warehouse.open_warehouse(root) as connection:
        write(
            tmp_path,
            {
                "more.log": "2026-03-05T00:00:00+00:00 n9 kernel: NVRM: Xid (PCI:0000:3b:00): 79, x\n"
            },
        )
        take(root, tmp_path / "more.log")
        count = "SELECT count(*) FROM kernel_events"
        assert connection.execute(count).fetchone() == (2,)
    assert warehouse.query(root, count).item() == 3


def _rewrite(root: str, turns: int) -> None:
    """Replace all of a table's files with ones of another size, and refresh, again and again."""
    lake = Lake(Path(root))
    for turn in range(1, turns + 1):
        for day in range(1, 5):
            said = [
                {"day": at(f"2026-03-0{day}").date(), "gap_s": gap, "incidents": day * turn}
                for gap in range(700 * (turn % 3) + 100)
            ]
            first, last = at(f"2026-03-0{day}"), at(f"2026-03-0{day + 1}")
            lake.replace(derived.SENSITIVITY, rows(derived.SENSITIVITY, *said), first, last)
        warehouse.refresh(Path(root))


def test_a_reader_never_fails_and_never_sees_half_a_refresh(tmp_path):
    _rewrite(str(tmp_path), turns=1)
    writer = multiprocessing.get_context("spawn").Process(target=_rewrite, args=(str(tmp_path), 6))
    writer.start()
    moments = set()
    while writer.is_alive():
        turn = "any_value(incidents) // day(day) AS turn, count(*) AS n, sum(incidents)"
        frame = warehouse.query(tmp_path, f"SELECT day, {turn} FROM sensitivity GROUP BY day")
        assert frame.height == 4
        assert frame["turn"].n_unique() == 1, "days of two refreshes in one answer"
        assert frame["n"].n_unique() == 1
        moments.add(frame["turn"][0])
    writer.join()
    assert writer.exitcode == 0
    assert len(moments) > 2, "the writer never replaced a file while we read"


def test_a_statement_that_cannot_run_is_one_line(root):
    with pytest.raises(WarehouseError, match=r"^Catalog Error: Table with name nosuch .*$"):
        warehouse.query(root, "SELECT * FROM nosuch")
    with pytest.raises(WarehouseError, match="2 statements: give one"):
        warehouse.query(root, "SELECT 1; SELECT 2")
    with pytest.raises(WarehouseError, match=r"give a value for \$since"):
        warehouse.query(root, "SELECT $since")


def test_a_wrong_sql_file_is_named(root, tmp_path, monkeypatch):
    shutil.copytree(share.share("sql"), tmp_path / "sql")
    (tmp_path / "sql/views/wrong.sql").write_text("-- Wrong.\nSELECT nosuch FROM nodes\n")
    monkeypatch.setattr(share, "HOME", tmp_path)
    with pytest.raises(WarehouseError, match=r"views/wrong\.sql: Binder Error"):
        warehouse.query(root, "SELECT 1")


def test_the_database_cannot_be_written_by_a_query(root):
    with pytest.raises(WarehouseError, match="read-only"):
        warehouse.query(root, "CREATE TABLE x AS SELECT 1")


def test_a_folder_that_is_no_lake_is_said_so(tmp_path):
    with pytest.raises(WarehouseError, match="no lake here"):
        warehouse.query(tmp_path / "nosuch", "SELECT 1")


ESCAPES = {
    "copy out": "COPY (SELECT 1) TO '{out}'",
    "copy inside a query": "WITH x AS (COPY (SELECT 1) TO '{out}') SELECT 1",
    "read a file": "SELECT * FROM read_text('/etc/passwd')",
    "read by name": "SELECT * FROM '/etc/passwd'",
    "list a folder": "SELECT * FROM glob('/*')",
    "attach": "ATTACH '{out}'",
    "export": "EXPORT DATABASE '{out}'",
    "load an extension": "INSTALL httpfs",
    "undo the lock": "SET enable_external_access = true",
    "read python": "SELECT * FROM root",
    "spill elsewhere": "SET temp_directory = '{out}'",
    "query in text": "SELECT * FROM query('COPY (SELECT 1) TO ''{out}''')",
    "secrets": "CREATE PERSISTENT SECRET s (TYPE s3)",
}


@pytest.mark.parametrize("statement", ESCAPES.values(), ids=ESCAPES.keys())
def test_a_sandbox_reaches_nothing_outside(root, tmp_path, statement):
    out = tmp_path / "out"
    with pytest.raises(WarehouseError):
        warehouse.query(root, statement.format(out=out), is_sandbox=True)
    assert not list(tmp_path.glob("out*"))


def test_a_sandbox_answers_as_the_warehouse_does(root):
    for name in ["kernel_events", "steps", "nodes", "data_quality", "prices", "poisson_limits"]:
        sql = f"SELECT * FROM {name} ORDER BY ALL"
        assert warehouse.query(root, sql, is_sandbox=True).equals(warehouse.query(root, sql)), name


SAID = (
    "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
    "WHERE database_name = current_database() AND NOT internal ORDER BY ALL"
)


def test_a_copy_of_the_blank_database_is_what_is_made_from_nothing(root):
    copied = warehouse.query(root, SAID)
    assert copied.height > 1000
    assert warehouse.query(root, SAID, is_sandbox=True).equals(copied)


def test_the_blank_database_is_made_where_it_may_be(tmp_path, monkeypatch):
    (tmp_path / "furnishing.py").touch()
    (tmp_path / "__pycache__").touch()  # a file: no folder can be made here
    monkeypatch.setattr(furnishing, "__file__", str(tmp_path / "furnishing.py"))
    made = furnishing.blank(tmp_path / "spare")
    assert made.parent == tmp_path / "spare"
    assert furnishing.blank(tmp_path / "spare") == made
    (tmp_path / "other.py").write_text("# other code")
    assert furnishing.blank(tmp_path / "spare") != made


def test_files_of_other_types_than_promised_are_still_answered_through_the_views(root):
    for path in Lake(root).partitions(observed.KERNEL_EVENTS).values():
        frame = pl.read_parquet(path).with_columns(pl.col("line_no").cast(pl.Int64))
        publish(path, Lake(root).staging, frame.write_parquet)
    warehouse.refresh(root)
    told = warehouse.query(root, "SELECT line_no FROM kernel_events")
    assert told.dtypes == [pl.Int64]
    assert told.height
    for view in warehouse.sql_files("views"):
        warehouse.query(root, f"SELECT * FROM {view.stem} LIMIT 1")


def test_a_sandbox_stops_what_takes_too_long(root):
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range <> b.range"
    began = time.monotonic()
    with pytest.raises(WarehouseError, match="ran out of its time"):
        warehouse.query(root, endless, is_sandbox=True, seconds=0.5)
    assert time.monotonic() - began < 30


def test_a_sandbox_bounds_memory(root, monkeypatch):
    monkeypatch.setattr(warehouse, "SANDBOX_MEMORY", "100MB")
    huge = "SELECT count(DISTINCT repeat('x', 500) || range) FROM range(2000000)"
    with pytest.raises(WarehouseError, match="Out of Memory"):
        warehouse.query(root, huge, is_sandbox=True)


def test_checks_that_find_something_say_what(root):
    found = warehouse.failed_checks(root)
    assert found["rejected_input"].rows() == [
        ("train_log", "train.ndjson", "not a JSON object", 1, 3)
    ]


CHECKS = {
    "node_listed_twice": (
        observed.NODES,
        {"cluster": "c", "node": "n", "gpus": 8, "valid_from": at("2026-01-01")},
        {"valid_from": at("2026-02-01")},
    ),
    "gpu_in_two_places": (
        observed.GPUS,
        {"cluster": "c", "node": "n", "slot": 0, "serial": "s", "valid_from": at("2026-01-01")},
        {"node": "m", "valid_from": at("2026-02-01")},
    ),
    "slot_with_two_gpus": (
        observed.GPUS,
        {"cluster": "c", "node": "n", "slot": 0, "serial": "s", "valid_from": at("2026-01-01")},
        {"serial": "t"},
    ),
    "record_of_an_unnamed_cluster": (
        observed.NODES,
        {"cluster": "c", "node": "n", "gpus": 8, "valid_from": at("2026-01-01")},
        {"cluster": "d"},
        {"cluster": "", "node": "m"},
    ),
    "attempt_ends_without_a_start": (
        observed.JOB_ATTEMPTS,
        {
            "cluster": "c",
            "job_id": "1",
            "submitted": at("2026-01-01"),
            "state": "FAILED",
            "ended": at("2026-01-02"),
            "nodes": ["n"],
        },
    ),
    "counts_of_an_arrival_disagree": (
        observed.ARRIVALS,
        {"sha256": "x", "file": "f", "source": "s", "bytes": 1, "records": 3, "accepted": 1}
        | {"rejected": 1, "ignored": 0, "modified": NOW, "first_seen": NOW},
    ),
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_finds_what_it_looks_for(tmp_path, check):
    table, first, *more = CHECKS[check]
    Lake(tmp_path).merge(table, rows(table, first, *(first | change for change in more)))
    assert warehouse.failed_checks(tmp_path)[check].height == 1


def test_a_record_stamped_after_it_arrived_is_found(root, tmp_path):
    write(
        tmp_path,
        {"ahead.log": "2026-03-22T00:00:00+00:00 n9 kernel: NVRM: Xid (PCI:0000:3b:00): 79, x\n"},
    )
    take(root, tmp_path / "ahead.log")
    found = warehouse.failed_checks(root)["record_from_the_future"]
    assert found.select("table", "file", "records").rows() == [("kernel_events", "ahead.log", 1)]


def test_an_event_of_nobody_is_found(root, tmp_path):
    write(
        tmp_path,
        {
            "dmesg.log": "[  12.500000] NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n"
        },
    )
    take(root, tmp_path / "dmesg.log")
    found = warehouse.failed_checks(root)["event_without_a_node"]
    assert found.rows() == [("dmesg.log", 1, 1)]


def test_the_quality_of_each_source_is_counted(root):
    frame = warehouse.query(
        root, "SELECT source, records, accepted, rejected, ignored FROM data_quality"
    )
    assert frame.rows() == [
        ("kernel_log", 3, 2, 0, 1),
        ("slurm_sacct", 2, 2, 0, 0),
        ("train_log", 4, 3, 1, 0),
    ]


def test_saved_questions_take_their_values_by_name(root):
    frame = warehouse.ask(
        root, "week_rates", {"since": at("2026-03-02").date(), "until": at("2026-03-09").date()}
    )
    assert frame.width > 3
    with pytest.raises(WarehouseError, match="no question nosuch: there are"):
        warehouse.ask(root, "nosuch", {})
