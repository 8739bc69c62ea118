"""A fleet of any size and its years of trouble, as rows of the derived tables, from a seed.

No log is written and none is read: what a study of 100,000 GPUs over two years needs is rows.
Planted: nodes differ (gamma), one in a hundred is a lemon, a hall has bad days now and then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from transforms.contract import Table
from transforms.studies import Asked
from transforms.tables import derived as d
from transforms.tables import observed as o

DAY_US = 86_400_000_000
DAY_MS = 86_400_000
GPUS_A_NODE = 8
COMPONENTS = ("GPU lost", "GPU memory", "NVLink", "PCIe", "Host", "NIC", "Storage", "Power")
KLASSES = ("GPU", "GPU", "NVLink", "PCIe", "Host", "Network", "Storage", "Facility")
CODES = (79, 48, 74, 0, 0, 0, 0, 0)
SHARES = (0.22, 0.2, 0.12, 0.08, 0.14, 0.14, 0.06, 0.04)
CHUNK_DAYS = 30

QUESTIONS: dict[str, tuple[dict[str, str], ...]] = {
    "rates": ({"by": "cluster"}, {"by": "hall,week"}, {"by": "node"}, {"by": "rack,class"}, {"by": "provider,component,month"}),
    "compare": ({"first": "cluster=alpha", "second": "cluster=beta"},),
    "availability": ({"by": "cluster"}, {"by": "hall,month"}),
    "survival": (
        {},
        {"unit": "gpu", "by": "model"},
        {"unit": "gpu", "of": "removal", "by": "model"},
        {"of": "repair", "by": "class"},
        {"of": "between-failures", "by": "hall"},
        {"unit": "gpu", "of": "between-failures"},
    ),
    "recurrence": ({"by": "hall"}, {"by": "model", "unit": "gpu"}),
    "relapses": ({"clock": "wall", "by": "class"},),
    "suspects": tuple({"unit": unit} for unit in ("node", "gpu", "rack", "leaf_switch")),
    "trend": ({"by": "cluster"}, {"by": "hall,class"}),
}  # fmt: skip
"""What each study is asked of it; a study not named here is asked without options."""


def asked_of(options: dict[str, str]) -> Asked:
    """The question of these options; `clock` is no option of its own."""
    rest = {name: value for name, value in options.items() if name != "clock"}
    return Asked(clock=options.get("clock", "in_service"), options=rest)


@dataclass(frozen=True)
class LargeFleet:
    """`nodes` of 8 GPUs watched for `days`, to which `incidents` happen."""

    nodes: int = 12_500
    days: int = 730
    incidents: int = 1_000_000
    seed: int = 1
    since: date = date(2024, 3, 1)

    @property
    def began(self) -> datetime:
        return datetime.combine(self.since, datetime.min.time(), UTC)

    @property
    def until(self) -> datetime:
        return self.began + timedelta(days=self.days)

    def at(self, us: np.ndarray) -> pl.Series:
        first = int(self.began.timestamp()) * 1_000_000
        return pl.Series(us + first).cast(pl.Datetime("us", "UTC"))

    def places(self) -> pl.DataFrame:
        """Where every node stands: racks of 4, leaf switches of 32, halls of 1,280."""
        number = np.arange(self.nodes)

        def named(prefix: str, size: int) -> pl.Series:
            return prefix + pl.Series(number // size).cast(pl.String).str.zfill(4)

        return pl.DataFrame(
            {
                "cluster": np.where(number < self.nodes * 4 // 5, "alpha", "beta"),
                "node": "gpu" + pl.Series(number).cast(pl.String).str.zfill(5),
                "provider": np.where(number % 1280 < 900, "east", "west"),
                "hall": named("H", 1280),
                "rack": named("R", 4),
                "pdu": named("P", 16),
                "leaf_switch": named("S", 32),
                "nvlink_domain": named("R", 4),
                "cooling_loop": named("C", 320),
            }
        )

    def fleet(self) -> pl.DataFrame:
        return conform(
            d.FLEET,
            self.places().with_columns(
                valid_from=pl.lit(self.began - timedelta(days=40)),
                valid_to=None,
                gpus=GPUS_A_NODE,
                gpu_model=pl.lit("H100"),
                evidence=pl.lit("inventory"),
            ),
        )

    def exposure(self) -> Iterator[pl.DataFrame]:
        """Some days at a time: a row a node and day, a few of them partly out of service."""
        rng = np.random.default_rng(self.seed + 1)
        places = self.places().select("cluster", "node", "provider", "hall", "rack")
        for first in range(0, self.days, CHUNK_DAYS):
            some = min(CHUNK_DAYS, self.days - first)
            size = some * self.nodes
            down = np.where(rng.random(size) < 0.02, rng.integers(0, DAY_MS, size), 0)
            allocated = (DAY_MS - down) * rng.integers(80, 100, size) // 100
            days = pl.Series([self.since + timedelta(days=first + k) for k in range(some)])
            yield conform(
                d.EXPOSURE,
                pl.DataFrame({"day": days}).join(places, how="cross").with_columns(
                    gpus=GPUS_A_NODE,
                    wall_ms=DAY_MS,
                    in_service_ms=pl.Series(DAY_MS - down),
                    allocated_ms=pl.Series(allocated),
                    down_ms=pl.Series(down),
                    planned_down_ms=0,
                    unobserved_ms=0,
                    gpu_capacity_ms=GPUS_A_NODE * DAY_MS,
                ),
            )  # fmt: skip

    def incident_rows(self) -> pl.DataFrame:
        """`incidents`: most of them on nodes by their own rate, some in a hall's bad days."""
        rng = np.random.default_rng(self.seed + 2)
        rate = rng.gamma(2, 1, self.nodes) * np.where(rng.random(self.nodes) < 0.01, 20, 1)
        node = rng.choice(self.nodes, self.incidents, p=rate / rate.sum())
        us = rng.integers(0, self.days * DAY_US, self.incidents)
        bad = np.flatnonzero(rng.random(self.incidents) < 0.02)
        halls = -(-self.nodes // 1280)
        storm = rng.integers(0, max(1, self.days // 10), len(bad))
        at, of = (rng.integers(0, top, self.days) for top in (self.days * 24, halls))
        node[bad] = np.minimum(of[storm] * 1280 + rng.integers(0, 1280, len(bad)), self.nodes - 1)
        us[bad] = at[storm] * (DAY_US // 24) + rng.integers(0, DAY_US // 24, len(bad))
        kind = rng.choice(len(COMPONENTS), self.incidents, p=SHARES)
        slot = rng.integers(0, GPUS_A_NODE, self.incidents)
        is_gpu = kind < 4
        told = pl.DataFrame(
            {
                "incident": pl.Series(np.arange(self.incidents)).cast(pl.String).str.zfill(16),
                "began": self.at(us),
                "lasted": rng.integers(0, 600_000_000, self.incidents),
                "number": node,
                "class": pl.Series(KLASSES).gather(kind),
                "component": pl.Series(COMPONENTS).gather(kind),
                "root_code": pl.Series(CODES).gather(kind),
                "severity": pl.Series([f"S{s}" for s in rng.integers(1, 6, self.incidents)]),
                "confidence": rng.uniform(0.5, 1, self.incidents).round(2),
                "events": rng.integers(1, 20, self.incidents),
                "slot": np.where(is_gpu, slot, -1),
                "interrupts": rng.integers(0, 2, self.incidents),
            }
        )
        names = self.places().select("cluster", "node").with_row_index("number")
        gpu = pl.format("{}/{}", "node", bus(pl.col("slot")))
        on_gpu = pl.col("slot") >= 0
        return conform(
            d.INCIDENTS,
            told.join(names.cast({"number": pl.Int64}), on="number").with_columns(
                day=pl.col("began").dt.date(),
                ended=pl.col("began") + pl.duration(microseconds="lasted"),
                device=pl.when(on_gpu).then(bus(pl.col("slot"))).otherwise(pl.lit("")),
                nodes=pl.concat_list("node"),
                gpus=pl.when(on_gpu).then(pl.concat_list(gpu)).otherwise(pl.lit([], pl.List(pl.String))),
                root_kind=pl.when(pl.col("root_code") > 0).then(pl.lit("xid")).otherwise(pl.lit("node_state")),
                definition=pl.lit("coalesced-180s"),
                counts=True,
            ),
        )  # fmt: skip

    def failures(self, incidents: pl.DataFrame) -> pl.DataFrame:
        by = ["day", "cluster", "node", "class", "component", "definition"]
        return conform(d.FAILURES, incidents.group_by(by).agg(failures=pl.len()))

    def repairs(self, incidents: pl.DataFrame) -> pl.DataFrame:
        """A third of the incidents take their node out for a while, lognormal around 6 hours."""
        rng = np.random.default_rng(self.seed + 3)
        some = incidents.filter(pl.Series(rng.random(incidents.height) < 1 / 3))
        hours = rng.lognormal(np.log(6), 1.2, some.height)
        back = pl.col("began") + pl.duration(microseconds=pl.Series((hours * 3.6e9).astype("i8")))
        rows = some.select(
            "cluster", "node", "day", "incident",
            down_from="began", up_again=pl.when(back < self.until).then(back),
            planned=pl.Series(rng.random(some.height) < 0.1), reason="component",
        )  # fmt: skip
        return conform(d.REPAIRS, rows.unique(["cluster", "node", "down_from"]))

    def interruptions(self, incidents: pl.DataFrame) -> pl.DataFrame:
        """A quarter of the incidents end a run, most often a small one."""
        rng = np.random.default_rng(self.seed + 4)
        some = incidents.filter(pl.col("interrupts") > 0).gather_every(2)
        nodes = rng.choice([1, 2, 4, 16, 64, 512], some.height, p=[0.4, 0.2, 0.2, 0.1, 0.08, 0.02])
        seconds = lambda top: pl.duration(seconds=pl.Series(rng.integers(1, top, some.height)))  # noqa: E731
        chain = some.with_columns(failed_at=pl.col("began"))
        names = ("detected_at", "decided_at", "allocated_at", "started_at", "restored_at")
        before = "failed_at"
        for name in (*names, "resumed_at"):
            chain = chain.with_columns((pl.col(before) + seconds(300)).alias(name))
            before = name
        number = pl.Series(np.arange(some.height)).cast(pl.String)
        rows = chain.with_columns(
            run=("run" + (pl.Series(np.arange(some.height)) % 5000).cast(pl.String)),
            job_id=number,
            submitted=pl.col("began") - seconds(86_400),
            state=pl.lit("NODE_FAIL"),
            planned=pl.Series(rng.random(some.height) < 0.05),
            cause="class",
            co_causes=pl.lit([], pl.List(pl.String)),
            nodes=pl.Series(nodes),
            gpus=pl.Series(nodes * GPUS_A_NODE),
            lost_from_step=None,
        )
        return conform(d.INTERRUPTIONS, rows.unique(["cluster", "run", "failed_at"]))

    def gpus(self) -> pl.DataFrame:
        """Every slot's boards: three in a hundred were swapped once."""
        rng = np.random.default_rng(self.seed + 5)
        slots = self.places().select("cluster", "node").join(
            pl.DataFrame({"slot": np.arange(GPUS_A_NODE)}), how="cross"
        )  # fmt: skip
        swapped = rng.random(slots.height) < 0.03
        at = self.at(np.where(swapped, rng.integers(1, self.days * DAY_US, slots.height), 0))
        serial = pl.format("{}{}", pl.lit("S"), pl.int_range(pl.len()) + 1_000_000)
        first = slots.with_columns(
            serial=serial,
            valid_from=pl.lit(self.began - timedelta(days=40)),
            valid_to=pl.when(pl.Series(swapped)).then(at),
            removal_reason=pl.when(pl.Series(swapped)).then(pl.lit("replaced")),
        )
        second = slots.with_columns(valid_from=at, valid_to=None, removal_reason=None)
        second = second.filter(pl.Series(swapped)).with_columns(
            serial=pl.format("{}{}", pl.lit("T"), pl.int_range(pl.len()) + 1_000_000)
        )
        rows = pl.concat([first, second], how="diagonal_relaxed").with_columns(
            uuid=pl.format("GPU-{}", "serial"),
            pci=bus(pl.col("slot")),
            model=pl.lit("H100"),
            file=pl.lit("gpus"),
            line_no=1,
        )
        return conform(o.GPUS, rows)


def bus(slot: pl.Expr) -> pl.Expr:
    return pl.format("0000:{}b:00", slot + 1)


def conform(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` in the types and order of `table`; what they do not say is null."""
    told = [
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in table.dtypes.items()
    ]
    return table.conform(rows.select(told).sort(table.key))
