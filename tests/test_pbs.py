"""PBS writes a file a day: what starts in one and ends in another is one attempt."""

from datetime import UTC, datetime

import polars as pl
import pytest

from transforms.sources import pbs_accounting
from transforms.sources.base import Origin
from transforms.sources.pbs_states import seconds
from transforms.tables.observed import JOB_ATTEMPTS

ORIGIN = Origin("20260302", datetime(2026, 3, 4, tzinfo=UTC))
JOB = "34.head;user=ada jobname=x queue=q ctime=1772434513 qtime=1772434513 etime=1772434513"
HOSTS = "exec_host=n1/0 exec_vnode=(n1:ncpus=8:ngpus=8)"
FIRST_DAY = f"03/02/2026 06:55:16;S;{JOB} start=1772434516 {HOSTS}\n".encode()
NEXT_DAY = (
    f"03/03/2026 06:55:16;E;{JOB} start=1772434516 {HOSTS} end=1772520916 Exit_status=0"
    " resources_used.walltime=24:00:00 run_count=1\n"
).encode()


def attempts(data):
    return pbs_accounting.parse(data, ORIGIN).frames["job_attempts"]


def test_a_start_and_the_end_in_the_next_days_file_fold_to_one_attempt():
    first, last = attempts(FIRST_DAY), attempts(NEXT_DAY)
    assert first.select("state", "ended").rows() == [("RUNNING", None)]
    for files in ([first, last], [last, first]):
        folded = JOB_ATTEMPTS.fold(pl.concat(files))
        assert folded.select("state", "started", "ended").rows() == [
            (
                "COMPLETED",
                datetime(2026, 3, 2, 6, 55, 16, tzinfo=UTC),
                datetime(2026, 3, 3, 6, 55, 16, tzinfo=UTC),
            )
        ]
    assert attempts(FIRST_DAY + NEXT_DAY).drop("line_no").equals(last.drop("line_no"))


@pytest.mark.parametrize(
    ("span", "length_s"),
    [("00:10:00", 600), ("100:00:01", 360_001), ("600", 600), ("", None), ("1:2", None)],
)
def test_a_span_is_hours_minutes_seconds_or_plain_seconds(span, length_s):
    assert seconds(span) == length_s
