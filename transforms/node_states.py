"""What a scheduler's node state means for service: up, down, planned or unknown (methods 2.8).

    DOWN*                   down      not responding
    DRAIN, "firmware"       planned   an operator's reason decides a drain
    IDLE+DRAIN, "XID 79"    down
    UNK, "cold-start"       unknown   the scheduler itself had just started

A state is a base with flags, as words after `+` or as one trailing sign. A drained node is out of
service even while its last job still runs there (`is_draining` then says that it may): scheduler
events name the state at the drain only, and no record says when that job left.
"""

import polars as pl

from transforms.emptiness import empty_from
from transforms.reasons import classify_reasons

SERVICES = ("up", "down", "planned", "unknown")

# One trailing sign is a flag (scontrol, sinfo).
_SIGNS = {
    "*": "NOT_RESPONDING",
    "$": "MAINT",
    "@": "REBOOT_REQUESTED",
    "^": "REBOOT_ISSUED",
    "~": "POWERED_DOWN",
    "#": "POWERING_UP",
    "%": "POWERING_DOWN",
    "!": "POWER_DOWN",
    "-": "PLANNED",
}
_UP = (
    *("IDLE", "ALLOCATED", "ALLOC", "MIXED", "MIX", "COMPLETING", "COMP", "PLANNED", "PLND"),
    *("RESERVED", "RESV", "BLOCKED", "BLOCK", "CLOUD", "RESUME", "UNDRAIN", "DYNAMIC_NORM"),
    "READY",  # as `kubectl get nodes` prints it
)
_UNKNOWN = ("UNKNOWN", "UNK")
_DRAIN = ("DRAIN", "DRAINED", "DRAINING", "DRNG", "SCHEDULINGDISABLED")
_RUNNING = ("DRAINING", "DRNG", "ALLOCATED", "ALLOC", "MIXED", "MIX", "COMPLETING", "COMP")
_PLANNED = (
    *("MAINT", "REBOOT_REQUESTED", "REBOOT_ISSUED", "REBOOT", "BOOT", "FUTURE", "FUTR"),
    *("POWERED_DOWN", "POWERING_DOWN", "POWERING_UP", "POWER_DOWN", "POWER_UP", "POWER_DRAIN"),
    *("POW_DN", "POW_UP", "PWRD_DN", "POWERED_DOWN_FORCE"),
)
_INVALID = ("INVAL", "INVALID", "INVALID_REG")
_DOWN = (
    "DOWN",
    "FAIL",
    "FAILING",
    "FAILG",
    "ERROR",
    "NOT_RESPONDING",
    "NO_RESPOND",
    "NOTREADY",
    *_INVALID,
)


@empty_from("node_states")
def classify(node_states: pl.DataFrame) -> pl.DataFrame:
    """Add `service`, `class`, `component`, `reason_kind` and `is_draining` to node states.

    Needs `state` and `reason`; keeps every row and their order. A planned flag wins; then a
    planned reason, because operators also set nodes DOWN for maintenance and the scheduler keeps
    the first reason it was given. `class` and `component` say why, and mean nothing while up.
    """
    pairs = classify_reasons(node_states.select("state", "reason").unique(), "reason")
    words = _words(pl.col("state"))
    starting = pl.col("component") == "not seen since the scheduler started"

    def says(*names: str) -> pl.Expr:
        return words.list.eval(pl.element().is_in(names)).list.any()

    is_planned = pl.col("reason_kind") == "planned"
    service = (
        pl.when(says(*_UNKNOWN) | (says(*_INVALID) & starting))
        .then(pl.lit("unknown"))
        .when(says(*_PLANNED))
        .then(pl.lit("planned"))
        .when(says(*_DOWN, *_DRAIN) & is_planned)
        .then(pl.lit("planned"))
        .when(says(*_DOWN, *_DRAIN))
        .then(pl.lit("down"))
        .when(says(*_UP))
        .then(pl.lit("up"))
        .otherwise(pl.lit("unknown"))
    )
    verdicts = pairs.with_columns(
        service.alias("service"),
        (says(*_DRAIN) & says(*_RUNNING) & ~says(*_DOWN)).alias("is_draining"),
    ).with_columns(
        # A state that is planned by its flag needs no reason that says so.
        pl.when((pl.col("service") == "planned") & ~is_planned)
        .then(pl.lit("Planned"))
        .otherwise("class")
        .alias("class"),
        pl.when((pl.col("service") == "planned") & ~is_planned)
        .then(pl.lit("maintenance"))
        .otherwise("component")
        .alias("component"),
    )
    return node_states.join(
        verdicts, on=["state", "reason"], how="left", nulls_equal=True, maintain_order="left"
    )


def closed(node_states: pl.DataFrame) -> pl.DataFrame:
    """Close spells out of service that nobody ended, where the node was seen in service later.

    Logs are rotated and snapshots are instants, so the file that tells of a return need not be
    the one that tells of the loss. Needs cluster, node, began, ended and the columns of
    `classify`; keeps every row and their order.
    """
    place = ["cluster", "node"]
    is_up = pl.col("service") == "up"
    returns = node_states.filter(is_up).select(*place, pl.col("began").alias("back")).sort("back")
    if returns.is_empty():
        return node_states
    is_open = pl.col("ended").is_null() & ~is_up
    rows = node_states.with_row_index("row")
    ends = (
        rows.filter(is_open)
        .select("row", *place, "began")
        .sort("began")
        .join_asof(
            returns,
            left_on="began",
            right_on="back",
            by=place,
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .select("row", "back")
    )
    return (
        rows.join(ends, on="row", how="left", maintain_order="left")
        .with_columns(pl.coalesce("ended", "back").alias("ended"))
        .drop("row", "back")
    )


def _words(state: pl.Expr) -> pl.Expr:
    """Split a state into its base and flags: `IDLE+DRAIN*` is IDLE, DRAIN, NOT_RESPONDING.

    Kubernetes puts commas: `Ready,SchedulingDisabled`.
    """
    text = state.str.to_uppercase().str.strip_chars().str.replace_all(",", "+", literal=True)
    for sign, flag in _SIGNS.items():
        text = text.str.replace_all(sign, f"+{flag}", literal=True)
    return text.str.split("+").list.eval(pl.element().str.strip_chars())
