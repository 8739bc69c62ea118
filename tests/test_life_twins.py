"""Estimators of lives that count in one pass say what their plain forms say, whatever the ties."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.reliability import survival, weibull

lives = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 8), st.booleans(), st.integers(0, 2)),
    min_size=2,
    max_size=40,
)


def plain_log_rank(exits, is_end, group, entries):
    """At every time of an end and for every group: who is there, and who ends."""
    times, names = np.unique(exits[is_end]), np.unique(group)
    excess, covariance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for t in times:
        there = (entries < t) & (exits >= t)
        n, d = there.sum(), (exits[is_end] == t).sum()
        share = np.array([(there & (group == name)).sum() for name in names]) / n
        seen = np.array([(is_end & (exits == t) & (group == name)).sum() for name in names])
        excess += seen - d * share
        tied = (n - d) / (n - 1) if n > 1 else 0
        covariance += d * tied * (np.diag(share) - np.outer(share, share))
    inner = covariance[:-1, :-1]
    return float(excess[:-1] @ np.linalg.pinv(inner) @ excess[:-1])


@settings(deadline=None)
@given(lives)
def test_log_rank_counts_as_its_definition_does(drawn):
    entry, lasted, end, group = (np.array(column) for column in zip(*drawn, strict=True))
    exits, is_end = (entry + lasted).astype(float), end.astype(bool)
    is_end[0] = True
    square, free, _ = survival.log_rank(exits, is_end, group, entry.astype(float))
    assert free == len(np.unique(group)) - 1
    assert square == pytest.approx(plain_log_rank(exits, is_end, group, entry), abs=1e-9)


@settings(deadline=None)
@given(lives, st.floats(0.3, 4))
def test_a_weibulls_sums_are_those_of_every_life(drawn, shape):
    entry, lasted, end, _ = (np.array(column) for column in zip(*drawn, strict=True))
    exits = (entry + lasted).astype(float)
    profile = weibull._Profile(exits, end.astype(bool), entry.astype(float))
    lived, weighted = profile._sums(shape)
    top = exits.max()
    ages = pl.DataFrame({"late": exits / top, "early": entry / top}).with_columns(
        log=pl.when(pl.col("early") > 0).then(pl.col("early").log()).otherwise(0.0)
    )
    late, early = pl.col("late") ** shape, pl.col("early") ** shape
    told = ages.select(
        lived=(late - early).sum(), weighted=(late * pl.col("late").log() - early * pl.col("log")).sum()
    ).row(0)  # fmt: skip
    assert (lived, weighted) == pytest.approx(told, rel=1e-9, abs=1e-9)
