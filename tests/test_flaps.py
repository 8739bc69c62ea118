"""Link flaps: the real files' counts, and the view against its Polars twin."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from flows.furnishing import define_macros
from transforms import tables
from transforms.flaps import link_flaps
from transforms.poisson import poisson_limits
from transforms.sources import BY_NAME
from transforms.sources.base import Origin

SQL = Path(__file__).resolve().parents[1] / "sql"
READS = (*("kernel_events", "cluster_events", "node_states", "fabric_links", "fleet", "exposure"),)
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)


def typed(name: str, rows: list[dict]) -> pl.DataFrame:
    table = tables.BY_NAME[name]
    words = [n for n, t in table.dtypes.items() if t == pl.String]
    frame = (
        pl.DataFrame(rows, schema_overrides=dict(table.dtypes.items())) if rows else table.empty()
    )
    absent = [
        pl.lit("" if n in words else None, t).alias(n)
        for n, t in table.dtypes.items()
        if n not in frame.columns
    ]
    return frame.with_columns(absent).select(pl.col(n).cast(t) for n, t in table.dtypes.items())


def by_the_view(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    connection = duckdb.connect()
    for name, frame in {**frames, "poisson_limits": poisson_limits()}.items():
        connection.register("rows", frame.cast({pl.Enum: pl.String}).to_arrow())
        connection.execute(f"CREATE TABLE {name} AS FROM rows")
    define_macros(connection)
    return pl.DataFrame(
        connection.sql((SQL / "views" / "link_flaps.sql").read_text()).to_arrow_table()
    )


def random_lake(seed: int) -> dict[str, pl.DataFrame]:
    """Losses seconds and minutes apart, told by several witnesses at both ends, among reboots."""
    random = np.random.default_rng(seed)
    nodes = ["a", "b", "c", "ghost"]

    def moment() -> datetime:
        bunch = int(random.integers(0, 12)) * 3600
        return BEGAN + timedelta(
            seconds=bunch + int(random.choice([0, 1, 30, 60, 61, 300, 301, 600, 601]))
        )

    kernel = [
        {
            "cluster": str(random.choice(["", "c"])),
            "node": str(random.choice(nodes)),
            "kind": "link_down",
        }
        | {"observed_at": moment(), "device": str(random.choice(["ib0", "eth0"])), "code": 0}
        | {"detail": str(random.choice(["Link down", "lost carrier", "Link down 7"]))}
        | {"repeat": number, "clock": "stamped", "line_no": number}
        for number in range(120)
    ]
    ends = [f"0x0{i}/1" for i in range(1, 4)] + [f"0xf{i}/1" for i in range(4)]
    cluster = [
        {"cluster": str(random.choice(["", "c"])), "node": "leaf", "observed_at": moment()}
        | {
            "reporter": str(random.choice(["opensm", "ufm", "kubelet"])),
            "device": str(random.choice(ends)),
        }
        | {"reason": str(random.choice(["PortDown", "LinkDown", "PortUp"])), "level": "warning"}
        | {"line_no": number, "code": 0}
        for number in range(80)
    ]
    states = [
        {
            "cluster": "c",
            "node": str(random.choice(nodes)),
            "began": (at := moment()),
            "state": "DOWN",
        }
        | {"ended": at + timedelta(minutes=20) if number % 2 else None, "line_no": number}
        for number in range(4)
    ]
    links = [
        {"guid": f"0x0{i}", "port": 1, "kind": "host", "node": name, "peer_guid": f"0xf{i}"}
        | {"peer_node": "leaf"}
        for i, name in ((1, "a"), (2, "b"), (3, "ghost"))
    ]
    links += [{**link, "guid": link["peer_guid"], "kind": "switch", "node": "leaf"}
              | {"peer_guid": link["guid"], "peer_node": link["node"]} for link in links]  # fmt: skip
    links += [
        {"guid": "0xf0", "port": 1, "kind": "switch", "node": "leaf"}
        | dict.fromkeys(["peer_guid", "peer_node"])
    ]
    survey = [
        {
            **link,
            "cluster": "",
            "observed_at": BEGAN,
            "line_no": n,
            "peer_port": 1 if link["peer_guid"] else None,
        }
        for n, link in enumerate(links)
    ]
    exposure = [
        {"day": date(2026, 3, 2), "cluster": "c", "node": node, "gpus": 8, "wall_ms": 86_400_000}
        | {"in_service_ms": int(random.integers(0, 86_400_000))}
        | dict.fromkeys(
            ("allocated_ms", "down_ms", "planned_down_ms", "unobserved_ms", "gpu_capacity_ms"), 0
        )
        for node in "abc"
    ]
    fleet = [
        {"cluster": "c", "node": node, "valid_from": BEGAN, "gpus": 8, "evidence": "inventory"}
        for node in "abc"
    ]
    rows = (kernel, cluster, states, survey, fleet, exposure)
    return {name: typed(name, part) for name, part in zip(READS, rows, strict=True)}


@pytest.mark.parametrize("seed", range(8))
def test_the_view_and_its_twin_count_the_same_flaps(seed):
    frames = random_lake(seed)
    ours, view = link_flaps(**frames), by_the_view(frames)
    assert ours["flaps"].sum() > 50
    assert ours["near_state_change"].sum() > 0
    assert view.columns == ours.columns
    for name in ours.columns:
        for mine, theirs in zip(ours[name], view[name], strict=True):
            assert mine == (
                pytest.approx(theirs, rel=1e-9) if isinstance(mine, float) else theirs
            ), name


@pytest.mark.parametrize(
    ("file", "expected"),
    [("syslog-0-flaps.log", []), ("syslog-6-flaps-ib6.log", [("all", 6, 1), ("ib6", 6, 1)])],
)
def test_the_real_logs_hold_no_flap_and_six_of_one_link(shared_data: Path, file, expected):
    path = shared_data / "kernel-logs" / file
    told = BY_NAME["kernel_log"].parse(path.read_bytes(), Origin(file, BEGAN, cluster="c"))
    day = {"day": date(2025, 8, 17), "cluster": "c", "node": "jplc7eb7-vm-0", "wall_ms": 86_400_000}
    day |= {"in_service_ms": 43_200_000}
    frames = {name: typed(name, []) for name in READS} | {
        "kernel_events": told.frames["kernel_events"],
        "exposure": typed("exposure", [day]),
    }
    for rows in (link_flaps(**frames), by_the_view(frames)):
        assert rows.select("link", "flaps", "episodes").rows() == expected
        assert rows.filter(pl.col("link") == "ib6")["per_1000_link_days"].to_list() == [
            12_000.0
        ] * bool(expected)
