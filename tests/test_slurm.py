"""Slurm's accounting and node events: real operators' files, and the readings behind them."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from transforms.sources import slurm_events, slurm_sacct, text
from transforms.sources.base import Origin
from transforms.tables.observed import JOB_ATTEMPTS

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC))


def attempts_of(parsed):
    return parsed.frames["job_attempts"]


def parse_file(path, source=slurm_sacct):
    return source.parse(path.read_bytes(), ORIGIN)


def states(attempts):
    return dict(attempts.group_by("state").len().rows())


# The hours of a set of attempts are sums over plain columns: an attempt that has hosts held them
# for ended - started, and waited started - submitted.


@pytest.fixture(scope="module")
def phillips(shared_data):
    return parse_file(shared_data / "xdmod-sacct" / "phillips.log")


def hours(duration: pl.Expr) -> pl.Expr:
    return (duration.dt.total_milliseconds()).sum() / 3_600_000


def test_phillips_gives_every_row(phillips):
    assert (phillips.records, phillips.accepted, phillips.rejected) == (4285, 4285, 0)
    assert states(attempts_of(phillips)) == {
        "COMPLETED": 2324,
        "FAILED": 1717,
        "CANCELLED": 243,
        "TIMEOUT": 1,
    }


def test_phillips_hours_are_the_published_ones(phillips):
    held = pl.col("ended") - pl.col("started")
    totals = attempts_of(phillips).filter(pl.col("nodes").is_not_null())
    found = totals.select(
        jobs=pl.len(),
        wall=hours(held),
        cpu=hours(held * pl.col("cpus")),
        node=hours(held * pl.col("node_count")),
        gpu=hours(held * pl.col("gpus")),
        wait=hours(pl.col("started") - pl.col("submitted")),
    ).row(0)
    assert tuple(round(value, 4) for value in found) == (
        *(4046, 438.8203, 11767.9883),
        *(1344.8686, 506.9128, 18829.9292),
    )


def test_phillips_gpu_hours_by_day_are_the_published_ones(phillips):
    first, last = datetime(2016, 12, 21, tzinfo=UTC), datetime(2017, 1, 2, tzinfo=UTC)
    days = pl.datetime_range(first, last, eager=True).alias("day").to_frame()
    day_end = pl.col("day") + timedelta(days=1)
    held = pl.min_horizontal("ended", day_end) - pl.max_horizontal("started", "day")
    by_day = (
        days.join_where(
            attempts_of(phillips), pl.col("started") < day_end, pl.col("ended") > pl.col("day")
        )
        .filter(pl.col("gpus") > 0)
        .group_by("day")
        .agg(hours(held * pl.col("gpus")).round(4))
        .sort("day")
    )
    assert [(day.strftime("%m-%d"), gpu_hours) for day, gpu_hours in by_day.rows()] == [
        ("12-22", 33.4928),
        *((f"12-{day}", 48.0) for day in range(23, 32)),
        ("01-01", 41.42),
    ]


def test_phillips_jobs_cancelled_in_the_queue_never_started(phillips):
    waiting = attempts_of(phillips).filter(pl.col("nodes").is_null())
    assert waiting.height == 239
    assert waiting["started"].null_count() == 239
    assert set(waiting["state"]) == {"CANCELLED"}


@pytest.fixture(scope="module")
def live(shared_data):
    return {
        name: parse_file(shared_data / "slurm-live" / f"{name}.psv")
        for name in ("sacct_x", "sacct_all")
    }


@pytest.mark.parametrize("name", ["sacct_x", "sacct_all"])
def test_live_cluster_gives_seventy_attempts(live, name):
    assert live[name].rejected == 0
    assert states(attempts_of(live[name])) == {
        "COMPLETED": 46,
        "FAILED": 15,
        "NODE_FAIL": 4,
        "CANCELLED": 3,
        "TIMEOUT": 2,
    }


@pytest.mark.parametrize("order", [("sacct_x", "sacct_all"), ("sacct_all", "sacct_x")])
def test_two_listings_of_one_cluster_fold_to_its_attempts(live, order):
    both = pl.concat(attempts_of(live[name]) for name in order)
    named = both.with_columns(pl.col("cluster").replace("", "memphis"))
    folded = JOB_ATTEMPTS.fold(named)
    assert folded.height == 70
    assert_frame_equal(folded, JOB_ATTEMPTS.fold(named.reverse()))


def test_requeued_jobs_keep_every_attempt_with_its_hosts(live):
    jobs = attempts_of(live["sacct_x"]).filter(pl.col("job_id").is_in(["1", "34"]))
    told = jobs.group_by("job_id", maintain_order=True).agg("state")
    assert told.rows() == [
        ("1", ["NODE_FAIL", "NODE_FAIL", "CANCELLED"]),
        ("34", ["NODE_FAIL", "NODE_FAIL", "COMPLETED"]),
    ]
    assert jobs["nodes"].to_list() == [[f"gpu00{n}" for n in range(1, 7)]] * 6


def test_live_events_are_node_states_with_their_reasons(shared_data):
    parsed = parse_file(shared_data / "slurm-live" / "events.psv", slurm_events)
    assert (parsed.records, parsed.accepted, parsed.rejected, parsed.ignored) == (36, 34, 0, 2)
    found = parsed.frames["node_states"].filter(pl.col("state").is_in(["DRAIN", "DOWN", "DOWN*"]))
    told = set(found.select("node", "state", "reason", "user").rows())
    assert told == {
        ("gpu002", "DOWN*", "Not responding", "root"),
        ("gpu004", "DOWN*", "Not responding", "root"),
        ("gpu007", "DRAIN", "XID 79 GPU has fallen off the bus", "root"),
        ("gpu008", "DOWN", "IB link flap mlx5_0", "root"),
    }
    assert found.height == 8


@pytest.mark.parametrize(
    ("file", "accepted", "rejected", "ignored"),
    [
        ("gcm-slurm/sample-sacct-fake-line-break.txt", 2, 0, 2),
        ("gcm-slurm/sample-sacct-one-multiline.txt", 2, 0, 2),
        ("gcm-slurm/sample-sacct-output-invalid-utf8.txt", 2, 0, 9),
        ("gcm-slurm/sample-sacct-output-midnight-edge-case-small.txt", 0, 3, 8),
        ("gcm-slurm/sample-sacct-output-with-invalid-lines.txt", 0, 1, 0),
        ("gcm-slurm/sample-sacct-output.txt", 0, 0, 68),
        ("gcm-slurm/sample-sacct-running-output.txt", 0, 0, 10),
        ("xdmod-sacct/robertson-filter-test.log", 1, 0, 0),
    ],
)
def test_every_record_of_other_clusters_is_counted(shared_data, file, accepted, rejected, ignored):
    parsed = parse_file(shared_data / file)
    assert (parsed.accepted, parsed.rejected, parsed.ignored) == (accepted, rejected, ignored)
    assert parsed.records == accepted + rejected + ignored


@pytest.mark.parametrize("name", ["fake-line-break", "one-multiline"])
def test_a_broken_listing_gives_what_the_whole_one_gives(shared_data, name):
    folder = shared_data / "gcm-slurm"
    broken = parse_file(folder / f"sample-sacct-{name}.txt")
    whole = parse_file(folder / f"sample-sacct-{name}-expected.txt")
    assert broken.accepted == whole.accepted == 2
    assert broken.ignored == whole.ignored
    assert_frame_equal(attempts_of(broken).drop("line_no"), attempts_of(whole).drop("line_no"))
    assert attempts_of(broken)["gpus"].to_list() == [1024, 256]


def test_a_listing_without_times_names_its_jobs_in_the_rejects(shared_data):
    """Its twin lacks even the end, and the steps after midnight: the jobs are the same."""
    folder = shared_data / "gcm-slurm"
    told = []
    for name in ("small", "small-expected"):
        path = folder / f"sample-sacct-output-midnight-edge-case-{name}.txt"
        rejects = parse_file(path).rejects
        assert set(rejects["reason"]) == {"the header names neither Submit nor Start"}
        told.append([line.split("|")[:2] for line in rejects["text"]])
    assert told[0] == told[1]
    assert [job for job, _ in told[0]] == ["39125549", "39125551", "39125552"]


def test_invalid_utf8_keeps_its_row(shared_data):
    parsed = parse_file(shared_data / "gcm-slurm" / "sample-sacct-output-invalid-utf8.txt")
    assert parsed.records == 11
    assert attempts_of(parsed)["nodes"].to_list() == [["learnnode047"], ["learnnode036"]]


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("data", [b"", b"\n", b"a", b"a\r\nbb\n\n", b"\n\nlong line here\nx\xff"])
def test_lines_are_numbered_alike_in_pieces_of_any_size(monkeypatch, chunk, data):
    monkeypatch.setattr(text, "_CHUNK", chunk)
    whole = data.decode("utf-8", "replace").removesuffix("\n")
    lines = [line.removesuffix("\r") for line in whole.split("\n")] if data else []
    assert text.numbered_lines(data).rows() == list(enumerate(lines, start=1))


@pytest.mark.parametrize(
    ("tres", "gpus"),
    [
        ("billing=6,cpu=6,gres/gpu=8,mem=1G,node=1", 8),
        ("cpu=6,gres/gpu:h100=8,node=1", 8),
        ("gres/gpu:a100=1,gres/gpu:h100=2", 3),
        ("gres/gpu=4,gres/gpu:a100=1,gres/gpu:h100=3", 4),
        ("cpu=6,gres/gpumem=80G,gres/nvme:gpu=3", 0),
        ("cpu=100K,gres/gpu=1.50K", 1536),
        ("cpu=6,node=1", 0),
        ("gres/gpu=many", None),
        ("gres/gpu:h100=8,gres/gpu:a100=x", None),
        ("gres/gpu=99999999999", None),
        (None, None),
    ],
)
def test_gpus_of_a_tres_text(tres, gpus):
    assert pl.select(text.tres_gpus(pl.lit(tres, pl.String))).item() == gpus


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("5-00:00:00", 432_000),
        ("00:00:26", 26),
        ("123:00:00", 442_800),
        ("00:01.112", 1),
        ("1-13:27:06", 134_826),
        ("UNLIMITED", None),
        ("", None),
    ],
)
def test_seconds_of_a_duration(told, seconds):
    assert pl.select(text.seconds(pl.lit(told))).item() == seconds


CLEAN = "{}|a job|2026-03-02T08:00:00|2026-03-02T08:00:01|2026-03-02T08:10:00|COMPLETED|gpu1|x=1\n"
HEADER = "JobID|JobName|Submit|Start|End|State|NodeList|Comment\n"


@given(
    names=st.lists(st.text("ab |\n=", max_size=8), min_size=1, max_size=5),
    comment=st.text("ab |\n", max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_job_names_that_break_lines_come_back_or_are_refused(names, comment):
    """Between two records of clean lines, each broken one is one row with its name, or refused.

    Names hold no digits here: one that continues like a record (`11|`) is past telling.
    """
    broken = "".join(
        CLEAN.format(number).replace("a job", name).replace("x=1", comment)
        for number, name in enumerate(names, start=10)
    )
    data = HEADER + CLEAN.format(1) + broken + CLEAN.format(2)
    parsed = slurm_sacct.parse(data.encode(), ORIGIN)
    found = dict(attempts_of(parsed).select("job_id", "name").rows())
    assert {"1", "2"} <= found.keys()
    for number, name in enumerate(names, start=10):
        if str(number) in found:
            assert (found[str(number)] or "") == name.strip()
    assert parsed.accepted + parsed.rejected + parsed.ignored == parsed.records


def test_a_name_that_breaks_its_line_is_put_together():
    data = HEADER + CLEAN.format(10).replace("a job", "one|two\n\nthree") + CLEAN.format(11)
    parsed = slurm_sacct.parse(data.encode(), ORIGIN)
    assert attempts_of(parsed)["name"].to_list() == ["one|two\n\nthree", "a job"]
    assert attempts_of(parsed)["line_no"].to_list() == [2, 5]
    assert parsed.rejected == 0


def test_the_forms_of_other_columns_tell_whose_a_separator_is(shared_data):
    """In a listing of all 109 columns, of which ten are free text."""
    whole = (shared_data / "slurm-live" / "sacct_all.psv").read_bytes()
    parsed = slurm_sacct.parse(whole.replace(b"|pretrain-70b|", b"|pre|train-70b|"), ORIGIN)
    assert parsed.rejected == 0
    assert attempts_of(parsed)["name"].str.contains("|", literal=True).sum() == 6


def test_a_record_with_two_readings_is_refused():
    """Nothing tells whose the separator is when two free texts stand side by side."""
    data = "JobID|State|Submit|JobName|Comment\n1|RUNNING|2026-03-02T08:00:00|a|b|c\n"
    parsed = slurm_sacct.parse(data.encode(), ORIGIN)
    assert parsed.rejects["reason"].to_list() == ["wrong number of fields (6 found, 5 promised)"]


def test_a_listing_of_now_is_not_surely_accounting():
    assert slurm_sacct.sniff("JOBID|PARTITION|STATE\n1|train|RUNNING\n", "squeue.psv") == 1
    assert slurm_sacct.sniff("JobID|State\n1|RUNNING\n", "sacct.psv") == 2
    assert slurm_sacct.sniff("NODELIST|STATE\ngpu1|idle\n", "sinfo.psv") == 0


def test_fifty_thousand_damaged_lines_do_not_hang():
    """Every line is odd, none can be joined: the work stays linear."""
    data = HEADER + "7|torn|2026-03-02T08:0\n" * 50_000
    parsed = slurm_sacct.parse(data.encode(), ORIGIN)
    assert parsed.rejected == 50_000


def test_years_that_no_record_can_have_are_refused():
    """Year 0 reads as an instant in Polars and as none in Python: found by damage."""
    texts = pl.Series(["0000-03-02T10:00:00", "9999-12-31T10:00:00Z", "2026-03-02T10:00:00"])
    assert text.instants(texts, "UTC")["at"].null_count() == 2
    assert text.instants(texts, "UTC")["fault"].drop_nulls().unique().to_list() == [
        "its year lies outside 1900 to 2199"
    ]
