"""What a snapshot of jobs (`squeue`, `scontrol show jobs`) may say of an attempt.

The controller prints plans in the columns of facts: when a waiting job should start, when a
running one must end. Only a job in a final state has ended; one that is completing has lost its
allocation on some nodes only, and accounting will say which state it ended in.
"""

import polars as pl

_FINAL = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
)
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")


def without_plans(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `slurm_attempts.named` without planned starts and ends."""
    state = pl.col("state").str.to_uppercase().str.strip_chars()
    # Slurm gives the time limit's end to a job that has none yet; `is_absent` would ask for one.
    is_over = state.str.extract(r"^([A-Z_]+)").is_in(_FINAL)
    return rows.with_columns(
        pl.when(is_over).then("end").alias("end"),
        pl.when(~state.is_in(_WAITING)).then("start").alias("start"),
    )
