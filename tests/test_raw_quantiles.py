"""Exact quantiles straight from the files are those that SQL finds in the same samples."""

import json
from datetime import timedelta

import numpy as np
import pytest
from lakes import at
from test_sample_files import BEGAN, TABLE, frame

from flows import cli, warehouse
from flows.errors import CallError
from flows.lake import Lake
from flows.raw_quantiles import raw_quantiles
from transforms.tables.samples import GPU_SAMPLES

assert TABLE is GPU_SAMPLES
DAY = at("2026-03-02")
RNG = np.random.default_rng(8)
COUNT = 5_000


def holes(values):
    return [None if n % 7 == 3 else value for n, value in enumerate(values)]


SHAPES = {
    "short decimals": np.round(RNG.normal(600, 20, COUNT), 3).tolist(),
    "with gaps": holes(np.round(RNG.normal(600, 20, COUNT), 3).tolist()),
    "long decimals": np.round(RNG.normal(600e6, 20, COUNT), 3).tolist(),
    "doubles": RNG.normal(600, 20, COUNT).tolist(),
    "doubles with gaps": holes(RNG.normal(600, 20, COUNT).tolist()),
    "one value": [650.5] * COUNT,
    "an outlier": [600.25] * (COUNT - 1) + [1e11],
    "few": [3.5, 1.25],
    "none": [None] * 5,
}


def by_sql(root, by, orders, where="true"):
    """Of each hour or day the count and quantile_disc, as the view has the samples."""
    return warehouse.query(
        root,
        f"""SELECT date_trunc('{by}', observed_at) AS at, count(power_w) AS n,
            quantile_disc(power_w, [{", ".join(map(repr, orders))}]) AS q
        FROM gpu_samples WHERE {where} GROUP BY 1 HAVING n > 0 ORDER BY 1""",
    ).rows()


def told(found):
    return [(begin, samples, list(values)) for begin, samples, *values in found.rows()]


@pytest.mark.parametrize("by", ["hour", "day"])
@pytest.mark.parametrize("shapes", [[name] for name in SHAPES] + [list(SHAPES)], ids="+".join)
def test_they_are_those_of_sql_however_the_samples_lie(tmp_path, shapes, by):
    lake = Lake(tmp_path)
    for number, name in enumerate(shapes):
        lake.merge(TABLE, frame(number, power_w=SHAPES[name], xid_code=[0.0] * len(SHAPES[name])))
    orders = [0.0, 0.07, 0.5, 0.95, 0.999, 1.0]
    found = raw_quantiles(
        tmp_path, "power_w", DAY, DAY + timedelta(days=1), orders, "", by == "day"
    )
    assert told(found) == by_sql(tmp_path, by, orders)
    assert found.columns[2:] == ["p0", "p7", "p50", "p95", "p99.9", "p100"]


def test_what_came_late_and_lies_beside_its_hour_counts(tmp_path, monkeypatch):
    from flows import lates

    monkeypatch.setattr(lates, "ROWS_WORTH_IT", 10)
    lake = Lake(tmp_path)
    lake.merge(TABLE, frame(node="a", power_w=SHAPES["short decimals"]))
    lake.merge(TABLE, frame(node="b", power_w=[1.5, 2.5]))
    lake.merge(TABLE, frame(node="c", power_w=[1 / 3]))
    assert len(lake.files(TABLE)) > 1
    found = raw_quantiles(tmp_path, "power_w", DAY, DAY + timedelta(days=1), [0.0, 0.5])
    assert told(found) == by_sql(tmp_path, "hour", [0.0, 0.5])
    assert found["samples"].to_list() == [COUNT + 3]


def test_one_cluster_and_some_days_alone(tmp_path):
    lake = Lake(tmp_path)
    for number, cluster in enumerate("abab"):
        rows = frame(24 * number, node=cluster, power_w=SHAPES["short decimals"][number:])
        lake.merge(TABLE, rows.with_columns(cluster=rows["node"]))
    ends = DAY + timedelta(days=1), DAY + timedelta(days=4)
    found = raw_quantiles(tmp_path, "power_w", *ends, [0.5], "a")
    inside = f"cluster = 'a' AND observed_at >= '{ends[0]}' AND observed_at < '{ends[1]}'"
    assert told(found) == by_sql(tmp_path, "hour", [0.5], inside)
    assert found["hour_at"].to_list() == [BEGAN.replace(minute=0) + timedelta(days=2)]


@pytest.mark.parametrize(
    ("metric", "orders", "what"), [("powr", [0.5], "no metric"), ("power_w", [95.0], "from 0 to 1")]
)
def test_a_wrong_call_is_said(tmp_path, metric, orders, what):
    with pytest.raises(CallError, match=what):
        raw_quantiles(tmp_path, metric, DAY, DAY, orders)


def test_the_command_prints_them(tmp_path, capsys):
    lake = Lake(tmp_path)
    lake.merge(TABLE, frame(power_w=[3.0, 1.0, 2.0]))
    words = ["quantiles", "power_w", "--lake", str(tmp_path), "--format", "json"]
    assert cli.main([*words, "--orders", "0,0.5", "--by", "day"]) == 0
    row = {"day_at": "2026-03-02T00:00:00Z", "samples": 3, "p0": 1.0, "p50": 2.0}
    assert json.loads(capsys.readouterr().out) == [row]
    assert cli.main([*words, "--since", "2027-01-01"]) == 1
    for wrong in (["--orders", "half"], ["--by", "week"], ["--lake", str(tmp_path / "none")]):
        assert cli.main([*words, *wrong]) == 2
        assert capsys.readouterr().err.startswith("faultledger: ")
