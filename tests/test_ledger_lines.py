"""Log rows find their attempts, whether they come in order of time or not."""

from datetime import UTC, datetime

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.ledger.lines import Writers, on_lines

BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
# Allocations of a few jobs: when each began after the one before it, and how long it lasted.
allocations = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)
instants = st.lists(st.integers(0, 80), min_size=1, max_size=40)


def writers_of(jobs) -> Writers:
    rows = []
    for job, spells in enumerate(jobs):
        at = 20
        for gap, lasting in spells:
            rows.append((job, at + gap, at + gap + lasting))
            at += gap + lasting
    epoch = int(BEGAN.timestamp() * 1000)
    spans = pl.DataFrame(rows, schema=["writer", "started", "ended"], orient="row")
    spans = spans.with_columns(pl.col("started", "ended") + epoch, line=pl.int_range(pl.len()))
    names = [("c", f"r{job}", str(job), job) for job in range(len(jobs))]
    known = pl.DataFrame(names, schema=["cluster", "run", "job_id", "job"], orient="row")
    return Writers(
        spans.sort("writer", "started", "line"),
        known.select("cluster", "job_id", "job"),
        known.select("cluster", "run", as_run="job"),
        known.select("job_id", any_job="job"),
        known.select("run", any_as_run="job"),
    )


def rows_of(jobs, told) -> pl.DataFrame:
    """Every job tells of every instant, job by job in order of time."""
    rows = [("c", f"r{job}", str(job), at) for job in range(len(jobs)) for at in sorted(told)]
    frame = pl.DataFrame(rows, schema=["cluster", "run", "job_id", "at"], orient="row")
    began = pl.lit(BEGAN).cast(pl.Datetime("us", "UTC")) + pl.duration(milliseconds="at")
    return frame.select("cluster", "run", "job_id", row=pl.int_range(pl.len()), began=began)


@given(allocations, instants)
@settings(deadline=None)
def test_rows_in_order_find_the_attempts_that_rows_in_any_order_find(jobs, told):
    writers, rows = writers_of(jobs), rows_of(jobs, told)
    in_order = on_lines(writers, rows)[0].sort("row")
    reversed_ones = on_lines(writers, rows.reverse())[0].sort("row")
    assert in_order["line"].to_list() == reversed_ones["line"].to_list()


def test_a_row_outside_goes_to_the_nearest_allocation_of_its_job():
    jobs = [[(0, 10), (10, 10)], [(5, 5)]]  # 20 to 30 and 40 to 50; 25 to 30
    writers, rows = writers_of(jobs), rows_of(jobs, [0, 25, 29, 34, 36, 45, 70])
    assert on_lines(writers, rows)[0]["line"].to_list() == [0, 0, 0, 0, 1, 1, 1, *[2] * 7]
