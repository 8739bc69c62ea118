"""What the columns of Slurm's accounting mean: one row of text a record to one job attempt.

    12_3|CANCELLED by 1000|2026-03-02T10:00:00|...|gpu[001-006]|cpu=6,gres/gpu:h100=48,node=6

A value that is told but cannot be read is a fault that names its column; it is never a null.
"""

import polars as pl

from transforms import hostlist
from transforms.sources import text
from transforms.sources.base import Origin

_NAMES = ("jobname", "user", "account", "partition", "qos", "cluster")
_TIMES = {"submit": "Submit", "eligible": "Eligible", "start": "Start", "end": "End"}
_NUMBERS = {
    "nnodes": "NNodes",
    "allocnodes": "AllocNodes",
    "ncpus": "NCPUS",
    "alloccpus": "AllocCPUS",
}
_TRES = {"alloctres": "AllocTRES", "reqtres": "ReqTRES"}
_COMMENTS = ("comment", "admincomment", "systemcomment")
COLUMNS = (
    *("jobid", "jobidraw", "state", "nodelist", "exitcode", "reason"),
    *(*_NAMES, *_TIMES, *_NUMBERS, *_TRES, *_COMMENTS),
    *("allocgres", "reqgres", "elapsed", "elapsedraw", "suspended", "timelimit", "timelimitraw"),
)
"""Columns of sacct, in lower case, that an attempt is made of."""

_MISSED = ("submit", "start", "end", "nodelist")
_JOB = r"^[0-9]+(?:_(?:[0-9]+|\[[^\]]*\]))?(?:\+[0-9]+)?$"
_STATE = r"^\s*([A-Za-z_]+)\+?(?:,[A-Za-z_,]+)?(?: by (\S+))?\s*$"
_EXIT = r"^(\d+):(\d+)$"
_RUN = r"""(?:^|[\s,;"'{(])run(?:_id)?=["']?([^\s,;"'})]+)"""

# Under --truncate sacct prints an end for these: the end of the window that it was asked for.
_UNFINISHED = ("PENDING", "RUNNING", "SUSPENDED", "CONFIGURING")
_OVER = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
)
_NO_LIMIT = ("unlimited", "partition_limit")


def named(rows: pl.DataFrame) -> pl.DataFrame:
    """Every column of COLUMNS, null where the file has none or tells no value.

    `lacks_<name>` says of a column that the file has none. The id is JobID, which names array tasks and parts of heterogeneous jobs, and JobIDRaw only
    where that is missing.
    """
    found = [name for name in COLUMNS if name in rows.columns]
    plain = {name: pl.col(name).str.strip_chars() for name in found if name in _NAMES}
    return rows.with_columns(
        *(pl.when(~name.is_in(["", "(null)"])).then(name) for name in plain.values()),
        *(text.told(pl.col(name)) for name in found if name not in _NAMES),
        *(pl.lit(None, pl.String).alias(name) for name in COLUMNS if name not in found),
        *(pl.lit(name not in found).alias(f"lacks_{name}") for name in _MISSED),
    ).with_columns(pl.col("jobid").fill_null(pl.col("jobidraw")))


def attempts(rows: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """`named` rows as the columns of job_attempts, and `fault`: the first unreadable column."""
    rows = _with_counts(_with_times(_with_words(rows), origin.zone))
    exit_parts = pl.col("exitcode").str.extract_groups(_EXIT)
    read = rows.with_columns(
        pl.col("cluster").fill_null(origin.cluster),
        pl.col("jobid").alias("job_id"),
        pl.coalesce("submit_at", "start_at").alias("submitted"),
        pl.coalesce(pl.col(comment).str.extract(_RUN, 1) for comment in _COMMENTS).alias("run"),
        pl.col("jobname").alias("name"),
        pl.col("eligible_at").alias("eligible"),
        exit_parts.struct.field("1").cast(pl.Int32, strict=False).alias("exit_code"),
        exit_parts.struct.field("2").cast(pl.Int32, strict=False).alias("signal"),
        _time_limit_s().alias("time_limit_s"),
        pl.lit(origin.file).alias("file"),
    )
    return read.select(
        *("cluster", "job_id", "submitted", "run", "name", "user", "account", "partition", "qos"),
        *("eligible", "started", "ended", "state", "cancelled_by", "exit_code", "signal"),
        *("nodes", "node_count", "cpus", "gpus", "reason", "time_limit_s", "file", "line_no"),
        _fault().alias("fault"),
    )


def _with_words(rows: pl.DataFrame) -> pl.DataFrame:
    """State, who cancelled, and host names; each distinct text is read once."""
    parts = text.per_distinct(rows["state"], lambda state: state.str.extract_groups(_STATE))
    hosts = hostlist.expand_each(rows["nodelist"])
    return rows.with_columns(
        parts.struct.field("1").str.to_uppercase().alias("state"),
        parts.struct.field("2").alias("cancelled_by"),
        hosts["hosts"].alias("nodes"),
        hosts["fault"].alias("nodelist_fault"),
    )


def _with_times(rows: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Instants of the attempt, as far as it got.

    A job cancelled while it waited may carry its cancellation as start and end: with no host
    assigned and no time between them, it never began. Without an End column a finished job
    ended when its elapsed time, and the time it was suspended, had passed.
    """
    for name in _TIMES:
        read = text.instants(rows[name], zone)
        rows = rows.with_columns(
            read["at"].alias(f"{name}_at"), read["fault"].alias(f"{name}_fault")
        )
    elapsed_s = pl.col("elapsedraw").cast(pl.Int64, strict=False)
    lasted_s = elapsed_s.fill_null(text.seconds(pl.col("elapsed"))) + text.seconds(
        pl.col("suspended")
    ).fill_null(0)
    end = (
        pl.when(pl.col("lacks_end"))
        .then(pl.col("start_at") + pl.duration(seconds=lasted_s))
        .otherwise("end_at")
    )
    rows = rows.with_columns(ended=pl.when(~pl.col("state").is_in(_UNFINISHED)).then(end))
    had_no_host = pl.col("nodelist").is_null() & ~pl.col("lacks_nodelist")
    never_began = (pl.col("state") == "PENDING") | (
        had_no_host & (pl.col("ended") == pl.col("start_at"))
    )
    return rows.with_columns(started=pl.when(~never_began.fill_null(False)).then("start_at"))


def _with_counts(rows: pl.DataFrame) -> pl.DataFrame:
    """Nodes, CPUs and GPUs of the allocation; of the request while there is no allocation."""
    tres = rows["alloctres"].fill_null(rows["reqtres"])
    in_tres = {
        name: text.per_distinct(tres, lambda said, name=name: text.tres_count(said, name))  # type: ignore[misc]
        for name in ("node", "cpu")
    }
    numbers = {name: text.per_distinct(rows[name], text.whole) for name in _NUMBERS}
    rows = rows.with_columns(
        *(text.per_distinct(rows[name], text.tres_gpus).alias(f"{name}_gpus") for name in _TRES),
        *(number.alias(f"{name}_read") for name, number in numbers.items()),
        node_count=pl.coalesce(
            numbers["nnodes"],
            numbers["allocnodes"],
            in_tres["node"],
            pl.col("nodes").list.len().cast(pl.UInt32),
        ),
        cpus=pl.coalesce(numbers["ncpus"], numbers["alloccpus"], in_tres["cpu"]),
    )
    return rows.with_columns(
        gpus=pl.coalesce(
            "alloctres_gpus",
            _gres_gpus(pl.col("allocgres"), unless_said=pl.lit(1)),
            "reqtres_gpus",
            _gres_gpus(pl.col("reqgres"), unless_said=pl.col("node_count")),
        ).cast(pl.UInt32, strict=False)
    )


def _gres_gpus(gres: pl.Expr, unless_said: pl.Expr) -> pl.Expr:
    """GPUs of `gpu:h100:8` or `PER_NODE:gpu:8`, as Slurm wrote before it had TRES.

    A request counts per node unless it says otherwise, an allocation counts whole. Requests per
    task or socket do not tell how many that makes: null.
    """
    named_gpus = gres.str.extract_all(r"(?:^|,)[^,(]*\bgpu\b[^,(]*").list.eval(
        pl.element().str.extract(r":(\d+)$", 1).cast(pl.Int64, strict=False).fill_null(1)
    )
    times = (
        pl.when(gres.str.contains("PER_NODE", literal=True))
        .then("node_count")
        .when(gres.str.contains("PER_JOB", literal=True))
        .then(1)
        .when(~gres.str.contains("PER_", literal=True))
        .then(unless_said)
    )
    return named_gpus.list.sum() * times


def _time_limit_s() -> pl.Expr:
    minutes = pl.col("timelimitraw").cast(pl.Int64, strict=False)
    return (minutes * 60).fill_null(text.seconds(pl.col("timelimit")))


def _fault() -> pl.Expr:
    """The first promise that a record breaks, in the words of its columns."""
    has_limit = pl.col("timelimit").is_not_null() & ~pl.col("timelimit").str.to_lowercase().is_in(
        _NO_LIMIT
    )
    unreadable = {
        "JobID": ~pl.col("job_id").str.contains(_JOB),
        "State": pl.col("state").is_null(),
        **{
            label: pl.col(name).is_not_null() & pl.col(f"{name}_read").is_null()
            for name, label in _NUMBERS.items()
        },
        **{
            label: pl.col(name).is_not_null() & pl.col(f"{name}_gpus").is_null()
            for name, label in _TRES.items()
        },
        "ExitCode": pl.col("exitcode").is_not_null() & pl.col("exit_code").is_null(),
        "Timelimit": has_limit & pl.col("time_limit_s").is_null(),
    }
    has_no_times = pl.col("lacks_submit") & pl.col("lacks_start")
    return pl.coalesce(
        pl.when(pl.col("job_id").is_null()).then(pl.lit("JobID: not told")),
        *(
            pl.when(wrong).then(pl.lit(f"{label}: unreadable"))
            for label, wrong in unreadable.items()
        ),
        *(pl.lit(f"{label}: ") + pl.col(f"{name}_fault") for name, label in _TIMES.items()),
        pl.lit("NodeList: ") + pl.col("nodelist_fault"),
        pl.when(pl.col("submitted").is_null() & has_no_times).then(
            pl.lit("the header names neither Submit nor Start")
        ),
        pl.when(pl.col("submitted").is_null()).then(pl.lit("Submit and Start: not told")),
        # Left open, it would hold its GPUs until today.
        pl.when(
            pl.col("state").is_in(_OVER)
            & pl.col("started").is_not_null()
            & pl.col("ended").is_null()
        ).then(pl.lit("End: not told, though the job is over")),
    )
