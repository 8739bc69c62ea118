"""GPUs of an allocation that its training does not use: hot spares, and those lost on the way (G-8).

A process says at its start how many GPUs it trains on. What the allocation holds beyond the most that
any of its starts used is spare; what an earlier start used and a later one does not is missing: it
waits for repair. GPUs that a new allocation no longer asks for were given back, and are not the run's.
"""

import polars as pl

from transforms.ledger.claims import EVIDENCE_TYPE, LEAF
from transforms.ledger.owners import NOBODY
from transforms.ledger.timeline import cut, latest_before, pack


def unused_apart(slices: pl.DataFrame, told: pl.DataFrame, missing: pl.DataFrame) -> pl.DataFrame:
    """Split slices of allocations (SLICE) into the GPUs that train and those that do not.

    `told` is what `in_use.on_attempts` gives, `missing` who took which of its GPUs (struck.missing).
    The parts of a slice sum to it; those in use come first in the numbering of the line's GPUs, then
    the missing, then the spare.
    """
    if told.is_empty() or slices.is_empty():
        return slices
    pieces = cut(slices, pack(told["line"], told["began"]))
    row = pl.Series(latest_before(told, pieces["line"], pieces["began"]))
    known = row.set(row < 0, None)
    pieces = pieces.with_columns(
        row=known, use=told["use"].gather(known), most=told["most"].gather(known)
    ).with_columns(
        pl.coalesce("use", "gpus").alias("use"), pl.coalesce("most", "gpus").alias("most")
    )
    taken = (
        pieces.drop("owner").join(missing, on="row").with_columns(leaf=pl.lit("repair_wait", LEAF))
    )
    spare = pieces.with_columns(
        leaf=pl.lit("spare", LEAF), low="most", high="gpus", owner=pl.lit(NOBODY, pl.Int64)
    )
    idle = {
        "fallback": pl.lit(NOBODY, pl.Int64),
        "evidence": pl.lit("marks", EVIDENCE_TYPE),
        "provisional": pl.lit(False),
    }
    parts = [
        pieces.with_columns(gpus="use"),
        *(
            part.with_columns(from_gpu=pl.col("low"), gpus=pl.col("high") - pl.col("low"), **idle)
            for part in (taken, spare)
        ),
    ]
    return pl.concat([part.select(slices.columns) for part in parts]).filter(pl.col("gpus") > 0)
