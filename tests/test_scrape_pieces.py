"""A file of scrapes read in pieces says what it says in one go, and gives the lake the same rows."""

from datetime import UTC, datetime

import polars as pl
import pytest
from test_pieces import Memory
from test_scrape_batches import COUNTS, bits, small, thinned, whole

from flows.pieces import cut_up
from transforms.sources.base import Origin
from transforms.sources.prometheus_text import parse
from transforms.sources.scrape_pieces import ScrapePieces, settle
from transforms.tables import BY_NAME

ORIGIN = Origin("capture", datetime(2026, 3, 15, tzinfo=UTC), node="caller")
MANY = thinned(small(6, 1), 4, 3) + thinned(small(6, 2), 4, 3)
ONE = thinned(small(1), 6, 4)


def in_pieces(data: bytes, size: int):
    reading = ScrapePieces(data[:size], ORIGIN)
    blocks = iter([data[:size], data[size:]])
    while reading.survey(next(blocks, b"")) and blocks.__length_hint__():
        pass
    parts = list(cut_up(Memory(data), reading, size, 1 << 30))
    return parts, [reading.parse(part) for part in parts]


def assert_same(data: bytes, size: int) -> int:
    cut, parts = in_pieces(data, size)
    exact = parse(data, ORIGIN)
    assert b"".join(cut) == data
    for name in exact.frames:
        rows = [part.frames[name] for part in parts if name in part.frames]
        ours = settle(pl.concat(rows))
        assert bits(ours) == bits(whole(exact.frames.items(), name))
    for name in COUNTS:
        assert sum(getattr(part, name) for part in parts) == getattr(exact, name), name
    rejects = pl.concat([part.rejects for part in parts])
    assert rejects.sort(pl.all()).equals(exact.rejects.sort(pl.all()))
    unknown = pl.concat([part.unknown for part in parts]).group_by("metric").agg(pl.sum("samples"))
    assert unknown.sort("metric").equals(exact.unknown)
    return len(cut)


@pytest.mark.parametrize("size", [4_000, 9_001, 20_000])
def test_a_capture_is_cut_between_scrapes(size):
    assert assert_same(MANY, size) > 1


def test_refusals_and_unknown_names_keep_their_lines_and_counts():
    lines = MANY.split(b"\n")
    for at in (5, 60, 110):
        lines[at : at + 1] = [b"<html>", lines[at], b"NOBODY_KNOWS 1"]
    assert assert_same(b"\n".join(lines), 6_000) > 2


@pytest.mark.parametrize("mark", [b"", b"# scraped_at: 2026-03-02T07:00:00Z\n"])
def test_one_large_scrape_is_cut_between_families_of_metrics(mark):
    data = mark + ONE.split(b"\n", 1)[1]
    cut, _ = in_pieces(data, 2_000)
    assert len(cut) > 2
    assert all(part.startswith(b"# ") for part in cut)
    assert_same(data, 2_000)


def test_one_family_that_never_shares_a_cell_is_cut_between_lines():
    data = b"".join(
        b'DCGM_FI_DEV_GPU_TEMP{gpu="%d",UUID="GPU-%d",Hostname="n%d"} 40\n' % (i % 8, i, i // 8)
        for i in range(200)
    )
    assert assert_same(data, 3_000) > 2


def test_what_a_node_says_of_itself_holds_for_the_whole_scrape(shared_data):
    """Sensors of node_exporter name no node: a line of the same scrape does."""
    data = (shared_data / "prometheus" / "node_exporter.metrics").read_bytes()
    data += b'node_uname_info{nodename="n7",sysname="Linux"} 1\n'
    (frame,) = (f for name, f in parse(data, ORIGIN).frames.items() if name == "node_samples")
    assert set(frame["node"]) == {"n7"}
    assert assert_same(data, 10_000) == 1


def test_pieces_that_tell_of_one_thing_fill_each_others_gaps():
    table = BY_NAME["gpu_samples"]
    key = {"cluster": "", "node": "n1", "gpu": "GPU-1", "gpu_instance": ""}
    row = pl.DataFrame([key]).with_columns(observed_at=pl.lit(0).cast(pl.Datetime("us", "UTC")))
    parts = [
        row.with_columns(gpu_temp_c=pl.lit(40.0)),
        row.with_columns(power_w=pl.lit(600.0), gpu_temp_c=pl.lit(41.0)),
    ]
    settled = settle(pl.concat([table.widen(part) for part in parts]))
    assert settled.select("gpu_temp_c", "power_w").rows() == [(40.0, 600.0)]
