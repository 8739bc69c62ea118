"""Inventories: any column order and names, and no row lost to a bad one."""

import csv
import random
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.sources.base import Origin
from transforms.sources.inventory import GPUS_SOURCE, NODES_SOURCE

ORIGIN = Origin(file="input", modified=datetime(2026, 3, 15, tzinfo=UTC), cluster="east")
FLEET = [
    {"node": "gpu-1", "gpus": "8", "rack": "r1, left", "valid_from": "2026-01-15", "valid_to": ""},
    {"node": "gpu-2", "gpus": "8", "rack": 'the "new" one', "valid_from": "", "valid_to": ""},
    {"node": "gpu-3", "gpus": "4", "rack": "two\nlines", "valid_from": "2026-01-15T12:00:00Z", "valid_to": "2026-02-01"},
]  # fmt: skip


def written(rows: list[dict[str, str]], columns: list[str], separator: str = ",") -> bytes:
    out = StringIO()
    writer = csv.DictWriter(out, columns, delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("seed", range(3))
def test_columns_stand_in_any_order_behind_any_separator(seed, separator):
    columns = random.Random(seed).sample(list(FLEET[0]), len(FLEET[0]))
    parsed = NODES_SOURCE.parse(written(FLEET, columns, separator), ORIGIN)
    assert parsed.frames["nodes"].sort("node").select(
        "cluster", "node", "gpus", "rack", "valid_from", "valid_to"
    ).rows() == [
        ("east", "gpu-1", 8, "r1, left", datetime(2026, 1, 15, tzinfo=UTC), None),
        ("east", "gpu-2", 8, 'the "new" one', datetime(1970, 1, 1, tzinfo=UTC), None),
        (
            "east",
            "gpu-3",
            4,
            "two\nlines",
            datetime(2026, 1, 15, 12, tzinfo=UTC),
            datetime(2026, 2, 1, tzinfo=UTC),
        ),
    ]
    assert parsed.rejected == 0


def test_our_own_name_wins_over_another_for_the_same_column():
    data = b"switch,leaf_switch,hostname,node,gpus\nnot-me,leaf-1,not-me,gpu-1,8\n"
    nodes = NODES_SOURCE.parse(data, ORIGIN).frames["nodes"]
    assert nodes.select("leaf_switch", "node").rows() == [("leaf-1", "gpu-1")]


def test_the_files_cluster_wins_over_the_callers():
    data = b"cluster,node,gpus\nwest,gpu-1,8\n,gpu-2,8\n"
    nodes = NODES_SOURCE.parse(data, ORIGIN).frames["nodes"].sort("node")
    assert nodes["cluster"].to_list() == ["west", "east"]


def test_line_numbers_count_lines_not_rows():
    data = b'# a comment\n\nnode,gpus,rack\ngpu-1,8,"two\nlines"\ngpu-2,many,r1\n'
    parsed = NODES_SOURCE.parse(data, ORIGIN)
    assert parsed.frames["nodes"]["line_no"].to_list() == [4]
    assert parsed.rejects.select("line_no", "text").rows() == [(6, "gpu-2,many,r1")]


def test_a_field_too_long_for_csv_costs_its_own_row_only():
    data = f"node,gpus,rack\ngpu-1,8,r1\ngpu-2,8,{'x' * 140_000}\ngpu-3,8,r1\n".encode()
    parsed = NODES_SOURCE.parse(data, ORIGIN)
    assert parsed.frames["nodes"]["node"].to_list() == ["gpu-1", "gpu-3"]
    assert parsed.rejects["line_no"].to_list() == [3]
    assert parsed.rejects["reason"].item().startswith("not CSV: ")


def test_gpus_of_one_node_need_no_node_column_when_the_caller_names_it():
    origin = Origin(file="x", modified=ORIGIN.modified, node="gpu-9")
    gpus = GPUS_SOURCE.parse(b"serial,slot\n123,0\n", origin).frames["gpus"]
    assert gpus.select("node", "serial", "slot").rows() == [("gpu-9", "123", 0)]


@pytest.mark.parametrize(
    ("head", "nodes", "gpus"),
    [
        ("node,gpus,rack\n", 2, 0),
        ("Hostname;GPU Count\n", 2, 0),
        ("serial,node,slot\n", 0, 2),
        ("uuid\tnode\n", 0, 2),
        ("node,rack\n", 0, 0),
        ("index, name, uuid, serial, temperature.gpu, power.draw [W]\n", 0, 0),
        ("Cluster|NodeName|TimeStart\n", 0, 0),
        ("node\n", 0, 0),
        ("", 0, 0),
    ],
)
def test_the_header_tells_whose_inventory_it_is(head, nodes, gpus):
    found = NODES_SOURCE.sniff(head, "fleet.csv"), GPUS_SOURCE.sniff(head, "fleet.csv")
    assert found == (nodes, gpus)


@settings(max_examples=80, deadline=None)
@given(
    cells=st.lists(
        st.lists(st.sampled_from(["gpu-1", "8", "-1", "", '"', "2026-01-15", "0000:9b:00", "x\0"]), min_size=2, max_size=5),
        max_size=8,
    )
)  # fmt: skip
def test_every_row_is_accepted_or_refused_once(cells):
    for source, header in (
        (NODES_SOURCE, "node,gpus,valid_from"),
        (GPUS_SOURCE, "node,serial,pci"),
    ):
        text = "\n".join([header, *(",".join(row) for row in cells)])
        parsed = source.parse(text.encode(), ORIGIN)
        assert parsed.accepted + parsed.rejected == parsed.records
        assert parsed.rejects.height == parsed.rejected
        assert parsed.rejects["line_no"].is_unique().all()
