"""P-13 and P-14: every exported rate times its exposure is its count, and rates that do not count
the same thing are divided nowhere."""

import contextlib
import itertools
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from transforms import definitions, mtbf, tables
from transforms.definitions import REGISTRY, DefinedRate, DefinitionMismatchError
from transforms.exposure import CLOCKS
from transforms.poisson import poisson_limits
from transforms.studies import Asked, RefusalError
from transforms.studies.compare import compare
from transforms.studies.rates import KINDS, PERIODS, PLACES, rates

SQL = Path(__file__).resolve().parents[1] / "sql"
FIRST = date(2026, 2, 23)
CLASSES = ("GPU", "Host", "Network")


@st.composite
def lakes(draw) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Failures and exposure of a few nodes: gaps, dark days, nodes without either, two definitions."""
    cell = st.tuples(st.integers(0, 20), st.sampled_from("abcd"))
    cells = draw(st.lists(cell, min_size=1, max_size=25, unique=True))
    spans = []
    for day, node in cells:
        wall = draw(st.integers(1, mtbf.DAY_MS))
        first, second, third = sorted(draw(st.integers(0, wall)) for _ in range(3))
        spans.append(
            {"day": FIRST + timedelta(days=day), "cluster": "c", "node": node, "gpus": 8}
            | {"provider": "p", "hall": None if node == "d" else "H" + node, "rack": "r"}
            | {"wall_ms": wall, "in_service_ms": first, "allocated_ms": first // 2}
            | {"down_ms": second - first, "planned_down_ms": third - second}
            | {"unobserved_ms": wall - third, "gpu_capacity_ms": 8 * wall}
        )
    hit = st.tuples(
        cell, st.sampled_from(CLASSES), st.sampled_from([*REGISTRY]), st.integers(1, 30)
    )
    hits = draw(st.lists(hit, max_size=25, unique_by=lambda h: h[:3]))
    failed = [
        {"day": FIRST + timedelta(days=day), "cluster": "c", "node": node, "class": klass}
        | {"component": "u", "definition": definition, "failures": count}
        for (day, node), klass, definition, count in hits
    ]
    dtypes = {name: tables.BY_NAME[name].dtypes for name in ("failures", "exposure")}
    return pl.DataFrame(failed, schema=dtypes["failures"]), pl.DataFrame(
        spans, schema=dtypes["exposure"]
    )


def counts_are_rates_times_exposure(rows: pl.DataFrame) -> None:
    """Also the limits' order, and that the hours of the MTBF are those of the rate."""
    told = rows.filter(pl.col("per_1000_node_days").is_not_null())
    made = told["per_1000_node_days"].to_numpy() * told["node_days"].to_numpy() / 1000
    assert np.allclose(made, told["failures"].to_numpy(), rtol=1e-12, atol=0)
    assert (told["per_1000_node_days_lo"] <= told["per_1000_node_days"]).all()
    assert (told["per_1000_node_days"] <= told["per_1000_node_days_hi"]).all()
    timed = rows.filter(pl.col("mtbf_hours").is_not_null())
    hours = timed["mtbf_hours"].to_numpy() * timed["failures"].to_numpy()
    assert np.allclose(hours, 24 * timed["node_days"].to_numpy(), rtol=1e-12, atol=0)
    untold = rows.filter(pl.col("per_1000_node_days").is_null())
    assert untold["mtbf_hours"].null_count() == untold.height


@settings(max_examples=15, deadline=None)
@given(lake=lakes(), data=st.data())
def test_every_row_of_the_rates_study_gives_its_count_back(lake, data):
    failures, exposure = lake
    by = data.draw(st.lists(st.sampled_from([*PLACES, *PERIODS, *KINDS]), max_size=3, unique=True))
    clock, definition = (
        data.draw(st.sampled_from([*CLOCKS])),
        data.draw(st.sampled_from([*REGISTRY])),
    )
    asked = Asked(clock=clock, definition=definition, options={"by": ",".join(by) or " "})
    if not exposure[CLOCKS[clock]].sum():
        with pytest.raises(RefusalError, match="no exposure"):
            rates(asked, failures=failures, exposure=exposure)
        return
    found = rates(asked, failures=failures, exposure=exposure)
    counts_are_rates_times_exposure(found)
    counted = failures.filter(pl.col("definition").cast(pl.String) == definition)
    assert found["failures"].sum() == counted["failures"].sum()
    assert set(found["clock"]) | set(found["definition"]) <= {clock, definition}


@settings(max_examples=4, deadline=None)
@given(lake=lakes())
def test_every_row_of_the_rate_views_gives_its_count_back(lake):
    connection = duckdb.connect()
    frames = dict(zip(("failures", "exposure"), lake, strict=True))
    for name, frame in (frames | {"poisson_limits": poisson_limits()}).items():
        connection.register("rows", frame.cast({pl.Enum: pl.String}).to_arrow())
        connection.execute(f"CREATE TABLE {name} AS FROM rows")
    for path in sorted(SQL.glob("macros/*.sql")) * 3:  # macros may use each other
        with contextlib.suppress(duckdb.CatalogException):
            connection.execute(path.read_text())
    for view in ("fleet_rates", "node_rates", "weekly_rates"):
        answer = connection.sql((SQL / "views" / f"{view}.sql").read_text())
        rows = pl.DataFrame(answer.to_arrow_table())
        counts_are_rates_times_exposure(rows)
        assert not {"clock", "definition", "class"} - set(rows.columns), view


PEDIGREES = list(
    itertools.product(REGISTRY, CLOCKS, ("all", frozenset({"GPU"}), frozenset({"GPU", "Host"})))
)


def named(pedigree) -> str:
    """A test's name that is the same in every process: a set's own text is not."""
    return "-".join(part if isinstance(part, str) else "+".join(sorted(part)) for part in pedigree)


@pytest.mark.parametrize("ours", PEDIGREES, ids=named)
def test_rates_divide_only_where_definition_clock_and_classes_are_one(ours):
    for theirs in PEDIGREES:
        first, second = DefinedRate(30, 5000, *ours), DefinedRate(15, 5000, *theirs)
        if ours == theirs:
            assert (first / second).ratio == pytest.approx(2)
            continue
        with pytest.raises(DefinitionMismatchError) as refused:
            first / second
        for name, one, other in zip(("definition", "clock", "classes"), ours, theirs, strict=True):
            assert (f"{name} {one!r} against" in str(refused.value)) == (one != other)


def test_a_rate_divides_nothing_but_a_rate_and_knows_only_what_is_registered():
    rate = DefinedRate(30, 5000, "coalesced-180s", "wall")
    for other in (2, 0.5, mtbf.rate(3, 100)):
        with pytest.raises(TypeError, match="only a rate with its definition"):
            rate / other  # type: ignore[operator]
    with pytest.raises(ValueError, match="no definition 'mine'"):
        DefinedRate(1, 10, "mine", "wall")
    with pytest.raises(ValueError, match="no clock 'sun'"):
        DefinedRate(1, 10, "coalesced-180s", "sun")


def test_another_gap_or_window_is_another_definition(monkeypatch):
    """Whatever a definition says besides its id is looked at too: two under one meaning differ."""
    known = REGISTRY["coalesced-180s"]
    wider = replace(known, id="coalesced-600s", coalescing_gap_s=600)
    monkeypatch.setitem(definitions.REGISTRY, wider.id, wider)
    with pytest.raises(DefinitionMismatchError, match="coalescing gap 180 s against 600 s"):
        DefinedRate(1, 10, known.id, "wall") / DefinedRate(1, 10, wider.id, "wall")


def test_no_two_definitions_say_the_same_and_failures_name_no_other():
    said = [tuple(vars(one).values())[1:] for one in REGISTRY.values()]
    assert len(set(said)) == len(said)
    for name in ("failures", "incidents"):
        known = tables.BY_NAME[name].dtypes["definition"]
        assert set(known.categories) == set(REGISTRY)


def test_a_comparison_answers_for_one_definition_and_one_clock():
    exposure = pl.DataFrame(
        [
            {"day": FIRST, "cluster": "c", "node": node, "gpus": 8, "provider": "p"}
            | {"hall": hall, "rack": None, "wall_ms": mtbf.DAY_MS, "in_service_ms": mtbf.DAY_MS}
            | {"allocated_ms": 0, "down_ms": 0, "planned_down_ms": 0, "unobserved_ms": 0}
            | {"gpu_capacity_ms": 8 * mtbf.DAY_MS}
            for node, hall in (("a", "H1"), ("b", "H2"))
        ],
        schema=tables.BY_NAME["exposure"].dtypes,
    )
    failures = pl.DataFrame(
        [
            {"day": FIRST, "cluster": "c", "node": "a", "class": "GPU", "component": "u"}
            | {"definition": definition, "failures": count}
            for definition, count in (("coalesced-180s", 2), ("as-recorded", 5))
        ],
        schema=tables.BY_NAME["failures"].dtypes,
    )
    sides = {"first": "hall=H1", "second": "hall=H2"}
    for definition, count in (("coalesced-180s", 2), ("as-recorded", 5)):
        asked = Asked(definition=definition, options=sides)
        found = compare(asked, failures=failures, exposure=exposure)
        assert found["failures"].to_list()[:2] == [count, 0]
        assert set(found["definition"]) == {definition}
