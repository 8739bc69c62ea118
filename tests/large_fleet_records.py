"""What the machines and agents of a large made fleet said: ten kernel records to every incident.

Planted: a third of the GPU-memory failures follow a row remap (Xid 63) by up to six days, and an
agent reports three in ten GPU failures half an hour early, beside alarms about nothing.
"""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import polars as pl
from large_fleet import CHUNK_DAYS, GPUS_A_NODE, LargeFleet, bus, conform
from large_fleet_training import lay_beside

from flows.lake import Lake
from transforms.contract import Table
from transforms.tables import derived as d
from transforms.tables import observed as o

KERNEL_A_NODE = 800
FORETOLD, REPORTED = 1 / 3, 0.3
# kind, code, detail, share of the records that belong to no incident
NOISE = (
    (
        "xid",
        63,
        "pid='<unknown>', name=<unknown>, Row Remapper: New row marked for remapping",
        0.02,
    ),
    ("xid", 92, "pid='<unknown>', name=<unknown>, High single-bit ECC error rate", 0.03),
    ("xid", 13, "pid=81, name=python, Graphics SM Warp Exception", 0.2),
    ("xid", 31, "pid=82, name=python, Ch 00000008, MMU Fault", 0.2),
    ("edac", 0, "CE memory read error on CPU_SrcID#0", 0.2),
    ("aer", 0, "Corrected error received: Physical Layer", 0.15),
    ("link_down", 0, "Lost carrier", 0.1),
    ("link_up", 0, "Gained carrier", 0.1),
)


def repeats(incidents: pl.DataFrame) -> pl.DataFrame:
    """A row for every kernel record of the incidents that the kernel told of, root first."""
    told = incidents.filter(pl.col("root_code") > 0).select(
        "incident", "day", "cluster", "node", "device", "began", "ended", "root_code", "events"
    )
    return (
        told.with_columns(nth=pl.int_ranges(0, pl.col("events")))
        .explode("nth")
        .with_columns(
            observed_at=pl.col("began") + (pl.col("ended") - pl.col("began")) * pl.col("nth") / pl.col("events")
        )
    )  # fmt: skip


def incident_members(incidents: pl.DataFrame) -> pl.DataFrame:
    """Every record of an incident; incidents that no kernel told of have their root alone."""
    untold = incidents.filter(pl.col("root_code") == 0).select(
        "incident", "day", "node", "device", "root_code", observed_at="began", nth=pl.lit(0)
    )
    seen = repeats(incidents).select(untold.columns)
    is_told = pl.col("root_code") > 0
    rows = pl.concat([untold, seen], how="vertical_relaxed").with_columns(
        source_table=pl.when(is_told).then(pl.lit("kernel_events")).otherwise(pl.lit("node_states")),
        kind=pl.when(is_told).then(pl.lit("xid")).otherwise(pl.lit("node_state")),
        code="root_code",
        file=pl.lit("log"),
        line_no=pl.col("nth") + 1,
        role=pl.when(pl.col("nth") == 0).then(pl.lit("root")).otherwise(pl.lit("witness")),
    )  # fmt: skip
    return conform(d.INCIDENT_MEMBERS, rows)


def kernel_events(fleet: LargeFleet, incidents: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Some days at a time: the incidents' records, signs before some of them, and noise."""
    rng = np.random.default_rng(fleet.seed + 6)
    own = repeats(incidents)
    signs = incidents.filter(pl.col("component") == "GPU memory")
    signs = signs.filter(pl.Series(rng.random(signs.height) < FORETOLD))
    early = pl.Series(rng.integers(3600, 6 * 86_400, signs.height))
    signs = signs.with_columns(pl.col("began") - pl.duration(seconds=early))
    left = max(0, KERNEL_A_NODE * fleet.nodes * fleet.days // 730 - own.height - signs.height)
    noise = _noise(fleet, rng, left)
    columns = ["cluster", "node", "observed_at", "device", "kind", "code", "detail"]
    xid = pl.lit("xid")
    rows = pl.concat(
        [
            own.with_columns(kind=xid, code="root_code", detail=pl.format("pid={}, name=python, GPU error", "nth")).select(columns),
            signs.with_columns(observed_at="began", kind=xid, code=63, detail=pl.lit(NOISE[0][2])).select(columns),
            noise.select(columns),
        ],
        how="vertical_relaxed",
    ).filter(pl.col("observed_at") >= fleet.began)  # fmt: skip
    rows = rows.with_columns(
        repeat=0, clock=pl.lit("stamped"), file=pl.lit("kern.log"), line_no=1
    ).unique(list(o.KERNEL_EVENTS.key))
    first = pl.col("observed_at")
    for begins in range(0, fleet.days, CHUNK_DAYS):
        since = fleet.began + timedelta(days=begins)
        part = rows.filter(first >= since, first < since + timedelta(days=CHUNK_DAYS))
        yield conform(o.KERNEL_EVENTS, part.filter(first < fleet.until))


def _noise(fleet: LargeFleet, rng: np.random.Generator, size: int) -> pl.DataFrame:
    kind = rng.choice(len(NOISE), size, p=[share for *_, share in NOISE])
    kinds, codes, details, _ = zip(*NOISE, strict=True)
    places = fleet.places().select("cluster", "node")[rng.integers(0, fleet.nodes, size)]
    return places.with_columns(
        observed_at=fleet.at(rng.integers(0, fleet.days * 86_400_000_000, size)),
        kind=pl.Series(kinds).gather(kind),
        code=pl.Series(codes).gather(kind),
        detail=pl.Series(details).gather(kind),
        device=bus(pl.Series(rng.integers(0, GPUS_A_NODE, size))),
    )


def cluster_events(fleet: LargeFleet, incidents: pl.DataFrame) -> pl.DataFrame:
    """An agent's alarms: some of the GPU failures early, and one a node and two months in vain."""
    rng = np.random.default_rng(fleet.seed + 7)
    some = incidents.filter(pl.col("component") == "GPU lost")
    some = some.filter(pl.Series(rng.random(some.height) < REPORTED)).select(
        "cluster", "node", observed_at=pl.col("began") - pl.duration(minutes=30)
    )
    size = fleet.nodes * fleet.days // 60
    vain = fleet.places().select("cluster", "node")[rng.integers(0, fleet.nodes, size)]
    vain = vain.with_columns(
        observed_at=fleet.at(rng.integers(0, fleet.days * 86_400_000_000, size))
    )
    rows = pl.concat([some, vain]).filter(pl.col("observed_at") >= fleet.began).with_columns(
        reporter=pl.lit("gpud"),
        object=pl.format("node {}", "node"),
        reason=pl.lit("GPUUnhealthy"),
        code=0,
        device=pl.lit(""),
        detail=pl.lit("GPU is unhealthy"),
        level=pl.lit("critical"),
        file=pl.lit("agent"),
        line_no=1,
    )  # fmt: skip
    return conform(o.CLUSTER_EVENTS, rows.unique(list(o.CLUSTER_EVENTS.key)))


def gpu_time(fleet: LargeFleet, interruptions: pl.DataFrame) -> pl.DataFrame:
    """What the ledger charges to each incident that stopped a run: two leaves of lost time."""
    rng = np.random.default_rng(fleet.seed + 8)
    one = interruptions.select(
        "day", "cluster", "run", "incident", cause=pl.col("cause").cast(pl.String), gpus="gpus"
    ).with_columns(hours=pl.Series(rng.lognormal(-1, 1, interruptions.height)))
    rows = pl.concat(
        one.with_columns(
            leaf=pl.lit(leaf),
            provisional=pl.lit(False),
            evidence=pl.lit("steps"),
            provider=pl.lit(""),
            hall=pl.lit(""),
            gpu_ms=(pl.col("hours") * pl.col("gpus") * share * 3_600_000).cast(pl.Int64),
        )
        for leaf, share in (("step_lost", 1.0), ("restore", 0.2))
    )
    return conform(d.GPU_TIME, rows.unique(list(d.GPU_TIME.key)))


def run_time(gpu_time: pl.DataFrame) -> pl.DataFrame:
    """The same as the runs' own time, each of which kept four times what it lost."""
    kept = {"leaf": pl.lit("ideal"), "cause": pl.lit(""), "incident": pl.lit("")}
    rows = gpu_time.cast({pl.Enum: pl.String})
    rows = pl.concat([rows, rows.with_columns(gpu_ms=pl.col("gpu_ms") * 4, **kept)])
    key = list(d.RUN_TIME.key)
    return conform(d.RUN_TIME, rows.group_by(key).agg(pl.col("gpu_ms").sum()))


def run_attempts(fleet: LargeFleet) -> pl.DataFrame:
    """Single-node jobs, four a node and month, one in fifty failed."""
    rng = np.random.default_rng(fleet.seed + 9)
    size = fleet.nodes * fleet.days // 8
    number = pl.Series(np.arange(size))
    began = fleet.at(rng.integers(0, (fleet.days - 1) * 86_400_000_000, size))
    places = fleet.places().select("cluster", "node")[rng.integers(0, fleet.nodes, size)]
    rows = places.with_columns(
        job_id=number.cast(pl.String),
        submitted=began,
        eligible=began,
        started=began,
        ended=pl.lit(began) + pl.duration(seconds=pl.Series(rng.integers(60, 86_400, size))),
        run=number.cast(pl.String),
        link=pl.lit("alone"),
        user="u" + pl.Series(rng.integers(0, 500, size)).cast(pl.String),
        state=pl.Series(np.where(rng.random(size) < 0.02, "FAILED", "COMPLETED")),
        nodes=pl.concat_list("node"),
        node_count=1,
        gpus=GPUS_A_NODE,
        logs_steps=False,
    )
    return conform(d.RUN_ATTEMPTS, rows)


def tables(fleet: LargeFleet) -> dict[Table, pl.DataFrame]:
    """All but `exposure` and `kernel_events`, which come in pieces."""
    incidents = fleet.incident_rows()
    interruptions = fleet.interruptions(incidents)
    spent = gpu_time(fleet, interruptions)
    return {
        d.FLEET: fleet.fleet(),
        d.INCIDENTS: incidents,
        d.INCIDENT_MEMBERS: incident_members(incidents),
        d.FAILURES: fleet.failures(incidents),
        d.REPAIRS: fleet.repairs(incidents),
        d.INTERRUPTIONS: interruptions,
        d.GPU_TIME: spent,
        d.RUN_TIME: run_time(spent),
        d.RUN_ATTEMPTS: run_attempts(fleet),
        o.GPUS: fleet.gpus(),
        o.CLUSTER_EVENTS: cluster_events(fleet, incidents),
    }


def lay_down(fleet: LargeFleet, lake: Lake) -> None:
    """The fleet's rows as a lake that was derived."""
    told = tables(fleet)
    for table, rows in told.items():
        if table.interval or not table.day:
            lake.replace(table, rows, fleet.began, fleet.until)
        else:
            _by_days(lake, table, rows)
    for rows in fleet.exposure():
        _by_days(lake, d.EXPOSURE, rows)
    for rows in kernel_events(fleet, told[d.INCIDENTS]):
        _by_days(lake, o.KERNEL_EVENTS, rows)
    lay_beside(fleet, lake)


def _by_days(lake: Lake, table: Table, rows: pl.DataFrame) -> None:
    days = rows[table.day].dt.date().unique().sort().cast(pl.Datetime("us", "UTC"))
    lake.replace(table, rows, days[0], days[-1] + timedelta(days=1))
