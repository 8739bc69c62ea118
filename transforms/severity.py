"""How bad an incident was, and how sure its class is (methods 2.10).

S1  a run of 1,000 GPUs or more was interrupted, or three nodes of one domain went down
S2  a smaller run was interrupted
S3  a part failed or a node was lost or drained, and no run was interrupted
S4  something degraded
S5  a warning, or a program's own error

Confidence says how far the class can be trusted: 0.3 when nothing names a cause; 0.5 when one
witness names one that is known to be ambiguous (firmware timeouts, link losses, a scheduler's
reason text); 0.8 when a hardware fault or a person names it; a second, different witness closes
half of what is missing to 0.95 or, where the first one was strong, all of it.
"""

import polars as pl

BIG_RUN_GPUS = 1000
NODES_OF_ONE_DOMAIN = 3

STRONG, AMBIGUOUS, GUESS, BEST = 0.8, 0.5, 0.3, 0.95


def severity() -> pl.Expr:
    """S1 to S5 from biggest_run_gpus, interrupts, nodes_down, is_out, has_fault, has_doubt."""
    big = pl.col("biggest_run_gpus").fill_null(0) >= BIG_RUN_GPUS
    return (
        pl.when(big | (pl.col("nodes_down") >= NODES_OF_ONE_DOMAIN))
        .then(pl.lit("S1"))
        .when(pl.col("interrupts") > 0)
        .then(pl.lit("S2"))
        .when(pl.col("is_out") | pl.col("has_fault"))
        .then(pl.lit("S3"))
        .when(pl.col("has_doubt"))
        .then(pl.lit("S4"))
        .otherwise(pl.lit("S5"))
    )


def confidence() -> pl.Expr:
    """0..1 from the root's class, evidence and prior, and the number of `witnesses`."""
    evidence = pl.col("evidence")
    is_strong = (evidence == "outage") | (
        (evidence == "counting") & (pl.col("prior") == "hardware")
    )
    more = pl.col("witnesses") > 1
    return (
        pl.when(pl.col("class") == "Unknown")
        .then(pl.lit(GUESS))
        .when(is_strong & more)
        .then(pl.lit(BEST))
        .when(is_strong)
        .then(pl.lit(STRONG))
        .when(more)
        .then(pl.lit((AMBIGUOUS + BEST) / 2))
        .otherwise(pl.lit(AMBIGUOUS))
        .round(3)
    )
