"""Scrapes: every sample is accounted for, and Prometheus' own parser agrees on every value."""

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from transforms.metrics import BY_NAME, claims
from transforms.series import read_labels
from transforms.sources.base import Origin
from transforms.sources.prometheus_text import DCGM_BLANKS, parse, read_scrape

ORIGIN = Origin(file="scrape", modified=datetime(2026, 3, 15, tzinfo=UTC), node="caller")
# Real scrape: (samples, known, missing, names, unknown).
REAL = {
    "dcgm_exporter-a800-mig-excerpt.metrics": (48, 48, 0, 0, 0),
    "node_exporter.metrics": (3027, 169, 0, 0, 2858),
    "nvidia_gpu_exporter-h100-mig-load.metrics": (128, 98, 0, 1, 29),
    "nvidia_gpu_exporter-h200-load.metrics": (139, 108, 0, 1, 30),
}


def told_by_prometheus(data: bytes) -> list[tuple[str, dict[str, str], float]]:
    """Every sample as prometheus_client reads it; it ends counters' names in _total itself."""
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(data.decode("utf-8", "replace"))
        for sample in family.samples
    ]


def claim_of(name, labels):
    held = [
        c
        for c in claims(name)
        if not c.metric.where or labels.get(c.metric.where[0]) == c.metric.where[1]
    ]
    return held[0] if held else None


def cell_of(metric, labels):
    """Which cell a sample belongs to, told without the code under test."""
    node = labels.get("Hostname") or "caller"
    if metric.table == "gpu_samples":
        uuid = labels.get("UUID") or f"GPU-{labels['uuid']}"
        return metric.table, metric.name, (node, uuid, labels.get("GPU_I_ID", ""))
    if metric.table == "link_samples":
        link = "/".join(labels[x] for x in ("device", "port") if x in labels)
        return metric.table, metric.name, (node, link)
    return metric.table, metric.name, (node,)


def cells(parsed):
    """Every filled cell of the sample tables, by table, metric and thing."""
    found = {}
    for name, frame in parsed.frames.items():
        keys = [k for k in ("node", "gpu", "gpu_instance", "link") if k in frame.columns]
        for row in frame.drop("cluster", "observed_at", "slot", strict=False).iter_rows(named=True):
            thing = tuple(row.pop(k) for k in keys)
            found.update({(name, m, thing): v for m, v in row.items() if v is not None})
    return found


@pytest.mark.parametrize("file", REAL)
def test_prometheus_own_parser_agrees_on_every_value(shared_data, file):
    data = (shared_data / "prometheus" / file).read_bytes()
    parsed = parse(data, ORIGIN)
    theirs = told_by_prometheus(data)
    assert len(theirs) == parsed.records

    expected: dict[object, list[float]] = {}
    unknown: Counter[str] = Counter()
    names = 0
    for name, labels, value in theirs:
        if claim := claim_of(name, labels):
            is_blank = name.startswith("DCGM_") and value in DCGM_BLANKS
            if not is_blank and not math.isnan(value) and value not in claim.metric.blanks:
                cell = cell_of(claim.metric, labels)
                expected.setdefault((cell, claim.metric.reduce), []).append(claim.convert(value))
        elif name in ("node_uname_info", "nvidia_smi_gpu_info"):
            names += 1
        else:
            unknown[name.removesuffix("_total")] += 1
    combine = {"max": max, "sum": lambda v: sum(sorted(v)), "": lambda v: v[0]}
    wanted = {}
    for (cell, rule), values in expected.items():
        assert rule or len(set(values)) == 1, cell
        wanted[cell] = combine[rule](values)

    found = cells(parsed)
    assert found.keys() == wanted.keys()
    for cell, value in wanted.items():  # a sum of many CPUs may round in another order
        is_sum = BY_NAME[cell[1]].reduce == "sum"
        assert found[cell] == (pytest.approx(value, rel=1e-14) if is_sum else value), cell
    ours = Counter()
    for metric, samples in parsed.unknown.rows():
        ours[metric.removesuffix("_total")] += samples
    assert ours == unknown


@pytest.mark.parametrize("file", REAL)
def test_every_real_sample_is_known_missing_a_name_or_unknown(shared_data, file):
    data = (shared_data / "prometheus" / file).read_bytes()
    scrape = read_scrape(data, ORIGIN)
    missing = scrape.known["value"].null_count()
    known = scrape.known.height - missing
    counts = (scrape.samples, known, missing, scrape.names.height, scrape.unknown.height)
    assert counts == REAL[file]
    assert counts[0] == sum(counts[1:]) + scrape.bad.height
    assert parse(data, ORIGIN).rejects.is_empty()


def test_real_mig_instances_are_rows_of_their_own(shared_data):
    data = (shared_data / "prometheus" / "dcgm_exporter-a800-mig-excerpt.metrics").read_bytes()
    gpus = parse(data, ORIGIN).frames["gpu_samples"]
    first = gpus.filter(pl.col("slot") == 0)
    assert first["gpu_instance"].to_list() == ["3", "5", "6"]
    assert first["gpu"].n_unique() == 1
    assert first["sm_clock_mhz"].to_list() == [1410.0] * 3
    assert gpus["node"].unique().to_list() == ["msxf-hpc-64-35-ai"]


def test_the_order_of_lines_changes_nothing(shared_data):
    data = (shared_data / "prometheus" / "node_exporter.metrics").read_bytes()
    lines = data.rstrip(b"\n").split(b"\n")
    random.Random(7).shuffle(lines)
    shuffled = parse(b"\n".join(lines) + b"\n", ORIGIN)
    straight = parse(data, ORIGIN)
    assert shuffled.unknown.equals(straight.unknown)
    for name, frame in straight.frames.items():
        assert shuffled.frames[name].equals(frame)


@pytest.mark.parametrize("file", REAL)
def test_a_scrape_cut_anywhere_loses_only_what_was_cut(shared_data, file):
    data = (shared_data / "prometheus" / file).read_bytes()
    whole = cells(parse(data, ORIGIN))
    for cut in random.Random(3).sample(range(len(data)), 12):
        parsed = parse(data[:cut], ORIGIN)
        assert parsed.records == parsed.accepted + parsed.rejected + parsed.ignored
        assert parsed.rejected <= 1
        part = cells(parsed)
        assert part.keys() <= whole.keys()
        # A cell that several sensors fill may miss some of them; every other is right.
        single = {cell for cell in part if not BY_NAME[cell[1]].reduce}
        assert {cell: part[cell] for cell in single} == {cell: whole[cell] for cell in single}


LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True),
    st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), max_size=12),
    max_size=5,
)


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@given(labels=LABELS, comma=st.sampled_from([",", ", ", " , "]), tail=st.sampled_from(["", ","]))
def test_labels_written_are_the_labels_read(labels, comma, tail):
    text = comma.join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    assert read_labels(text + (tail if labels else "")) == labels


@given(
    labels=LABELS,
    value=st.floats(allow_nan=False, allow_infinity=False),
    stamp=st.none() | st.integers(978_307_200_000, 4_070_908_800_000),
)
@settings(deadline=None, max_examples=60)
def test_any_labels_and_any_value_come_through(labels, value, stamp):
    labels = {"ifalias": "", **labels, "device": "eth0", "Hostname": "n1"}
    labels.pop("cluster", None)
    inside = ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items())
    millis = "" if stamp is None else f" {stamp}"
    data = f"node_network_receive_bytes_total{{{inside}}} {abs(value)!r}{millis}\n".encode()
    parsed = parse(data, ORIGIN)
    (row,) = parsed.frames["link_samples"].select("node", "link", "rx_bytes", "observed_at").rows()
    assert row[:3] == ("n1", "eth0", abs(value))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert row[3] == (ORIGIN.modified if stamp is None else epoch + timedelta(milliseconds=stamp))


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=150)
def test_no_bytes_raise(data):
    parsed = parse(data, ORIGIN)
    assert parsed.records == parsed.accepted + parsed.rejected + parsed.ignored
    assert parsed.rejects.height == parsed.rejected


@pytest.mark.parametrize(
    "blank",
    [
        "2147483632",
        "2147483635",
        "140737488355328",
        "9223372036854775792",
        "9223372036854775794",
        "9.223372036854776e+18",
        "NaN",
        "nan",
    ],
)
def test_a_blank_value_leaves_a_row_with_an_empty_cell(blank):
    line = f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",UUID="GPU-aa"}} {blank}\n'
    parsed = parse(line.encode(), ORIGIN)
    assert parsed.frames["gpu_samples"]["gpu_temp_c"].to_list() == [None]
    assert (parsed.accepted, parsed.rejected) == (1, 0)


def test_a_blank_of_dcgm_is_a_value_of_anybody_else():
    parsed = parse(b"node_memory_MemTotal_bytes 140737488355328\n", ORIGIN)
    assert parsed.frames["node_samples"]["host_memory_total_bytes"].to_list() == [2.0**47]


def test_many_scrapes_of_a_node_are_rows_in_time_order():
    lines = [
        f'DCGM_FI_DEV_GPU_TEMP{{gpu="{g}",UUID="GPU-{g}",Hostname="n1"}} {30 + (t + g) % 50} '
        f"{1772446500000 + 15000 * t}"
        for t in range(200)
        for g in range(8)
    ]
    random.Random(1).shuffle(lines)
    frame = parse(("\n".join(lines) + "\n").encode(), ORIGIN).frames["gpu_samples"]
    assert frame.height == 1600
    assert frame.select("gpu", "observed_at").rows() == sorted(
        frame.select("gpu", "observed_at").rows()
    )
    expected = [30.0 + (t + 3) % 50 for t in range(200)]
    assert frame.filter(pl.col("gpu") == "GPU-3")["gpu_temp_c"].to_list() == expected
