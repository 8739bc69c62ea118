"""Samples lie in their files as exact decimals where they are any, and come back bit for bit."""

import math
import struct
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lakes import at, bytes_of

from flows import warehouse
from flows.encoding import TRIED_FROM
from flows.lake import Lake
from transforms.metrics import BY_NAME
from transforms.scaling import EXACT, scaled
from transforms.tables import samples

TABLE = samples.GPU_SAMPLES
BEGAN = at("2026-03-02T07:00")


def bits(values):
    return [None if v is None else struct.pack("<d", v) for v in values]


def frame(hour=0, node="n", **columns):
    """Samples of one GPU, one a second."""
    length = len(next(iter(columns.values())))
    began = BEGAN + timedelta(hours=hour)
    known = {
        "cluster": ["c"] * length,
        "node": [node] * length,
        "gpu": [f"{node}/0"] * length,
        "gpu_instance": [""] * length,
        "observed_at": [began + timedelta(milliseconds=10 * i) for i in range(length)],
    } | columns
    return pl.DataFrame(
        {name: known.get(name, [None] * length) for name in TABLE.dtypes}, schema=TABLE.dtypes
    )


def kinds(lake, label="day=2026-03-02/hour=07"):
    (path,) = lake.partitions(TABLE, label).values()
    return {field.name: str(field.type) for field in pq.read_schema(path)}


doubles = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True),
    st.integers(-(2**70), 2**70).map(float),
    st.tuples(st.integers(-(2**53), 2**53), st.integers(0, 9)).map(lambda x: x[0] / 10 ** x[1]),
    st.sampled_from([0.0, -0.0, 0.1, 1e18, 2.0**53, float("nan"), float("-inf"), 5e-324]),
    st.just(struct.unpack("<d", struct.pack("<Q", 0x7FF8DEADBEEF0001))[0]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(doubles, max_size=20), st.sampled_from([None, "power_w", "energy_j"]))
@example([2.0**53 + 2, 0.5], None)
@example([-0.0], None)
def test_whole_numbers_divided_by_their_scale_are_the_values(values, name):
    found = scaled(np.array(values, np.float64), BY_NAME.get(name))
    if found is None:
        return
    again = [int(whole) / 10**found.places for whole in found.whole]  # Python divides exactly
    assert bits(again) == bits(values)
    assert all(abs(int(whole)) < 10**found.digits for whole in found.whole)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1), st.integers(0, 3))
def test_numbers_of_few_digits_are_always_scaled_and_by_no_more_than_they_need(wholes, places):
    values = np.array([whole / 10**places for whole in wholes])
    found = scaled(values)
    assert found
    needed = max(
        next(p for p in range(4) if whole % 10 ** (places - min(p, places)) == 0)
        for whole in wholes
    )
    assert found.places == needed


@pytest.mark.parametrize("odd", [-0.0, math.nan, math.inf, 1 / 3, 1e18, EXACT * 2.0])
def test_one_value_that_is_no_short_decimal_leaves_the_column_as_it_is(odd):
    values = np.array([0.5] * 40_000 + [odd])
    assert scaled(values) is None
    assert scaled(values[:-1]).places == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.none() | doubles, st.none() | doubles), min_size=1, max_size=30))
def test_any_doubles_come_back_bit_for_bit(tmp_path_factory, pairs):
    root = tmp_path_factory.mktemp("lake")
    power, energy = map(list, zip(*pairs, strict=True))
    lake = Lake(root)
    lake.merge(TABLE, frame(power_w=power, energy_j=energy))
    read = lake.read(TABLE)
    assert (bits(read["power_w"]), bits(read["energy_j"])) == (bits(power), bits(energy))
    (path,) = lake.files(TABLE)
    bare = pl.read_parquet(path)
    for name, told in (("power_w", power), ("energy_j", energy)):
        if any(value is not None for value in told):
            assert bits(bare[name].cast(pl.Float64)) == bits(told)
        else:
            assert name not in bare.columns


def test_files_of_many_shapes_are_one_table_to_every_reader(tmp_path):
    """Decimals of 9 and of 18 digits, of other scales, doubles, and no column at all."""
    rng = np.random.default_rng(5)
    count = TRIED_FROM + 904
    power = [
        np.round(rng.normal(600, 20, count), 3).tolist(),
        np.round(rng.normal(600, 20, count), 5).tolist(),
        np.round(rng.normal(600e6, 20, count), 3).tolist(),
        rng.normal(600, 20, count).tolist(),
        [None] * count,
    ]
    lake = Lake(tmp_path)
    for hour, values in enumerate(power):
        lake.merge(TABLE, frame(hour, power_w=values, xid_code=[0.0] * count))
    told = [kinds(lake, f"day=2026-03-02/hour={7 + h:02}").get("power_w") for h in range(5)]
    assert told == ["decimal128(9, 3)", "decimal128(9, 5)", "decimal128(18, 3)", "double", None]
    whole = bits(value for values in power for value in values)
    assert bits(lake.read(TABLE)["power_w"]) == whole
    assert bits(lake.read(TABLE, columns={"power_w"})["power_w"]) == whole
    warehouse.refresh(tmp_path)
    ask = "SELECT power_w, xid_code, day, hour FROM gpu_samples ORDER BY observed_at"
    for is_sandbox in (False, True):
        answer = warehouse.query(tmp_path, ask, is_sandbox=is_sandbox)
        assert bits(answer["power_w"]) == whole
        assert answer["xid_code"].to_list() == [0.0] * len(whole)
        assert answer["hour"].unique().sort().to_list() == [7, 8, 9, 10, 11]
    by_hour = "SELECT hour, count(*) AS n FROM gpu_samples WHERE power_w < 1e6 GROUP BY 1"
    assert sorted(warehouse.query(tmp_path, by_hour).rows()) == [(h, count) for h in (7, 8, 10)]


def test_more_shapes_than_are_planned_for_one_by_one_are_read_as_well(tmp_path):
    lake = Lake(tmp_path)
    values = [round(600 + 10 ** -(h % 6), h % 6) + (1e9 if h > 5 else 0) for h in range(12)]
    for hour, value in enumerate(values):
        lake.merge(TABLE, frame(hour, power_w=[value]))
    warehouse.refresh(tmp_path)
    ask = "SELECT power_w FROM gpu_samples ORDER BY observed_at"
    assert warehouse.query(tmp_path, ask)["power_w"].to_list() == values


def test_each_column_has_the_encoding_that_suits_it(tmp_path):
    rng = np.random.default_rng(6)
    count = 40_000
    lake = Lake(tmp_path)
    lake.merge(
        TABLE,
        frame(
            power_w=np.round(rng.normal(600, 20, count), 3),
            energy_j=np.cumsum(np.full(count, 9.0)) + rng.integers(0, 2, count),
            sm_clock_mhz=np.where(rng.random(count) < 0.9, 1980.0, 1965.0),
            xid_code=np.zeros(count),
        ),
    )
    (path,) = lake.files(TABLE)
    group = pq.ParquetFile(path).metadata.row_group(0)
    found = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert "BYTE_STREAM_SPLIT" in found["power_w"].encodings
    assert "DELTA_BINARY_PACKED" in found["energy_j"].encodings
    assert "DELTA_BINARY_PACKED" in found["observed_at"].encodings
    assert "RLE_DICTIONARY" in found["sm_clock_mhz"].encodings
    assert found["xid_code"].total_compressed_size < 200
    assert found["power_w"].physical_type == "INT32"
    assert found["energy_j"].physical_type == "INT64"
    assert found["power_w"].total_compressed_size < 2.4 * count


def test_late_samples_make_the_same_bytes_as_if_they_had_come_in_time(tmp_path):
    rng = np.random.default_rng(7)
    count = TRIED_FROM * 3
    rows = frame(power_w=np.round(rng.normal(600, 20, count), 3))
    late = rng.random(count) < 0.01
    Lake(tmp_path / "once").merge(TABLE, rows)
    assert Lake(tmp_path / "twice").merge(TABLE, rows.filter(~late)) == count - late.sum()
    assert Lake(tmp_path / "twice").merge(TABLE, rows.filter(late)) == late.sum()
    assert bytes_of(tmp_path / "once", "observed") == bytes_of(tmp_path / "twice", "observed")
