"""Numbers as a report may say them: rounded by their interval, never a share without its count."""

import math

HOUR_MS = 3_600_000

LEAF_NAMES = {
    "ideal": "Kept work at ideal speed",
    "slow": "Kept work, slower than ideal",
    "step_lost": "Work lost and redone",
    "hang": "Hung, not yet noticed",
    "decide": "Noticed, not yet acted on",
    "init": "Starting up",
    "restore": "Loading a checkpoint",
    "data_stall": "Waiting for data",
    "ckpt_stall": "Saving a checkpoint",
    "eval_or_custom": "Evaluation",
    "drain_idle": "Held, no work done",
    "not_measured": "Jobs without step logs",
    "unknown": "Allocated, no evidence",
    "queue_wait": "Waiting in the queue",
    "repair_wait": "Waiting for repair",
    "spare": "Spare",
    "down": "Node down",
    "maintenance": "Planned maintenance",
    "unobserved": "State not observed",
    "idle": "Idle",
}


def hours(gpu_ms: float | None) -> str:
    """GPU-milliseconds as GPU-hours, thousands separated."""
    if gpu_ms is None:
        return "-"
    value = gpu_ms / HOUR_MS
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"


def money(gpu_ms: float | None, price: float | None, currency: str | None) -> str:
    """What GPU-milliseconds cost at `price` per GPU-hour; a dash when no price is set."""
    if gpu_ms is None or price is None:
        return "-"
    mark = {"USD": "$", "EUR": "€", "GBP": "£"}.get(currency or "", f"{currency} ")
    return f"{mark}{gpu_ms / HOUR_MS * price:,.0f}"


def percent(part: float | None, whole: float | None) -> str:
    """A share of a whole, one decimal; a dash where there is no whole."""
    if part is None or not whole:
        return "-"
    return f"{100 * part / whole:.1f} %"


def rate(value: float | None, low: float | None, high: float | None) -> str:
    """`value (low to high)`, rounded to two digits of the interval's half-width."""
    if low is None or high is None:
        return "-"
    half = (high - low) / 2
    digits = max(0, 1 - math.floor(math.log10(half))) if half > 0 else 2
    if value is None or value == 0:
        return f"0 (below {high:,.{digits}f})"
    return f"{value:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def minutes(value: float | None) -> str:
    """Minutes, as hours from two hours on."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.0f} min" if value < 120 else f"{value / 60:,.1f} h"


def leaf_name(leaf: str) -> str:
    return LEAF_NAMES.get(leaf, leaf)
