"""The fabric's own files, as operators have them, read to exact counts."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from transforms.sources import BY_NAME
from transforms.sources.base import Origin, Parsed

AT = datetime(2026, 3, 15, 6, tzinfo=UTC)


def parsed(source: str, data: bytes, name: str = "input", **told: object) -> Parsed:
    assert BY_NAME[source].sniff(data[:65536].decode("utf-8", "replace"), name) == 2
    return BY_NAME[source].parse(data, Origin(file=name, modified=AT, **told))  # type: ignore[arg-type]


def counts(parsed: Parsed) -> tuple[int, int, int, int]:
    return parsed.records, parsed.accepted, parsed.rejected, parsed.ignored


def test_a_real_switch_tells_two_ports(shared_data: Path):
    file = shared_data / "fabric" / "perfquery-0x7cfe9003009ce5b0.txt"
    told = parsed("perfquery", file.read_bytes(), file.name, node="ib-i1l1s01")
    assert counts(told) == (50, 44, 0, 6)
    rows = told.frames["link_samples"].select("node", "link", "tx_bytes", "tx_wait_ticks")
    assert rows.rows() == [
        ("ib-i1l1s01", "lid1719/1", 36298026860928 * 4, 22730501),
        ("ib-i1l1s01", "lid1719/2", 26006570014026 * 4, 36510964),
    ]


def test_a_query_that_gave_nothing_gives_nothing(shared_data: Path):
    file = shared_data / "fabric" / "perfquery-0x506b4b0300cc02a6.txt"
    assert file.read_bytes() == b""
    told = BY_NAME["perfquery"].parse(b"", Origin(file=file.name, modified=AT))
    assert counts(told) == (0, 0, 0, 0)


@pytest.mark.parametrize("prefix", ["", "./", "/sys/class/infiniband/"])
def test_the_tree_of_a_real_node_is_read_whole(shared_data: Path, prefix: str):
    root = shared_data / "fabric" / "sys-class-infiniband-h100.0"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    lines = [
        f"{prefix}{path.relative_to(root)}:{line}\n"
        for path in files
        for line in path.read_text().splitlines()
    ]
    told = parsed("infiniband_sysfs", "".join(lines).encode(), node="gpu-1")
    assert told.unknown.is_empty()
    assert counts(told) == (len(lines), 98, 0, 10)
    rows = told.frames["link_samples"]
    assert rows.select("link", "rate_bytes_per_s", "port_state_code").rows() == [
        ("mlx5_0/1", 50e9, 4),
        ("mlx5_bond_0/1", 25e9, 4),
    ]
    assert rows["rx_bytes"].to_list() == [230539874932483 * 4] * 2


def test_a_real_fabric_manager_tells_one_switch_error_among_its_talk(shared_data: Path):
    file = shared_data / "kernel-logs" / "fabricmanager.log"
    told = parsed("fabric_manager_log", file.read_bytes(), file.name, node="gpu-1")
    assert counts(told) == (54, 1, 0, 53)
    (row,) = told.frames["kernel_events"].select("node", "code", "device", "observed_at").rows()
    assert row == ("gpu-1", 12028, "0000:86:00", datetime(2025, 2, 27, 15, 10, 2, tzinfo=UTC))
    assert told.frames["cluster_events"].is_empty()


def test_a_real_survey_names_both_ends_of_its_links(shared_data: Path):
    file = shared_data / "fabric" / "ibnetdiscover.txt"
    told = parsed("ibnetdiscover", file.read_bytes(), file.name)
    assert counts(told) == (9, 9, 0, 0)
    rows = told.frames["fabric_links"]
    hosts = rows.filter(pl.col("kind") == "host").sort("node")
    assert hosts.select("node", "device", "peer_node", "peer_port").rows() == [
        ("o0001", "HCA-1", "ib-i1l1s01", 10),
        ("o0002", "HCA-1", "ib-i1l1s01", 11),
        ("p0001", "HCA-1", "ib-i4l1s01", 35),
    ]
    assert rows["peer_guid"].null_count() == 2
