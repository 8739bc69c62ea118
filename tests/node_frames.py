"""Frames for studies of nodes: exposure of nodes that joined late, incidents, boards in slots."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from transforms.tables import derived as d
from transforms.tables import observed as o

FIRST = date(2026, 1, 5)
START = datetime(2026, 1, 5, tzinfo=UTC)
DAY_MS = 86_400_000


def fleet_of(days_in: np.ndarray, days: int, share: float = 0.5) -> pl.DataFrame:
    """Exposure of nodes that joined late: node i was there for the last `days_in[i]` days."""
    node = np.repeat(np.arange(len(days_in)), days_in)
    day = days - 1 - (np.arange(len(node)) - np.repeat(np.cumsum(days_in) - days_in, days_in))
    names = pl.Series([f"n{i:05}" for i in range(len(days_in))])
    racks = pl.Series([f"r{i // 16:03}" for i in range(len(days_in))])
    return pl.DataFrame(
        {
            "day": pl.Series(day).cast(pl.Int32) + (FIRST - date(1970, 1, 1)).days,
            "node": names.gather(node),
            "rack": racks.gather(node),
        }
    ).with_columns(
        pl.col("day").cast(pl.Date),
        cluster=pl.lit("c"),
        gpus=pl.lit(8, pl.UInt16),
        provider=pl.lit(None, pl.String),
        hall=pl.lit("H1"),
        wall_ms=pl.lit(DAY_MS, pl.Int64),
        in_service_ms=pl.lit(DAY_MS, pl.Int64),
        allocated_ms=pl.lit(int(DAY_MS * share), pl.Int64),
        **{n: pl.lit(0, pl.Int64) for n in ("down_ms", "planned_down_ms", "unobserved_ms")},
        gpu_capacity_ms=pl.lit(8 * DAY_MS, pl.Int64),
    ).select(d.EXPOSURE.dtypes.names())  # fmt: skip


def hits_of(exposure: pl.DataFrame, rate: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    """Incidents at `rate[node]` per allocated day, one by one, in the columns of the table."""
    who = exposure["node"].str.slice(1).cast(pl.Int64).to_numpy()
    drawn = rng.poisson(rate[who] * exposure["allocated_ms"].to_numpy() / DAY_MS)
    rows = exposure.select("day", "cluster", "node")[np.repeat(np.arange(len(drawn)), drawn)]
    return incidents_at(rows)


def incidents_at(rows: pl.DataFrame, klass: str = "GPU", **more) -> pl.DataFrame:
    began = pl.col("day").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=12)
    filled = rows.with_columns(
        incident=pl.lit("i") + pl.int_range(pl.len()).cast(pl.String) + pl.lit(klass),
        began=began,
        ended=began,
        nodes=pl.concat_list("node"),
        gpus=pl.lit([], pl.List(pl.String)),
    )
    said = {"class": klass, "component": "lost", "root_kind": "xid", "device": "", "root_code": 79}
    said |= {"severity": "S2", "confidence": 1.0, "events": 1, "definition": "coalesced-180s"}
    said |= {"counts": True, "interrupts": 0} | more
    filled = filled.with_columns(pl.lit(value).alias(name) for name, value in said.items())
    return filled.select(d.INCIDENTS.dtypes.names()).cast(d.INCIDENTS.dtypes)


def some(*nodes: int, day: int = 10) -> pl.DataFrame:
    """Incidents on the nodes named, as often as each is named."""
    rows = [{"day": FIRST + timedelta(days=day), "cluster": "c", "node": f"n{n:05}"} for n in nodes]
    return incidents_at(pl.DataFrame(rows))


def gpu(serial: str, node: int, pci: str, since: int, until: int | None = None) -> dict:
    ends = None if until is None else START + timedelta(days=until)
    said = {"serial": serial, "cluster": "c", "node": f"n{node:05}", "pci": pci, "file": "f"}
    said |= {"valid_from": START + timedelta(days=since), "valid_to": ends, "line_no": 1}
    return dict.fromkeys(o.GPUS.dtypes) | said
