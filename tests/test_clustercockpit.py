"""ClusterCockpit's archive of node states is read through its shipped mapping."""

import io
from datetime import timedelta

import polars as pl
import pytest
from incident_frames import T0, at

from flows import known
from transforms.sources.base import Origin

ORIGIN = Origin(file="input", modified=T0, cluster="other")
SCHEMA = {
    "time_stamp": pl.Int64, "node_state": pl.String, "health_state": pl.String,
    "health_metrics": pl.String, "cpus_allocated": pl.Int32, "memory_allocated": pl.Int64,
    "gpus_allocated": pl.Int32, "jobs_running": pl.Int32, "hostname": pl.String,
    "cluster": pl.String, "subcluster": pl.String,
}  # fmt: skip


def archive(*looks: tuple[int, str, str | None]) -> bytes:
    """The Parquet that cc-backend writes: (seconds, state, host)."""
    rows = [
        (int(at(seconds).timestamp()), state, "full", None, 0, 0, 0, 0, host, "alex", "a100")
        for seconds, state, host in looks
    ]
    held = io.BytesIO()
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(held)
    return held.getvalue()


@pytest.fixture(scope="module")
def mapping():
    return known.named("map:clustercockpit_node_states")


def test_looks_that_agree_are_one_spell_and_the_last_stays_open(mapping):
    data = archive(
        (0, "idle", "n1"), (60, "down", "n1"), (60, "mixed", "n2"), (120, "down", "n1"),
        (180, "allocated", "n1"), (180, "mixed", "n2"),
    )  # fmt: skip
    parsed = mapping.parse(data, ORIGIN)
    assert (parsed.records, parsed.accepted, parsed.rejected, parsed.ignored) == (6, 4, 0, 2)
    rows = parsed.frames["node_states"].sort("node", "began")
    assert rows.select("cluster", "node", "state", "began", "ended").rows() == [
        ("alex", "n1", "IDLE", at(0), at(60)),
        ("alex", "n1", "DOWN", at(60), at(180)),
        ("alex", "n1", "ALLOCATED", at(180), None),
        ("alex", "n2", "MIXED", at(60), None),
    ]


def test_a_look_at_no_node_is_refused(mapping):
    parsed = mapping.parse(archive((0, "down", "n1"), (0, "down", None)), ORIGIN)
    assert (parsed.accepted, parsed.rejected) == (1, 1)
    assert parsed.rejects.select("line_no", "reason").rows() == [(2, "node is empty")]


def test_an_archive_in_any_order_gives_the_same_spells(mapping):
    looks = [(0, "idle", "n1"), (60, "down", "n1"), (120, "idle", "n1")]
    forth, back = (mapping.parse(archive(*said), ORIGIN) for said in (looks, looks[::-1]))
    names = ["node", "state", "began", "ended"]
    both = [one.frames["node_states"].select(names).sort("began").rows() for one in (forth, back)]
    assert both[0] == both[1]
    assert both[0][1][3] - both[0][1][2] == timedelta(seconds=60)
