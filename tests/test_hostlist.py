"""Host lists: every bracket form, what is refused, and that compressing is undone by expanding."""

import contextlib

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.hostlist import HostlistError, compress, expand, expand_each


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("gpu001", "gpu001"),
        ("gpu[001-003,7]", "gpu001 gpu002 gpu003 gpu7"),
        ("a[8-11]", "a8 a9 a10 a11"),
        ("a[08-11]", "a08 a09 a10 a11"),
        ("a[098-101]", "a098 a099 a100 a101"),
        ("a[99-0101]", "a99 a100 a101"),
        ("cpn-f13-03-[01-02],cpn-f13-04", "cpn-f13-03-01 cpn-f13-03-02 cpn-f13-04"),
        (
            "rack[1-2]node[01-02]",
            "rack1node01 rack1node02 rack2node01 rack2node02",
        ),
        ("r[1,3]-ib.example.org,b", "r1-ib.example.org r3-ib.example.org b"),
        ("[10-11]x", "10x 11x"),
        ("a[1-2],a2,a[2-3]", "a1 a2 a3"),
    ],
)
def test_a_list_names_its_hosts_in_order(text, hosts):
    assert expand(text) == hosts.split()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpu[001-003",
        "gpu001-003]",
        "gpu[]",
        "gpu[3-1]",
        "gpu[1-2-3]",
        "gpu[1,,2]",
        "gpu[a-c]",
        "gpu[1-[2-3]]",
        "bgp[000x133]",
        "a,,b",
        "a,",
        ",a",
        "None assigned",
        "gpu[٣-٤]",
        "gpu[0-99999999]",
        "a[1-9999][1-9999]",
        "a[1-600000],b[1-600000]",
        "gpu[" + "9" * 5000 + "]",
    ],
)
def test_half_a_list_is_refused(text):
    with pytest.raises(HostlistError):
        expand(text)


names = st.text("ab-.", min_size=1, max_size=3)
numbers = st.integers(0, 1200).flatmap(
    lambda n: st.integers(1, 5).map(lambda width: str(n).zfill(width))
)
hosts = st.lists(st.builds("".join, st.tuples(names, st.just("") | numbers)), max_size=40)


@given(hosts)
@example(["n9", "n09", "n10", "n11", "n010"])
@example(["n999", "n1000", "n0999", "n1001"])
@example(["a", "a1", "a2"])
@example(["x" + "7" * 30])
def test_expanding_undoes_compressing(hosts):
    assert sorted(expand(compress(hosts)) if hosts else []) == sorted(set(hosts))


def test_compressing_writes_runs_as_the_scheduler_does():
    hosts = ["gpu003", "gpu001", "gpu002", "gpu010", "login", "r1n09", "r1n10"]
    assert compress(hosts) == "gpu[001-003,010],login,r1n[09-10]"


@given(st.text("ab01-[],", max_size=20))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(HostlistError):
        assert all(expand(text))


def test_a_column_keeps_its_order_its_nulls_and_its_faults():
    read = expand_each(pl.Series(["b[1-2]", None, "b[", "a", "b[1-2]"]))
    assert read["hosts"].to_list() == [["b1", "b2"], None, None, ["a"], ["b1", "b2"]]
    assert [fault is not None for fault in read["fault"]] == [False, False, True, False, False]


WORDS = st.from_regex(
    r"[ab0]{0,2}(\[[0-2]{1,2}(-[0-2]{1,2})?(,[0-2]{1,2}(-[0-2]{1,2})?)?\])?[x,]?", fullmatch=True
)


def alone(text):
    try:
        return expand(text), None
    except HostlistError as error:
        return None, str(error)


@given(st.lists(WORDS | st.text("ab01-[],", max_size=8), max_size=6))
def test_a_column_reads_each_list_as_alone(texts):
    read = expand_each(pl.Series(texts, dtype=pl.String))
    told = zip(texts, read["hosts"].to_list(), read["fault"], strict=True)
    assert all((hosts, fault) == alone(text) for text, hosts, fault in told)
