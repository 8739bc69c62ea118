"""Do the statistics keep what they promise? Whole made fleets, asked again and again.

    python tests/bench/calibration.py [DRAWS]      by default 2000 where a draw is cheap

Each line names what was asked, what came out with its Monte Carlo error (one standard error), and
what is wanted. Everything is drawn from a seed. The tests hold the same with fewer draws.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import polars as pl
from node_frames import fleet_of, hits_of
from scipy import stats
from test_suspects import asked, frames

from transforms.comparison import _events_needed, rate_ratio
from transforms.poisson import count_limits, no_failure_bound
from transforms.reliability import changes, domains, shuffles, trends, weibull
from transforms.studies.lemons import PULL, QUIET
from transforms.studies.suspects import suspects


def show(what: str, hits: int, draws: int, wanted: str) -> None:
    share = hits / draws
    error = (max(share * (1 - share), 0.25 / draws) / draws) ** 0.5
    print(f"{what:66} {share:7.4f} +- {error:.4f}  of {draws:6,}  wanted: {wanted}", flush=True)


def coverage() -> None:
    """Computed, not drawn: over all counts that a mean may give, so there is no error to tell."""
    counts = np.arange(0, 400)
    lo, hi = count_limits(counts)
    least = []
    for r in range(51):
        # The worst mean is just outside a limit, so those around r are all tried.
        means = np.linspace(max(r - 0.5, 0.01), r + 0.5, 401)
        inside = (lo[:, None] <= means) & (means <= hi[:, None])
        least.append((stats.poisson.pmf(counts[:, None], means) * inside).sum(axis=0).min())
    worst = int(np.argmin(least))
    print(f"exact 95 % limits, every mean within 0.5 of r = 0 to 50: least coverage {min(least):.5f}, at r = {worst}; wanted: >= 0.95")  # fmt: skip
    print("  by r = 0, 1, 2, 5, 10, 20, 50: " + ", ".join(f"{least[r]:.4f}" for r in (0, 1, 2, 5, 10, 20, 50)))  # fmt: skip
    missed = stats.poisson.pmf(0, no_failure_bound(1000) * np.array([1.0, 1.001]))
    print(f"zero failures: chance of none at the 95 % bound {missed[0]:.6f}; wanted: 0.05")


def stopped_by_a_failure(rng: np.random.Generator, draws: int) -> None:
    for r in (1, 5, 20):
        span = rng.gamma(r, 1, draws)
        lo, hi = count_limits(np.full(draws, r), stopped_by="failure")
        show(f"limits when stopped at failure {r}", int(((lo / span <= 1) & (hi / span >= 1)).sum()), draws, "0.95")  # fmt: skip


def lives(rng: np.random.Generator, draws: int) -> None:
    def found(shape: float) -> Iterator[weibull.Weibull]:
        for _ in range(draws):
            ages = rng.weibull(shape, 80)
            entry = np.where(np.arange(80) % 2, 0.2, 0.0)
            seen = ages > entry  # who failed before the watch is not known of
            cut = np.minimum(ages, 1.5)[seen]
            yield weibull.fit(cut, ages[seen] < 1.5, entry[seen])

    for shape, wanted in ((1.0, "0.05 (size)"), (1.6, "power"), (0.6, "power")):
        fits = list(found(shape))
        show(f"Weibull, shape {shape}: a constant hazard rejected at 5 %", sum(f.p_memoryless <= 0.05 for f in fits), draws, wanted)  # fmt: skip
        show(f"Weibull, shape {shape}: its 95 % limits hold it", sum(f.shape_lo <= shape <= f.shape_hi for f in fits), draws, "0.95")  # fmt: skip


def trend_tests(rng: np.random.Generator, draws: int) -> None:
    for slope, wanted in ((1.0, "0.05 (size)"), (1.5, "power"), (0.6, "power")):
        found = [trends.trend(100 * rng.uniform(0, 1, 40) ** (1 / slope), 100) for _ in range(draws)]  # fmt: skip
        tests = {
            "Laplace": sum(t.laplace_p <= 0.05 for t in found),
            "MIL-HDBK-189": sum(t.mil_p <= 0.05 for t in found),
            "Crow-AMSAA": sum(t.reading != "no evidence of a trend" for t in found),
        }
        for name, hits in tests.items():
            show(f"{name}, 40 failures, slope {slope}: no trend rejected at 5 %", hits, draws, wanted)  # fmt: skip
        held = sum(t.slope_lo <= slope <= t.slope_hi for t in found)
        show(f"Crow-AMSAA, slope {slope}: its 95 % limits hold it", held, draws, "0.95")


def ratios(rng: np.random.Generator, draws: int) -> None:
    half = _events_needed(0.5)
    for first, second, wanted in (
        (half, half, "<= 0.05 (size, exact)"),
        (10, 10, "<= 0.05 (size, exact)"),
        (half, 0.5 * half, "0.80 (power), less what exactness costs"),
        (_events_needed(0.7), 0.7 * _events_needed(0.7), "0.80 (power), less what exactness costs"),
    ):
        pairs = zip(rng.poisson(first, draws), rng.poisson(second, draws), strict=True)
        told = sum(rate_ratio(int(b), 1.0, int(a), 1.0).p <= 0.05 for a, b in pairs)
        show(f"rate ratio, {first:.0f} against {second:.0f} expected: called different", told, draws, wanted)  # fmt: skip


def lemons(rng: np.random.Generator, fleets: int) -> None:
    """12,500 nodes watched for 3 to 90 days, one in a hundred at ten times the rate."""
    first, raw, named, right, pulled, pulled_right = [], [], 0, 0, 0, 0
    for _ in range(fleets):
        exposure = fleet_of(rng.integers(3, 91, 12_500), 90)
        is_lemon = np.zeros(12_500, bool)
        is_lemon[rng.choice(12_500, 125, replace=False)] = True
        hits = hits_of(exposure, np.where(is_lemon, 0.13, 0.013), rng)
        found = suspects(asked(), **frames(exposure, hits))
        truth = is_lemon[found["node"].str.slice(1).cast(pl.Int64).to_numpy()]
        naive = np.argsort(-found["per_1000_node_days"].to_numpy(), kind="stable")
        first.append(truth[:125].mean())
        raw.append(truth[naive][:125].mean())
        is_named, is_pulled = (found["verdict"] != QUIET).to_numpy(), (found["verdict"] == PULL).to_numpy()  # fmt: skip
        named, right = named + int(is_named.sum()), right + int(truth[is_named].sum())
        pulled, pulled_right = pulled + int(is_pulled.sum()), pulled_right + int(truth[is_pulled].sum())  # fmt: skip
    size = 125 * fleets
    show("lemons: precision and recall of the first 125 by posterior", round(sum(first) * 125), size, "above the next")  # fmt: skip
    show("lemons: the same of the first 125 by raw rate", round(sum(raw) * 125), size, "beside it")
    show("lemons: precision of those flagged", right, max(named, 1), ">= 0.9 (BH at 10 %)")
    show("lemons: recall of those flagged", right, size, "")
    show("lemons: precision of those to pull", pulled_right, max(pulled, 1), ">= 0.9")
    show("lemons: recall of those to pull", pulled_right, size, "")


def no_lemons(rng: np.random.Generator, fleets: int) -> None:
    exposure = fleet_of(rng.integers(5, 31, 300), 30)
    flagged = 0
    for _ in range(fleets):
        found = suspects(asked(), **frames(exposure, hits_of(exposure, np.full(300, 0.05), rng)))
        flagged += bool((found["verdict"] != QUIET).any())
    show("no lemons: fleets of 300 nodes with anybody flagged", flagged, fleets, "<= 0.10 (BH at 10 %)")  # fmt: skip


def racks(rng: np.random.Generator, draws: int) -> None:
    home = np.repeat(np.arange(50), 16)

    def judged(planted: int) -> tuple[bool, list[int]]:
        node = rng.integers(0, len(home), 300)
        at = rng.uniform(0, 28, 300)
        if planted:
            node = np.concatenate([node, 7 * 16 + rng.choice(16, planted, replace=False)])
            at = np.concatenate([at, rng.uniform(1, 27) + rng.uniform(0, 60 / 86_400, planted)])
        found = shuffles.shuffled(home, node, at, 10 / 1440, rng, draws=999)
        return found.p <= 0.05, np.flatnonzero(domains.benjamini_hochberg(found.domain_p)).tolist()

    quiet = [judged(0) for _ in range(draws)]
    show("racks, independent failures: alarm at 5 %", sum(alarm for alarm, _ in quiet), draws, "<= 0.05")  # fmt: skip
    show("racks, independent failures: a rack named", sum(bool(named) for _, named in quiet), draws, "<= 0.05")  # fmt: skip
    for size in (3, 4, 6):
        burst = [judged(size) for _ in range(draws)]
        show(f"racks, a burst of {size} of 16 nodes: that rack named", sum(7 in named for _, named in burst), draws, "found")  # fmt: skip
        show(f"racks, a burst of {size} of 16 nodes: another named too", sum(bool(set(named) - {7}) for _, named in burst), draws, "<= 0.05")  # fmt: skip


def steps(rng: np.random.Generator, draws: int) -> None:
    for base in (2, 4, 20):
        near = 0
        for _ in range(draws):
            counts = np.concatenate([rng.poisson(base, 30), rng.poisson(2.5 * base, 30)])
            near += abs(changes.split(counts).after - 30) <= 5
        show(f"a 2.5x step on {base} failures a day: found within 5 days", near, draws, ">= 0.90")
    quiet = [changes.split(rng.poisson(4, 60), rng=rng, draws=400).p <= 0.05 for _ in range(draws // 4)]  # fmt: skip
    show("no step: a change called at 5 %", sum(quiet), len(quiet), "<= 0.05")


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    chance = np.random.default_rng(2026)
    coverage()
    stopped_by_a_failure(chance, 10 * many)
    lives(chance, many // 2)
    trend_tests(chance, many)
    ratios(chance, many)
    lemons(chance, max(2, many // 500))
    no_lemons(chance, many // 10)
    racks(chance, many // 5)
    steps(chance, many)
