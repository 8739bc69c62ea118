"""Is it the vendor, or its halls and the age of its nodes (R-14)?

Failures of every node are regressed on all factors at once, with its exposure as offset; limits
come from errors that let a node's months hang together. Poisson, or negative binomial where nodes
differ more than chance lets them (likelihood ratio at 1 %). A ratio is one level's rate over that
of its factor's reference, all other factors alike.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from transforms.exposure import CLOCKS
from transforms.fleet import ID
from transforms.reliability.regression import (
    Regression,
    negative_binomial,
    pearson_phi,
    poisson,
)
from transforms.studies.base import (
    Asked,
    RefusalError,
    Study,
    at_risk,
    counted,
    node_days_of,
    watched_enough,
)
from transforms.studies.regress_cells import OF_THE_FLEET, ON_THE_DAY, cells_of
from transforms.tables import derived as d

FACTORS = (*ON_THE_DAY, *OF_THE_FLEET, "age", "month")
USUAL = ("model", "provider", "hall", "age")
LAWS = ("auto", "poisson", "negative binomial")
FEWEST = 10
"""Failures below which nothing is regressed (R-9's minimum for a fit)."""
FEW_NODES = 30
"""Nodes below which cluster-robust errors are too small."""
MOST_LEVELS = 200

ANSWER: dict[str, type[pl.DataType]] = {
    "factor": pl.String,
    "level": pl.String,
    "reference": pl.String,
    "failures": pl.Int64,
    "node_days": pl.Float64,
    "per_1000_node_days": pl.Float64,
    "ratio": pl.Float64,
    "ratio_lo": pl.Float64,
    "ratio_hi": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
    "verdict": pl.String,
    "law": pl.String,
    "phi": pl.Float64,
    "alpha": pl.Float64,
    "assumption": pl.String,
}


def regress(
    asked: Asked, *, failures: pl.DataFrame, exposure: pl.DataFrame, fleet: pl.DataFrame
) -> pl.DataFrame:
    """One row per level of every factor, the reference first; ratios are adjusted for the rest.

    Options: by (factors; those of the usual ones that vary if left out), reference (FACTOR=LEVEL,
    comma between several; else the level of the most node-days with a failure), law. `q` is p
    among all ratios (Benjamini-Hochberg). A level without a failure has no ratio: it is left out.
    """
    factors, law = _factors(asked), _law(asked)
    at_risk(exposure, asked)
    clock = pl.col(CLOCKS[asked.clock])
    watched_enough(
        exposure.select("wall_ms", "unobserved_ms", clock).filter(clock > 0), "the fleet"
    )
    tried = factors or USUAL
    stands = [name for name in ON_THE_DAY[1:] if name in tried]
    hours = exposure.select("day", *ID, *stands, ms=clock)
    cells = cells_of(hours, counted(failures, asked), fleet, tried)
    if (total := int(cells["failures"].sum())) < FEWEST:
        raise RefusalError(f"{total} failures, and a regression needs {FEWEST}: ask for more days")
    if not factors:
        failed = cells.filter(pl.col("failures") > 0)
        factors = tuple(f for f in USUAL if failed[f].n_unique() > 1)
        if not factors:
            raise RefusalError(f"none of {', '.join(USUAL)} varies: name factors that do")
    levels = {factor: _levels(cells, factor) for factor in factors}
    references = _references(asked, levels)
    silent = pl.any_horizontal(
        pl.col(f).is_in(rows.filter(pl.col("failures") == 0)[f].to_list())
        for f, rows in levels.items()
    )
    told = cells.filter(~silent)
    found, phi = _fitted(told, *_coded(told, references), law, asked.level)
    return _answer(levels, references, found, phi, asked)


def _factors(asked: Asked) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(asked.options.get("by", "").replace(",", " ").split()))
    if strange := [name for name in named if name not in FACTORS]:
        raise RefusalError(f"no factor {', '.join(strange)}: there are {', '.join(FACTORS)}")
    return named


def _law(asked: Asked) -> str:
    law = asked.options.get("law", "auto")
    if law not in LAWS:
        raise RefusalError(f"no law {law!r}: there are {', '.join(LAWS)}")
    return law


def _levels(cells: pl.DataFrame, factor: str) -> pl.DataFrame:
    rows = cells.group_by(factor).agg(pl.col("failures").sum(), pl.col("node_days").sum())
    failed = rows.filter(pl.col("failures") > 0)
    if failed.height < 2:
        raise RefusalError(
            f"{factor} has one level with a failure, {failed[factor][0]}: leave it out"
        )
    if rows.height > MOST_LEVELS:
        raise RefusalError(
            f"{factor} has {rows.height} levels, and {MOST_LEVELS} can be told apart: "
            "group by something coarser"
        )
    return rows.sort(factor)


def _references(asked: Asked, levels: dict[str, pl.DataFrame]) -> dict[str, str]:
    """The level of each factor to which the others are compared."""
    wanted = {}
    for part in filter(None, asked.options.get("reference", "").split(",")):
        factor, _, level = (text.strip() for text in part.partition("="))
        if factor not in levels:
            raise RefusalError(
                f"reference {part.strip()!r}: write FACTOR=LEVEL of {', '.join(levels)}"
            )
        wanted[factor] = level
    found = {}
    for factor, rows in levels.items():
        failed = rows.filter(pl.col("failures") > 0).sort("node_days", factor, descending=True)
        choice = wanted.get(factor, failed[factor][0])
        if choice not in failed[factor].to_list():
            raise RefusalError(
                f"{factor} {choice!r} is no reference: levels with a failure are "
                + ", ".join(sorted(failed[factor]))
            )
        found[factor] = choice
    return found


def _coded(
    cells: pl.DataFrame, references: dict[str, str]
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[str, str], ...]]:
    """An intercept and a column of 0 and 1 per level but the reference, refused if collinear: a row
    for each combination of levels, and which of them each cell has."""
    factors = list(references)
    kinds = cells.select(factors).unique().sort(factors).with_row_index("kind")
    kind = cells.join(kinds, on=factors, maintain_order="left")["kind"].to_numpy()
    cells = kinds
    parts, names = [np.ones((cells.height, 1))], [("", "")]
    for factor, reference in references.items():
        others = [level for level in sorted(cells[factor].unique()) if level != reference]
        values = cells[factor].to_numpy()
        parts.append(np.stack([values == level for level in others], axis=1).astype(float))
        names += [(factor, level) for level in others]
        if _is_dependent(parts):
            with_one = [
                other
                for other, part in zip(references, parts[1:-1], strict=False)
                if _is_dependent([parts[0], part, parts[-1]])
            ]
            told = list(references)[: len(parts) - 2]
            raise RefusalError(
                f"{factor} cannot be told from {' or '.join(with_one) or ' with '.join(told)}: "
                "their levels go together. Leave one of them out"
            )
    return np.concatenate(parts, axis=1), kind, tuple(names)


def _is_dependent(parts: Sequence[np.ndarray]) -> bool:
    rows = np.unique(np.concatenate(parts, axis=1), axis=0)
    return bool(np.linalg.matrix_rank(rows) < rows.shape[1])


def _fitted(
    cells: pl.DataFrame,
    columns: np.ndarray,
    kind: np.ndarray,
    names: Sequence[tuple[str, str]],
    law: str,
    level: float,
) -> tuple[dict[tuple[str, str], tuple[Regression, int]], float]:
    """The regression by (factor, level) with its position, and Pearson's phi of the Poisson one."""
    y, e = cells["failures"].to_numpy().astype(float), cells["node_days"].to_numpy()
    node = cells.select(pl.struct("cluster", "node").rank("dense")).to_series().to_numpy()
    spelled = tuple(" ".join(name) for name in names)
    plain = poisson(y, e, columns, spelled, node, level, kind)
    phi = pearson_phi(y, e, columns, plain, kind)
    found = plain
    if law != "poisson":
        wide = negative_binomial(y, e, columns, spelled, node, level, kind)
        gain = 2 * (wide.log_likelihood - plain.log_likelihood)
        # alpha = 0 lies on the edge of what can be: half of the null's gains are 0
        if law != "auto" or stats.chi2.sf(max(gain, 0.0), 1) / 2 < 0.01:
            found = wide
    return {name: (found, place) for place, name in enumerate(names)}, phi


def _answer(
    levels: dict[str, pl.DataFrame],
    references: dict[str, str],
    fitted: dict[tuple[str, str], tuple[Regression, int]],
    phi: float,
    asked: Asked,
) -> pl.DataFrame:
    (found, _) = fitted["", ""]
    law = "negative binomial" if found.alpha else "poisson"
    q = np.full(len(found.p), math.nan)
    q[1:] = stats.false_discovery_control(found.p[1:])
    assumption = (
        "held" if found.clusters >= FEW_NODES else f"{found.clusters} nodes: limits too narrow"
    )
    rows = []
    for factor, seen in levels.items():
        reference = references[factor]
        for level, r, days in seen.sort(pl.col(factor) != reference, factor).iter_rows():
            row = [factor, level, reference, r, days, 1000 * r / days]
            if level == reference:
                row += [1.0, None, None, None, None, "reference"]
            elif not r:
                row += [None] * 5 + ["no failure: left out"]
            else:
                at = fitted[factor, level][1]
                lo, hi = float(found.ratio_lo[at]), float(found.ratio_hi[at])
                verdict = (
                    "fails more"
                    if lo > 1
                    else "fails less"
                    if hi < 1
                    else "no evidence of a difference"
                )
                row += [float(found.ratio[at]), lo, hi, float(found.p[at]), float(q[at]), verdict]
            rows.append((*row, law, phi, found.alpha, assumption))
    return pl.DataFrame(rows, schema=ANSWER, orient="row").with_columns(
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


STUDY = Study(
    name="regress",
    title="Rate ratios by model, provider, hall and age, each adjusted for all the others",
    reads=(d.FAILURES, d.EXPOSURE, d.FLEET),
    by=regress,
    columns=lambda asked: node_days_of(asked, *ON_THE_DAY, "wall_ms", "unobserved_ms"),
)
