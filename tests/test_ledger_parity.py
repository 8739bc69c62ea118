"""Every name of goodput is divided once in Python and once in SQL: both say the same."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_frames import MONDAY
from test_views import SQL, warehouse

from transforms import money, tables
from transforms.ledger.readouts import NOT_ALLOCATED, Readouts, read_out
from transforms.tables.derived import LEAVES

OWN = [leaf for leaf in LEAVES if leaf not in ("idle", "down", "maintenance", "unobserved")]
CAUSES = ("", "GPU", "Human", "Software (user)", "Planned", "insurance")

accounts = st.lists(
    st.tuples(
        st.sampled_from(["r", "s"]),
        st.sampled_from(OWN),
        st.sampled_from(CAUSES),
        st.booleans(),
        st.integers(1, 10**12),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[:4],
)


@settings(max_examples=50, deadline=None)
@given(accounts)
def test_read_outs_are_the_same_in_python_and_sql(drawn):
    kept = {"ideal", "slow"}
    drawn = [
        (r, leaf, "" if leaf in kept else c, p and leaf in kept, n) for r, leaf, c, p, n in drawn
    ]
    rows = [
        ("c", MONDAY.date(), run, leaf, cause, "", "steps", loose, n)
        for run, leaf, cause, loose, n in drawn
    ]
    columns = [
        "cluster",
        "day",
        "run",
        "leaf",
        "cause",
        "incident",
        "evidence",
        "provisional",
        "gpu_ms",
    ]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    frame = frame.select(tables.BY_NAME["run_time"].dtypes.names())
    view = (SQL / "views" / "run_goodput.sql").read_text()
    answer = pl.DataFrame(warehouse({"run_time": frame}).sql(view).to_arrow_table())
    for row in answer.iter_rows(named=True):
        mine = [r for r in drawn if r[0] == row["run"]]
        leaves: dict[str, int] = {}
        for _, leaf, _, _, n in mine:
            leaves[leaf] = leaves.get(leaf, 0) + n
        want = read_out(
            leaves,
            provisional_gpu_ms=sum(n for *_, loose, n in mine if loose),
            user_caused_gpu_ms=sum(
                n for _, leaf, cause, _, n in mine
                if leaf not in kept | {"spare", "not_measured"} and cause in ("Human", "Software (user)")
            ),
        )  # fmt: skip
        for name in Readouts.__dataclass_fields__:
            told = getattr(want, name)
            assert row[name] == (told if told is None else pytest.approx(told, rel=1e-12)), name


def test_a_gpu_hour_is_the_same_in_python_and_sql():
    (told,) = warehouse({}).sql("SELECT gpu_hours(123456789)").fetchall()
    assert told == (money.gpu_hours(123_456_789),)


def test_the_leaves_that_nobody_holds_are_the_same_in_python_and_sql():
    names = ", ".join(f"('{leaf}')" for leaf in LEAVES)
    query = f"SELECT leaf FROM (VALUES {names}) AS named (leaf) WHERE NOT is_allocated(leaf)"
    assert {leaf for (leaf,) in warehouse({}).sql(query).fetchall()} == set(NOT_ALLOCATED)
