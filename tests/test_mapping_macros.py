"""The macros that mappings are written with, each against what the parsers in Python do."""

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.mapping import sandbox
from transforms.hostlist import HostlistError, expand
from transforms.sources.base import Origin
from transforms.sources.text import instants

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC), zone="Europe/Berlin")
slow = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def connection():
    with sandbox.opened() as opened:
        sandbox.lock(opened, ORIGIN)
        yield opened


@pytest.fixture
def ask(connection):
    def answer(expression: str, **values):
        chosen = ", ".join(f"${name} AS {name}" for name in values) or "1"
        ((found,),) = connection.execute(
            f"SELECT {expression} FROM (SELECT {chosen})", values or None
        ).fetchall()
        return found

    return answer


def expanded(text):
    try:
        return expand(text)
    except HostlistError:
        return None


def listed(ask, text):
    try:
        return ask("hostlist(t::VARCHAR)", t=text)
    except duckdb.Error:
        return None


@pytest.mark.parametrize(
    "text",
    [
        "gpu[001-004,7]",
        "rack[1-2]node[01-03],login",
        "a,b,a,a[1-2]",
        "x[08-10]",
        "[1-2]",
        "n[999999999999999998-999999999999999999]",
        "ä[1-2]",
        "x[3-1]",
        "a b",
        "a,,b",
        "",
        "a[]",
        "a[1,2",
        "a]",
        "a[1-]",
        "n[1-2000000]",
        "n[1-1000][1-1001]",
        "a\u2003b",
    ],
)
def test_a_host_list_is_read_as_the_parsers_read_it(ask, text):
    assert listed(ask, text) == expanded(text)


@given(text=st.text("ab1029[]-, \u00a0", max_size=24))
@slow
def test_any_text_is_a_host_list_for_both_or_for_none(ask, text):
    assert listed(ask, text) == expanded(text)


NUMBERS = st.integers(0, 12)
ITEMS = st.one_of(
    NUMBERS.map(lambda n: f"{n:03}"), st.tuples(NUMBERS, NUMBERS).map(lambda r: f"{r[0]:02}-{r[1]}")
)
PARTS = st.one_of(
    st.sampled_from(["n", "gpu", "-r"]), st.lists(ITEMS, min_size=1, max_size=3).map(
        lambda items: f"[{','.join(items)}]"
    )
)  # fmt: skip


@given(words=st.lists(st.lists(PARTS, min_size=1, max_size=2).map("".join), min_size=1, max_size=3))
@slow
def test_host_lists_of_the_grammar_are_read_alike(ask, words):
    assert listed(ask, ",".join(words)) == expanded(",".join(words))


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")


@given(
    zone=st.sampled_from(ZONES),
    naive=st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001
    | st.sampled_from(
        [datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30), datetime(2026, 11, 1, 1)]  # noqa: DTZ001
    ),
    minutes=st.integers(-180, 180),
)
@slow
def test_a_local_time_is_the_instant_that_parsers_find_or_none(ask, zone, naive, minutes):
    naive = (naive + timedelta(minutes=minutes)).replace(microsecond=0)
    text = naive.isoformat()
    (at, fault) = instants(pl.Series([text]), zone).row(0)
    if fault is None:
        assert ask("local_time(t::VARCHAR, z)", t=text, z=zone) == at
        assert ask("local_time(t::TIMESTAMP, z)", t=text, z=zone) == at
    else:
        with pytest.raises(duckdb.Error, match=r"happened twice|skipped by a clock change"):
            ask("local_time(t::VARCHAR, z)", t=text, z=zone)


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-03-02T10:00:00Z", 10), ("2026-03-02 10:00:00+02:00", 8), ("2026-03-02 10:00", 9)],
)
def test_a_text_with_its_own_offset_keeps_to_it(ask, text, hour):
    found = ask("local_time(t::VARCHAR, given_zone())", t=text)
    assert found == datetime(2026, 3, 2, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "at"),
    [
        (0, "2024-03-30T00:00:00"),
        (2.8955, "2024-04-01T21:29:31.200000"),
        (-0.5, "2024-03-29T12:00:00"),
        (1 / 86_400_000_000, "2024-03-30T00:00:00.000001"),
    ],
)
def test_days_since_a_first_day_are_exact_to_the_microsecond(ask, days, at):
    found = ask("since_days('2024-03-30T00:00:00Z', d)", d=days)
    assert found == datetime.fromisoformat(at).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "last", "year"),
    [
        ("03/04/96", 2005, 1996),
        ("03/04/05", 2005, 2005),
        ("03/04/06", 2005, 1906),
        ("02/29/00", 2005, 2000),
        ("12/31/68", 2005, 1968),
        ("12/31/69", 2005, 1969),
        ("12/31/31", 2030, 1931),
        ("12/31/30", 2030, 2030),
        ("12/31/99", 1999, 1999),
    ],
)
def test_a_year_of_two_digits_ends_its_century_where_told(ask, text, last, year):
    found = ask(f"two_digit_year(strptime(t, '%m/%d/%y'), {last})", t=text)
    assert (found.year, f"{found:%m/%d}") == (year, text[:5])


@pytest.mark.parametrize(
    ("texts", "said", "name"),
    [
        ([None, " ", "fan", "gpu"], "fan", "c"),
        (["x", None, None, None], "x", "a"),
        ([None, "", "  ", None], None, None),
    ],
)
def test_the_first_column_that_says_something_and_its_name(ask, texts, said, name):
    assert ask("first_filled(t)", t=texts) == said
    assert ask("first_filled_name(t, ['a', 'b', 'c', 'd'])", t=texts) == name


def test_records_that_open_and_close_are_paired_by_key_in_their_order(connection):
    """Opened twice: the first never ends. Closed twice: the second is a stray. Keys do not mix."""
    records = (
        "(1,'a',true,10), (2,'b',true,11), (3,'a',true,12), (4,'a',false,13), (5,'a',false,14)"
    )
    found = connection.execute(
        "SELECT line_no, is_open, paired_end(is_open, t, k, line_no) "
        f"FROM (VALUES {records}) AS r(line_no, k, is_open, t) "
        "QUALIFY is_open OR paired_is_stray(is_open, k, line_no) ORDER BY line_no"
    ).fetchall()
    assert found == [(1, True, None), (2, True, None), (3, True, 13), (5, False, None)]


@pytest.mark.parametrize(
    "expression",
    [
        "hostlist(NULL)",
        "local_time(NULL, 'UTC')",
        "since_days('2024-03-30T00:00:00Z', NULL)",
        "two_digit_year(NULL::TIMESTAMP, 2005)",
    ],
)
def test_nothing_gives_null(ask, expression):
    assert ask(expression) is None
