"""Does a repair last (D-2)? From the node's return to its next failure, of the same class or any.

A node that has not failed again by the end, or by the day it left the fleet, is censored there
(Kaplan-Meier). The crude share counts only repairs that could have been watched for so long,
whether or not they were; beside it stands Wilson's interval. Groups (by class, by the reason
written, by the action told) are compared by log-rank. Infant mortality is the rate of failures in
days 0 to 3 after the return over that in days 8 to 28, exact, over all stretches between two
spells out of service. Where nodes differ (`phi`, between nodes), bad ones fail early and good ones
are left, which looks the same.

What was done in a repair is seldom recorded: a board that came or went meanwhile is a swap,
otherwise the words of the reason decide, otherwise it is not told. All runs on the wall clock.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from transforms.comparison import rate_ratio
from transforms.mtbf import ALL, rate
from transforms.node_days import NodeDays, dates
from transforms.reliability.dispersion import dispersion
from transforms.reliability.recurrence import wilson
from transforms.reliability.survival import curve, log_rank
from transforms.studies.base import Asked, RefusalError, Study
from transforms.tables import derived as d
from transforms.tables import observed as o

NODE = ["cluster", "node"]
BY = ("all", "class", "reason", "action", "cluster")
SPANS = (7, 30)
EARLY, LATE = (0, 3), (8, 28)
FEWEST_TO_COMPARE = 5
US_PER_DAY = 86_400_000_000
NEAR = timedelta(hours=1)

ACTIONS = (
    ("no fault found", r"no fault|\bnff\b|(?:can|could) ?not (?:be )?reproduce|passed|no (?:issue|problem)"),
    ("swap", r"swap|replac|\brma\b|exchang"),
    ("reseat", r"re-?seat"),
    ("reset", r"reset|reboot|power.?cycl|restart"),
    ("software", r"firmware|flash|re-?imag|re-?install|driver|upgrade"),
)  # fmt: skip
"""What a reason says was done; the first that fits."""


def relapses(
    asked: Asked,
    *,
    repairs: pl.DataFrame,
    incidents: pl.DataFrame,
    exposure: pl.DataFrame,
    gpus: pl.DataFrame,
) -> pl.DataFrame:
    """Two rows per group (option `by`): relapses of the same class, and failures of any.

    Columns: group, again, repairs, failures (relapses), node_days (until relapse or censoring),
    per_1000_node_days with limits; phi; within_7d and within_30d by Kaplan-Meier with limits, crude
    with hits, trials and Wilson's limits; infant ratio with limits and p; p_log_rank over the
    groups; assumption, clock, definition, class.
    """
    by = asked.options.get("by", "all")
    if by not in BY:
        raise RefusalError(f"cannot group by {by!r}: there are {', '.join(BY)}")
    if asked.clock != "wall":
        raise RefusalError(
            f"no relapses on the {asked.clock} clock: days since a return run on the wall clock"
        )
    ours = incidents.filter("counts", pl.col("definition").cast(pl.String) == asked.definition)
    grid = NodeDays.of(exposure.select("day", *NODE))
    ends = grid.nodes.with_columns(
        number=pl.int_range(pl.len()),
        end=dates(grid.span()[1] + 1).cast(pl.Datetime("us", "UTC")),
    )
    hits = ours.select(
        pl.col("class").cast(pl.String), next_at="began", number=pl.Series(grid.numbers(ours))
    ).sort("next_at")
    spells = _watched(repairs, incidents, ends, gpus)
    if asked.klass != ALL:
        spells = spells.filter(pl.col("class") == asked.klass)
    if spells.is_empty():
        raise RefusalError(
            "no unplanned spell out of service ended in the days asked: nothing to relapse from"
        )
    group = pl.lit("all") if by == "all" else pl.col(by)
    spells = spells.with_columns(group=group).sort("up_again")
    rows: list[tuple] = []
    for again in ("same class", "any class"):
        lived = _until_next(spells, hits, again)
        p = _compared(lived)
        early, late = _bands(spells, hits, again)
        for group in sorted(lived["group"].unique()):
            mine = lived.filter(pl.col("group") == group)
            infants = [part.get(group, (0, 0.0)) for part in (early, late)]
            rows.append((group, again, *_told(mine, asked.level), *_infant(infants, asked), p))
    return pl.DataFrame(rows, schema=ANSWER, orient="row").with_columns(
        pl.col(pl.Float64).fill_nan(None),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


def _span_columns(span: int) -> dict[str, type[pl.DataType]]:
    km: dict[str, type[pl.DataType]] = {
        f"within_{span}d{end}": pl.Float64 for end in ("", "_lo", "_hi")
    }
    crude = {f"crude_{span}d{end}": pl.Float64 for end in ("", "_lo", "_hi")}
    return km | {f"relapsed_{span}d": pl.Int64, f"watched_{span}d": pl.Int64} | crude


ANSWER: dict[str, type[pl.DataType]] = {
    "group": pl.String,
    "again": pl.String,
    "repairs": pl.Int64,
    "failures": pl.Int64,
    "node_days": pl.Float64,
    **{f"per_1000_node_days{end}": pl.Float64 for end in ("", "_lo", "_hi")},
    "phi": pl.Float64,
    **_span_columns(7),
    **_span_columns(30),
    **{f"infant_ratio{end}": pl.Float64 for end in ("", "_lo", "_hi", "_p")},
    "assumption": pl.String,
    "p_log_rank": pl.Float64,
}


def _watched(
    repairs: pl.DataFrame, incidents: pl.DataFrame, ends: pl.DataFrame, gpus: pl.DataFrame
) -> pl.DataFrame:
    """Finished unplanned repairs: what began them, what was done, how long the node stayed in."""
    classes = incidents.select("incident", pl.col("class").cast(pl.String))
    text = pl.col("reason").fill_null("").str.to_lowercase()
    said = pl.coalesce(
        pl.when(text.str.contains(pattern)).then(pl.lit(action)) for action, pattern in ACTIONS
    )
    return (
        repairs.sort(*NODE, "down_from")
        .with_columns(next_down=pl.col("down_from").shift(-1).over(NODE))
        .filter(~pl.col("planned") & pl.col("up_again").is_not_null())
        .join(classes, on="incident", how="left")
        .join(ends, on=NODE)
        .filter(pl.col("up_again") < pl.col("end"))
        .join(_boards_changed(repairs, gpus), on=[*NODE, "down_from"], how="left")
        .with_columns(
            pl.col("class").fill_null("Unknown"),
            stayed_until=pl.min_horizontal("next_down", "end"),
            action=pl.when("was_swapped").then(pl.lit("swap")).otherwise(said).fill_null("not told"),
            reason=text.str.replace_all(r"\d+", "#").replace("", "not told"),
        )
        .with_row_index("spell")
    )  # fmt: skip


def _boards_changed(repairs: pl.DataFrame, gpus: pl.DataFrame) -> pl.DataFrame:
    """Repairs during which the inventory saw a board come to the node or go from it."""
    moves = pl.concat(
        [
            gpus.select(*NODE, at="valid_from"),
            gpus.select(*NODE, at="valid_to").filter(pl.col("at").is_not_null()),
        ]
    )
    first = pl.lit(repairs["down_from"].min(), moves.schema["at"])
    lately = moves.filter(pl.col("at") >= first)  # most came with their node
    return (
        repairs.select(*NODE, "down_from", "up_again")
        .join(lately, on=NODE)
        .filter(
            pl.col("at") >= pl.col("down_from"),
            pl.col("up_again").is_null() | (pl.col("at") <= pl.col("up_again") + NEAR),
        )
        .select(*NODE, "down_from", was_swapped=pl.lit(True))
        .unique()
    )


def _until_next(spells: pl.DataFrame, hits: pl.DataFrame, again: str) -> pl.DataFrame:
    """Each repair's days until the node's next failure, or until it was lost sight of."""
    keys = ["number", "class"] if again == "same class" else ["number"]
    ahead = spells.join_asof(
        hits.select(*keys, "next_at"),
        left_on="up_again",
        right_on="next_at",
        by=keys,
        strategy="forward",
        check_sortedness=False,
    )
    is_end = pl.col("next_at").is_not_null() & (pl.col("next_at") < pl.col("end"))
    until = pl.when(is_end).then(pl.col("next_at")).otherwise(pl.col("end"))
    return ahead.select(
        "group",
        "number",
        could=(pl.col("end") - pl.col("up_again")).dt.total_microseconds() / US_PER_DAY,
        days=(until - pl.col("up_again")).dt.total_microseconds() / US_PER_DAY,
        is_end=is_end,
    )


def _compared(lived: pl.DataFrame) -> float | None:
    """Log-rank over the groups that have enough repairs; None where there are not two."""
    enough = lived.filter(pl.len().over("group") >= FEWEST_TO_COMPARE)
    if enough["group"].n_unique() < 2 or not enough["is_end"].any():
        return None
    told = enough.select("days", "is_end", pl.col("group").rank("dense"))
    return log_rank(*(column.to_numpy() for column in told))[2]


def _told(mine: pl.DataFrame, level: float) -> tuple:
    days, is_end = mine["days"].to_numpy(), mine["is_end"].to_numpy()
    r, t = int(is_end.sum()), float(days.sum())
    found = rate(r, t, level) if t > 0 else None
    whole = (found.per_1000_node_days, found.lo, found.hi) if found else (None, None, None)
    lasting = curve(days, is_end, level=level) if r else None
    spans: list[float | int | None] = []
    for span in SPANS:
        if lasting is None or (days.max() < span and lasting.survival[-1] > 0):
            spans += [None, None, None]
        else:
            lo, hi = lasting.limits_at(span)
            is_told = lasting.times[0] <= span
            spans += [1 - lasting.at(span), *((1 - hi, 1 - lo) if is_told else (None, None))]
        could = mine["could"].to_numpy() >= span
        hits, trials = int((is_end & could & (days <= span)).sum()), int(could.sum())
        spans += [hits, trials, *(wilson(hits, trials, level) if trials else (None, None, None))]
    nodes = mine.group_by("number").agg(pl.col("is_end").sum(), pl.col("days").sum())
    phi = dispersion(nodes["is_end"].to_numpy(), nodes["days"].to_numpy()).phi
    return (len(days), r, t, *whole, phi, *spans)


def _bands(
    spells: pl.DataFrame, hits: pl.DataFrame, again: str
) -> list[dict[str, tuple[int, float]]]:
    """Failures and days at two ages since the return, by group; a stretch ends with the next spell."""
    after = (
        hits.rename({"class": "hit_class", "next_at": "at"})
        .join_asof(
            spells.select("number", "up_again", "stayed_until", "class", "group"),
            left_on="at",
            right_on="up_again",
            by="number",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(pl.col("at") <= pl.col("stayed_until"))
    )
    if again == "same class":
        after = after.filter(pl.col("hit_class") == pl.col("class"))
    age = (pl.col("at") - pl.col("up_again")).dt.total_microseconds() / US_PER_DAY
    stayed = (pl.col("stayed_until") - pl.col("up_again")).dt.total_microseconds() / US_PER_DAY
    bands = []
    for low, high in (EARLY, LATE):
        seen = after.filter((age >= low) & (age < high)).group_by("group").agg(hits=pl.len())
        time = spells.group_by("group").agg(days=(stayed.clip(low, high) - low).sum())
        both = time.join(seen, on="group", how="left").with_columns(pl.col("hits").fill_null(0))
        bands.append({group: (hits, days) for group, days, hits in both.iter_rows()})
    return bands


def _infant(bands: Sequence[tuple[int, float]], asked: Asked) -> tuple:
    (early, early_days), (late, late_days) = bands
    if early_days <= 0 or late_days <= 0 or not early + late:
        return (None, None, None, None, "too few failures to tell")
    found = rate_ratio(early, early_days, late, late_days, asked.level)
    held = (
        "held"
        if not found.is_evidence
        else "not held: the hazard changes after the return, or bad nodes mix with good"
    )
    return (found.ratio if np.isfinite(found.ratio) else None, found.low, found.high, found.p, held)


STUDY = Study(
    name="relapses",
    title="Whether repairs last: the next failure after a node's return, by class, reason or action",
    reads=(d.REPAIRS, d.INCIDENTS, d.EXPOSURE, o.GPUS),
    by=relapses,
)
