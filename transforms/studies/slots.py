"""Does it fail in the slot, or does it follow the board (R-8, D-2)? Only a swap can tell.

Two spells are compared wherever a slot got another serial, and wherever a serial went to another
slot. Boards are pulled because they failed, so the failure that a spell ended by (the last one, if
it lies within 14 days of the end) picked the moment and does not count: without that, every swap
would look like a cure. The ratio is exact, given the sum of both counts; beside it stands whether
the second spell alone fails oftener than the fleet's boards do. Both are judged over all swaps by
Benjamini-Hochberg at 10 %.

    a slot's next board fails too              stays in the slot: riser, baseboard, power, cooling
    a slot's next board is well                went with the board
    a board fails in its next slot too         follows the serial
    a board is well in its next slot           stayed behind in the slot
"""

from datetime import timedelta

import numpy as np
import polars as pl
from scipy import stats

from transforms.comparison import rate_ratio
from transforms.mtbf import ALL
from transforms.reliability.dispersion import dispersion
from transforms.reliability.domains import benjamini_hochberg
from transforms.studies.base import Asked, RefusalError, Study, at_risk
from transforms.studies.gpu_spells import SLOT, SPELL, days_at_risk, hits, spells
from transforms.tables import derived as d
from transforms.tables import observed as o

PULLED_FOR = timedelta(days=14)
FALSE_SHARE = 0.1
QUIET = "no evidence"
SERIAL = ["cluster", "serial"]
VERDICTS = {
    "slot over boards": ("stays in the slot", "went with the board"),
    "board over slots": ("follows the serial", "stayed behind in the slot"),
}
"""By what is compared: the second spell fails beyond the fleet; it fails less than the first."""


def slots(
    asked: Asked, *, gpus: pl.DataFrame, incidents: pl.DataFrame, exposure: pl.DataFrame
) -> pl.DataFrame:
    """One row per swap and view of it, by what changed; GPU-days are days that the node was at risk.

    Columns: compared, cluster, node, place, serial (of the second spell), before (what was there
    or where it was), swapped, failures and gpu_days of both, ratio of the second rate over the
    first with its interval, p, p_second, verdict, and what was counted how.
    """
    risk = at_risk(exposure, asked)
    ours = incidents.filter("counts", pl.col("definition").cast(pl.String) == asked.definition)
    if asked.klass != ALL:
        ours = ours.filter(pl.col("class").cast(pl.String) == asked.klass)
    found = spells(gpus)
    seen = hits(found, ours).join(found.select(*SPELL, "valid_to"), on=SPELL, how="left")
    ended_it = (pl.col("began") == pl.col("began").max().over(SPELL)) & (
        pl.col("valid_to") - pl.col("began") <= PULLED_FOR
    )
    counts = seen.group_by(SPELL).agg(
        failures=pl.len().cast(pl.Int64), pulled_for=ended_it.fill_null(False).any()
    )
    at = days_at_risk(found, risk).join(counts, on=SPELL, how="left")
    at = at.with_columns(
        pl.col("failures").fill_null(0), pl.col("pulled_for").fill_null(False)
    ).filter(pl.col("node_days") > 0)
    pairs = pl.concat(
        [
            _pairs(at, SLOT, ["serial"], "slot over boards"),
            _pairs(at, SERIAL, ["node", "place"], "board over slots"),
        ]
    )
    if pairs.is_empty():
        raise RefusalError(
            "no board was swapped or moved in the days asked: what never moved cannot tell its slot "
            "from itself"
        )
    return _told(asked, pairs, at)


def _pairs(at: pl.DataFrame, keys: list[str], changes: list[str], compared: str) -> pl.DataFrame:
    """Neighbouring spells that share `keys`, where anything of `changes` changed."""
    is_next = pl.all_horizontal(pl.col(key) == pl.col(key).shift() for key in keys)

    def before(name: str) -> pl.Expr:
        return pl.when(is_next).then(pl.col(name).shift())

    moved = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_before") for name in changes)
    return (
        at.sort(*keys, "valid_from")
        .with_columns(
            *(before(name).alias(f"{name}_before") for name in changes),
            first=before("failures"),
            first_days=before("node_days"),
            was_pulled_for=before("pulled_for"),
        )
        .filter(moved)
        .select(
            pl.lit(compared).alias("compared"),
            *SLOT,
            "serial",
            pl.concat_str([f"{name}_before" for name in changes], separator=" ").alias("before"),
            swapped="valid_from",
            failures_first=pl.col("first") - pl.col("was_pulled_for").cast(pl.Int64),
            gpu_days_first="first_days",
            failures_second="failures",
            gpu_days_second="node_days",
            pulled_for="was_pulled_for",
        )
    )


def _told(asked: Asked, pairs: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
    ratios = [
        rate_ratio(x2, t2, x1, t1, asked.level)
        for x1, t1, x2, t2 in pairs.select(
            "failures_first", "gpu_days_first", "failures_second", "gpu_days_second"
        ).iter_rows()
    ]
    usual = float(at["failures"].sum()) / float(at["node_days"].sum())
    x, t = at["failures"].to_numpy(), at["node_days"].to_numpy()
    p_second = stats.poisson.sf(
        pairs["failures_second"].to_numpy() - 1, usual * pairs["gpu_days_second"].to_numpy()
    )
    p = np.array([ratio.p for ratio in ratios])
    is_less = np.array([ratio.ratio < 1 for ratio in ratios])
    goes_on = benjamini_hochberg(p_second, FALSE_SHARE)
    is_cured = benjamini_hochberg(p, FALSE_SHARE) & is_less & ~goes_on
    verdict = [
        VERDICTS[kind][0] if on else VERDICTS[kind][1] if cured else QUIET
        for kind, on, cured in zip(pairs["compared"], goes_on, is_cured, strict=True)
    ]
    left_out = "all failures of the first spell count"
    return pairs.drop("pulled_for").with_columns(
        pl.Series("ratio", [r.ratio for r in ratios]).fill_nan(None),
        pl.Series("ratio_lo", [r.low for r in ratios]),
        pl.Series("ratio_hi", [r.high for r in ratios]),
        pl.Series("p", p),
        pl.Series("p_second", p_second),
        pl.Series("verdict", verdict),
        phi=pl.lit(dispersion(x, t).phi).fill_nan(None),
        assumption=pl.when(pairs["pulled_for"])
        .then(pl.lit("the failure that it was pulled for is left out"))
        .otherwise(pl.lit(left_out)),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    ).sort("p_second", "p", *SLOT, "swapped")  # fmt: skip


STUDY = Study(
    name="slots",
    title="Whether a fault stays in a slot or follows the board, wherever boards were swapped",
    reads=(o.GPUS, d.INCIDENTS, d.EXPOSURE),
    by=slots,
)
