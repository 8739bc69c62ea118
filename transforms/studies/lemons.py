"""Judging units by their failures: posterior, chance, tiers, what pulling one saves (R-11, D-1)."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import polars.selectors as cs
from scipy import stats

from transforms.poisson import count_limits
from transforms.reliability.dispersion import dispersion
from transforms.reliability.domains import benjamini_hochberg
from transforms.shrinkage import Posteriors, fit, posteriors
from transforms.studies.base import Asked, RefusalError, number
from transforms.studies.gpu_spells import NODE
from transforms.studies.signals import COUNTS, fisher, tails

TIMES, TEST_HOURS, AHEAD_DAYS = 3.0, 8.0, 28
FEWEST_FAILURES = 10
FALSE_SHARE = 0.1
LIKELY = 0.5
COVERAGE = 0.95

BY_CHANCE, TOGETHER = "watch: more failures than chance", "watch: its signals together"
MAYBE = "watch: likely a lemon, and chance is not ruled out"
PULL, RETEST = "drain and test", "test before it returns"
DEAR, QUIET = "watch: a test costs more than it saves", "no evidence"


def judged(
    asked: Asked, rows: pl.DataFrame, unit: str, out: pl.DataFrame, final: date
) -> pl.DataFrame:
    keys = ["cluster", unit] if unit != "gpu" else ["cluster", "serial", "node", "place"]
    rows = rows.with_columns(pl.col("failures", "open", *COUNTS).fill_null(0).cast(pl.Int64)).sort(
        keys
    )
    x, t = rows["failures"].to_numpy(), rows["node_days"].to_numpy()
    total, time = int(x[t > 0].sum()), float(t.sum())
    if total < FEWEST_FAILURES:
        raise RefusalError(
            f"{total} failures on the {asked.clock} clock in the window, and {FEWEST_FAILURES} are "
            "the fewest that can tell units apart: ask for more --days, or another clock"
        )
    times = number(asked, "times", TIMES, 1, 100)
    prior = fit(np.maximum(x - rows["open"].to_numpy(), 0), t)
    phi = dispersion(x[t > 0], t[t > 0]).phi
    mean = total / time
    if prior is None:
        flat, zero = np.full(len(x), 1000 * mean), np.zeros(len(x))
        law = Posteriors(flat, flat, flat, flat, zero, zero, zero)
        assumption = "no spread between units beyond chance: nobody is flagged"
        average = mean
    else:
        law, average = posteriors(prior, x, t, times, asked.level), prior.mean
        assumption = f"units spread like Gamma({prior.shape:.3g}, {prior.exposure:.4g} days)"
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = 1000 * x / t
        edges = [1000 * edge / t for edge in count_limits(x, asked.level)]
    p_chance = np.where(t > 0, stats.poisson.sf(x - 1, mean * t), 1.0)
    p_signals = fisher([p_chance, *tails(rows, t)]) if unit != "gpu" else p_chance
    stands = benjamini_hochberg(p_chance, FALSE_SHARE) & (x > 0)
    together = benjamini_hochberg(p_signals, FALSE_SHARE)
    if prior is None:
        stands, together = np.zeros_like(stands), np.zeros_like(together)

    # A pulled unit's place is taken by one that meets as much work as the fleet does on average.
    share = time / float(rows["wall"].to_numpy().sum() / 86_400_000)
    ahead = AHEAD_DAYS * share * rows["nodes"].fill_null(0).to_numpy()
    loss = pl.col("hours_lost")
    each = rows.select(loss.fill_null(loss.mean())).to_series().to_numpy()
    saved = ahead * np.maximum(law.above - law.p_above * 1000 * average, 0.0) / 1000 * each
    cost = number(asked, "test_hours", TEST_HOURS, 0, 10_000) * rows["gpus"].fill_null(0).to_numpy()
    net = saved - cost
    is_maybe = law.p_above >= LIKELY
    is_likely = stands & is_maybe
    is_out = ~rows["is_in"].to_numpy()
    if "node" in rows.columns:
        is_out |= rows.join(out, on=NODE, how="left", maintain_order="left")["is_open"].fill_null(False).to_numpy()  # fmt: skip
    verdict = np.select(
        [is_likely & is_out, is_likely & ~(net <= 0), is_likely, stands, together, is_maybe],
        [RETEST, PULL, DEAR, BY_CHANCE, TOGETHER, MAYBE],
        QUIET,
    )
    told = rows.select(*keys, *(["rack"] if unit in ("node", "gpu") else []))
    answer = told.with_columns(
        pl.Series("failures", x),
        pl.Series("node_days", t),
        pl.Series("per_1000_node_days", raw),
        pl.Series("per_1000_node_days_lo", edges[0]),
        pl.Series("per_1000_node_days_hi", edges[1]),
        pl.Series("posterior", law.mean),
        pl.Series("posterior_lo", law.lo),
        pl.Series("posterior_hi", law.hi),
        pl.Series("surely", law.surely),
        pl.Series("p_lemon", law.p_above),
        pl.Series("p_chance", p_chance),
        pl.Series("p_signals", p_signals),
        pl.Series("tier", tiers(law, stands | together | is_maybe), dtype=pl.Int64),
        pl.Series("verdict", verdict.astype(str)),
        pl.Series("saved_gpu_hours", saved),
        pl.Series("test_gpu_hours", cost.astype(float)),
        pl.Series("net_gpu_hours", net),
        *(rows[name] for name in (COUNTS if unit != "gpu" else ())),
        pl.Series("state", np.where(is_out, "out of service: its score is frozen", "in service")),
        coverage=pl.Series(1 - rows["unobserved"].to_numpy() / np.maximum(rows["wall"].to_numpy(), 1)),
        phi=pl.lit(phi),
        assumption=pl.lit(assumption),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
        until=pl.lit(final + timedelta(days=1)),
    ).with_columns(cs.float().fill_nan(None))  # fmt: skip
    in_fleet = answer.filter(~rows["has_left"])
    ranked = in_fleet.sort(
        ["p_lemon", "surely", "p_signals", *keys], descending=[True, True, False, *[False] * len(keys)]
    )  # fmt: skip
    top = int(number(asked, "top", 0, 0, 1e9))
    return ranked.head(top) if top else ranked


def tiers(law: Posteriors, is_suspect: np.ndarray) -> list[int | None]:
    """Suspects in order of `surely`; a tier ends where no later interval reaches its leader's."""
    order = np.flatnonzero(is_suspect)
    order = order[np.argsort(-law.surely[order], kind="stable")]
    reach = np.maximum.accumulate(law.hi[order][::-1])[::-1]
    found: list[int | None] = [None] * len(is_suspect)
    tier, leader = 0, np.inf
    for place, top in zip(order.tolist(), reach.tolist(), strict=True):
        if top < leader:
            tier, leader = tier + 1, float(law.lo[place])
        found[place] = tier
    return found
