"""Scrapes read fast say what the exact reader says, bit for bit, of sound ones and damaged ones."""

import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources import scrape_batches, scrape_loops
from transforms.sources.base import Origin
from transforms.sources.prometheus_text import parse
from transforms.sources.scrape_batches import Scrapes
from transforms.tables import BY_NAME

sys.path.insert(0, str(Path(__file__).parent / "bench"))
import scrapes

BEGAN = datetime(2026, 3, 15, tzinfo=UTC)
ORIGIN = Origin(file="scrape", modified=BEGAN, node="caller")
ROUNDS = int(os.environ.get("FAULTLEDGER_DAMAGES", "3"))
COUNTS = ("records", "accepted", "rejected", "ignored")


def bits(frame):
    """Rows as text and whole numbers, the values by their bits; nulls stay, NaN is any NaN."""
    floats = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    found = {}
    for name in frame.columns:
        column = frame[name]
        if name in floats:
            raw = column.fill_null(0.0).to_numpy().view(np.uint64).tolist()
            column = [None if null else x for x, null in zip(raw, column.is_null(), strict=True)]
        found[name] = list(column)
    return sorted(zip(*found.values(), strict=True), key=repr)


def whole(frames, name):
    """All rows of one table, columns that nobody has filled in."""
    table = BY_NAME[name]
    parts = [table.empty()]
    for kind, frame in frames:
        if kind == name and frame.height:
            absent = [
                pl.lit(None, dtype).alias(n)
                for n, dtype in table.dtypes.items()
                if n not in frame.columns
            ]
            parts.append(table.conform(frame.with_columns(absent)))
    return pl.concat(parts)


def assert_same(parts, reader=None):
    bulk = (reader or Scrapes()).read(parts)
    exact = [parse(data, origin) for data, origin in parts]
    names = sorted({n for p in exact for n in p.frames} | {n for n, f in bulk.frames if f.height})
    for name in names:
        theirs = whole([i for p in exact for i in p.frames.items()], name)
        ours = whole(bulk.frames, name)
        assert bits(ours) == bits(theirs), name
    for one, other, rows in zip(bulk.parts, exact, bulk.rows, strict=True):
        assert [getattr(one, n) for n in COUNTS] == [getattr(other, n) for n in COUNTS]
        assert one.rejects.sort(pl.all()).equals(other.rejects.sort(pl.all()))
        assert one.unknown.equals(other.unknown)
        assert rows == {name: frame.height for name, frame in sorted(other.frames.items())}
    return bulk


def small(count=3, node=1, marked=True, **more):
    told = scrapes.texts(node, count, **more)
    if not marked:
        return b"".join(told)
    marks = [BEGAN + timedelta(seconds=15 * i) for i in range(count)]
    form = "# scraped_at: {:%Y-%m-%dT%H:%M:%SZ}\n".format
    return b"".join(form(at).encode() + text for at, text in zip(marks, told, strict=True))


def thinned(text, metrics=4, gpus=3):
    """A capture with fewer metrics and GPUs, for quick tests."""
    names = [name for name, *_ in scrapes.METRICS[2 : 2 + metrics]]
    lines = [
        line
        for line in text.split(b"\n")
        if line.startswith(b"# scraped")
        or (
            any(f"DCGM_FI_{n}".encode() in line for n in names)
            and (b"{" not in line or int(line.split(b'gpu="')[1][:1]) < gpus)
        )
    ]
    return b"\n".join(lines) + b"\n"


def exact_scrapes(monkeypatch):
    """How many bytes the exact reader was given beside what was learnt."""
    from transforms.sources import scrape_rows

    given_bytes = []

    def counted(data, origin):
        given_bytes.append(len(data))
        return parse(data, origin)

    monkeypatch.setattr(scrape_rows, "parse", counted)
    return given_bytes


def test_a_capture_is_read_without_the_exact_reader(monkeypatch):
    slow = exact_scrapes(monkeypatch)
    bulk = assert_same([(small(3, node), ORIGIN) for node in (1, 2)])
    assert not slow
    assert sum(frame.height for _, frame in bulk.frames) == 2 * 3 * 8


def test_nodes_alike_are_learnt_by_few_lines(monkeypatch):
    asked = []
    exact = scrape_batches.read_scrape
    monkeypatch.setattr(
        scrape_batches, "read_scrape", lambda *a: asked.append(a[0].count(b"} 0\n")) or exact(*a)
    )
    reader = Scrapes()
    assert_same([(small(2, node), ORIGIN) for node in range(5)], reader)
    assert sum(asked) == 5 * scrapes.GPUS  # a line of each GPU stands for its other metrics
    assert len(reader._layouts) == 1


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_targets_learnt_from_beginnings_are_not_learnt_again(monkeypatch, marked):
    stamps = None if marked else [int(BEGAN.timestamp() * 1000) + 15_000 * i for i in range(3)]
    parts = [(small(3, node, marked, stamps=stamps), ORIGIN) for node in range(4)]
    reader = Scrapes()
    half = len(parts[0][0]) // 2
    reader.learn([(data[:half], origin) for data, origin in parts])
    asked = []
    monkeypatch.setattr(scrape_batches, "read_scrape", lambda *a: asked.append(a))
    assert_same(parts, reader)
    assert not asked


@pytest.mark.parametrize("head", [b"", b"# scr", b"no scrape\n" * 9, small(1)[:-9], small(2)[:-9]])
def test_beginnings_that_tell_little_do_no_harm(head):
    reader = Scrapes()
    reader.learn([(head, ORIGIN)])
    assert_same([(small(2), ORIGIN), (head, ORIGIN)], reader)


def test_a_capture_gives_rows_in_the_order_of_the_lake():
    table = BY_NAME["gpu_samples"]
    parts = [(bytearray(small(5, node)), ORIGIN) for node in (1, 2, 3)]
    ((_, rows),) = Scrapes().read(parts).frames
    assert rows.equals(rows.sort(table.key))
    assert not rows.equals(rows.sort("observed_at", "gpu"))


def test_label_texts_that_only_differ_in_bytes_that_are_no_text_are_one_series():
    lines = [
        b'DCGM_FI_DEV_GPU_TEMP{gpu="0",x="\xff"} 40',
        b'DCGM_FI_DEV_GPU_TEMP{gpu="0",x="\xfe"} 41',
    ]
    bulk = assert_same([(b"\n".join(lines) + b"\n", ORIGIN)])
    assert "several values of one series" in bulk.parts[0].rejects["reason"][0]


def test_one_scrape_a_file_in_any_order_of_nodes(monkeypatch):
    slow = exact_scrapes(monkeypatch)
    files = []
    for i in range(3):
        for node in (1, 2, 3):
            origin = Origin(f"n{node}/{i}", BEGAN + timedelta(seconds=15 * i))
            files.append(
                (small(3, node, marked=False).split(b"# HELP DCGM_FI_DEV_SM_CLOCK")[i + 1], origin)
            )
    files = [(b"# HELP DCGM_FI_DEV_SM_CLOCK" + data, origin) for data, origin in files]
    reader = Scrapes()
    assert_same(files, reader)
    assert_same(files[3:], reader)  # with all targets known
    assert not slow


def test_scrapes_appended_with_stamps_need_no_marks(monkeypatch):
    slow = exact_scrapes(monkeypatch)
    stamps = [1_773_532_800_000 + 15_000 * i for i in range(3)]
    assert_same([(small(3, marked=False, stamps=stamps), ORIGIN)])
    assert_same([(small(3, marked=True, stamps=stamps), ORIGIN)])
    assert_same([(small(2, marked=False, stamps=[1_773_532_800, 1_773_532_815]), ORIGIN)])
    assert not slow


def test_scrapes_appended_without_stamps_contradict_each_other():
    bulk = assert_same([(thinned(small(3, marked=False)), ORIGIN)])
    assert bulk.parts[0].rejected


@pytest.mark.parametrize(
    "value",
    [
        *(
            "NaN",
            "nan",
            "+Inf",
            "-Inf",
            "inf",
            "Infinity",
            "1e3",
            "1.5E-3",
            "-0",
            "-0.0",
            "+5",
            "5.",
            ".5",
        ),
        *("9223372036854775794", "9.223372036854776e+18", "2147483632", "140737488355328"),
        *(
            "9007199254740993",
            "18446744073709551615",
            "184467440737095516150",
            "1234567890123456789",
        ),
        *(
            "0.1234567890123456789",
            "9007199254740993.5",
            "0.30000000000000004",
            "00000000000000000042",
        ),
        *(
            "x",
            "1_000",
            "0x10",
            "1e",
            "--1",
            "1.2.3",
            "\u0663",
            "",
            " 7",
            "5 6",
            "1e999",
            "33 # {}",
        ),
    ],
)
def test_every_spelling_of_a_value_is_read_as_by_the_exact_reader(value):
    lines = thinned(small(2), 3, 1).split(b"\n")
    places = [i for i, line in enumerate(lines) if b"} " in line]
    parts = []
    for place in (places[1], places[-1]):
        changed = list(lines)
        changed[place] = changed[place].rsplit(b" ", 1)[0] + b" " + value.encode()
        parts.append((b"\n".join(changed), ORIGIN))
    assert_same(parts)


@given(
    st.one_of(
        st.integers(-(10**20), 10**20).map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str),
        st.from_regex(r"[+-]?[0-9]{0,12}\.?[0-9]{0,12}", fullmatch=True),
    )
)
@settings(deadline=None, max_examples=300)
def test_numbers_are_the_nearest_doubles(text):
    data = np.frombuffer(text.encode() + b"\n", np.uint8)
    end, value = scrape_loops._number(data.ctypes.data, 0, len(data))
    if end == len(text):
        assert np.float64(value).view(np.uint64) == np.float64(float(text)).view(np.uint64)


DAMAGES = (
    "flip",
    "cut",
    "drop a line",
    "double a line",
    "swap lines",
    "change HELP",
    "CRLF",
    "one CRLF",
    "escape a label",
    "unicode label",
    "bad unicode",
    "new GPU",
    "no newline",
    "blank line",
    "odd mark",
    "same mark",
    "space",
    "stamp",
    "wrong unit",
    "html",
)


def damaged(data, how, chance):
    lines = data.split(b"\n")
    i = chance.randrange(len(lines) - 1)
    samples = [n for n, line in enumerate(lines) if b"} " in line]
    s = chance.choice(samples)
    marks = [n for n, line in enumerate(lines) if line.startswith(b"# scraped_at")]
    m = chance.choice(marks) if marks else i
    if how == "flip":
        at = chance.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if how == "cut":
        at, length = chance.randrange(len(data)), chance.randrange(1, 400)
        return data[:at] + data[at + length :]
    if how == "drop a line":
        del lines[i]
    elif how == "double a line":
        lines.insert(i, lines[i])
    elif how == "swap lines":
        j = chance.randrange(len(lines) - 1)
        lines[i], lines[j] = lines[j], lines[i]
    elif how == "change HELP":
        lines[i] = b"# HELP of another version" if lines[i].startswith(b"# HELP") else lines[i]
    elif how == "CRLF":
        lines = [line + b"\r" if line else line for line in lines]
    elif how == "one CRLF":
        lines[i] += b"\r"
    elif how == "escape a label":
        lines[s] = lines[s].replace(b"NVIDIA", rb"NV\"{}\\ID\nIA")
    elif how == "unicode label":
        lines[s] = lines[s].replace(b"NVIDIA", "NVÏDIA\u2028".encode())
    elif how == "bad unicode":
        lines[s] = lines[s].replace(b"NVIDIA", b"NV\xc3IDIA\xe2\x82")
    elif how == "new GPU":
        lines.insert(s, lines[s].replace(b'gpu="', b'gpu="9').replace(b"GPU-", b"GPU-9"))
    elif how == "no newline":
        return data.rstrip(b"\n")
    elif how == "blank line":
        lines.insert(i, b" " * chance.randrange(2))
    elif how == "odd mark":
        lines[m] = chance.choice(
            (b"#scraped_at: 2026-03-02", b"# scraped_at: no", b"# scraped_at: 2026-02-29T00:00:00Z")
        )
    elif how == "same mark":
        for n in marks:
            lines[n] = lines[m]
    elif how == "space":
        lines[s] = lines[s].replace(b"} ", chance.choice((b"}  ", b"}", b"} \t", b" } ")))
    elif how == "stamp":
        lines[s] += chance.choice((b" 1773532800000", b" 5", b" 1773532800.5", b" x"))
    elif how == "wrong unit":
        lines[s] = lines[s].rsplit(b" ", 1)[0] + b" 612000000"
    elif how == "html":
        return b"<html><body>502 Bad Gateway</body></html>\n" + (
            data if chance.random() < 0.5 else b""
        )
    return b"\n".join(lines)


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_is_told_as_by_the_exact_reader(how):
    sound = [thinned(small(4, node), 3, 2) for node in (1, 2)]
    stamped = thinned(
        small(3, marked=False, stamps=[1_773_532_800_000 + 15_000 * i for i in range(3)]), 3, 2
    )
    chance = random.Random(how)
    reader = Scrapes()
    for _ in range(ROUNDS):
        hurt = [damaged(data, how, chance) for data in (*sound, stamped)]
        if chance.random() < 0.5:
            hurt[0] = damaged(hurt[0], chance.choice(DAMAGES), chance)
        assert_same([(data, ORIGIN) for data in (*hurt, sound[1])], reader)


REAL = (
    "dcgm_exporter-a800-mig-excerpt.metrics",
    "node_exporter.metrics",
    "nvidia_gpu_exporter-h100-mig-load.metrics",
    "nvidia_gpu_exporter-h200-load.metrics",
)


@pytest.mark.parametrize("file", REAL)
def test_real_scrapes_are_read_as_by_the_exact_reader(shared_data, file):
    data = (shared_data / "prometheus" / file).read_bytes()
    marked = b"".join(f"# scraped_at: 2026-03-02T07:0{i}:00Z\n".encode() + data for i in range(2))
    assert_same([(data, ORIGIN), (marked, ORIGIN), (data, Origin("other", BEGAN, "c", "n2"))])
