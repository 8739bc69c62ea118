"""How far failures reach: every measure on a small fleet by hand."""

from datetime import date, timedelta

import polars as pl
import pytest
from lakes import rows
from test_causes import T0, asked, failed, fleet

from transforms.studies import RefusalError
from transforms.studies.blast import blast
from transforms.tables import derived as d

FIRST = date(2026, 3, 2)


def spread(**options) -> pl.DataFrame:
    hits = failed((0, 1), (100_000, 2), (200_000, 40, 41, 42))
    named = pl.Series([["GPU-a"], [], []], dtype=pl.List(pl.String))
    broken = hits["incidents"].with_columns(gpus=named)
    stop = {"cluster": "c", "run": "r", "day": FIRST, "job_id": "1", "state": "FAILED"}
    stop |= {"planned": False, "cause": "GPU", "component": "lost", "co_causes": [], "nodes": 32}
    stop |= {"submitted": T0, "detected_at": T0, "decided_at": T0, "confidence": 1.0}
    out = {"cluster": "c", "day": FIRST, "planned": False}
    time = {"day": FIRST, "cluster": "c", "run": "r", "leaf": "step_lost", "cause": "GPU"}
    time |= {"provisional": False}
    return blast(
        asked(**options),
        incidents=broken,
        interruptions=rows(
            d.INTERRUPTIONS,
            stop | {"failed_at": T0, "incident": "i0", "gpus": 256},
            stop | {"failed_at": T0 + timedelta(days=1), "incident": "i2", "gpus": 64},
            stop | {"failed_at": T0 + timedelta(days=2), "incident": None, "gpus": 512},
        ),
        repairs=rows(
            d.REPAIRS,
            out | {"node": "n1", "down_from": T0, "incident": "i0"},
            *(out | {"node": f"n{k}", "down_from": T0, "incident": "i2"} for k in (40, 41, 42)),
            out | {"node": "n7", "down_from": T0, "incident": None},
        ),
        gpu_time=rows(
            d.GPU_TIME,
            time | {"incident": "i0", "gpu_ms": 90 * 3_600_000},
            time | {"incident": "i0", "leaf": "hang", "gpu_ms": 10 * 3_600_000},
            time | {"incident": "", "gpu_ms": 10**12},
        ),
        fleet=fleet(),
    )


def test_each_measure_is_of_the_incidents_own_gpus():
    (whole, *parts) = spread().to_dicts()
    assert (whole["class"], whole["width"], whole["incidents"], whole["share"]) == (
        "GPU",
        "any",
        3,
        1,
    )
    assert whole["gpus_failed_mean"] == pytest.approx((1 + 8 + 24) / 3)
    assert whole["gpus_drained_mean"] == pytest.approx((8 + 0 + 24) / 3)
    assert whole["gpus_stopped_mean"] == pytest.approx((256 + 0 + 64) / 3)
    assert (whole["gpu_hours_lost"], whole["gpu_hours_lost_mean"]) == pytest.approx((100, 100 / 3))
    assert whole["gpu_hours_lost_p95"] == pytest.approx(90)
    assert whole["amplification"] == pytest.approx(320 / 33)
    assert [part["width"] for part in parts] == ["one GPU", "one node", "several nodes"]
    # A failure's expected cost is its share by its cost, over the widths (methods X43).
    costs = sum(part["share"] * part["gpu_hours_lost_mean"] for part in parts)
    assert costs == pytest.approx(whole["gpu_hours_lost_mean"])
    assert parts[0]["amplification"] == 256


def test_components_stand_apart_where_asked():
    assert spread(by="component")["component"].unique().to_list() == ["lost"]


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(RefusalError, match="cannot group by moon"):
        spread(by="moon")
    with pytest.raises(RefusalError, match="no incident counted"):
        spread(klass="Host")
