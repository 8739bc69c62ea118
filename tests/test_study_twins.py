"""What studies take from arrays is what joins and row-by-row looks at the same frames give."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from node_frames import START, fleet_of
from polars.testing import assert_frame_equal

from transforms.catalogue import explain
from transforms.precursor_signs import ALSO, foretelling
from transforms.studies.gpu_spells import NODE, SPELL, days_at_risk
from transforms.tables import observed as o
from transforms.tables.hourly import SAMPLE_SIGNALS


def days_by_join(found: pl.DataFrame, risk: pl.DataFrame) -> pl.DataFrame:
    """Every spell against every day of its node, cut to what it had of each."""
    day = pl.col("day").cast(pl.Datetime("us", "UTC"))
    until = pl.min_horizontal("valid_to", day + timedelta(days=1))
    inside = (until - pl.max_horizontal("valid_from", day)).dt.total_microseconds() / 86.4e9
    spent = (
        found.join(risk.select(*NODE, "day", "node_days"), on=NODE)
        .group_by(SPELL)
        .agg((pl.col("node_days") * inside.clip(0, 1)).sum())
    )
    return found.select(*SPELL, "valid_to").join(spent, on=SPELL, how="left").fill_null(0.0)


@pytest.mark.parametrize("seed", range(4))
def test_days_of_spells_are_those_of_a_join(seed):
    rng = np.random.default_rng(seed)
    risk = fleet_of(rng.integers(1, 30, 8), 30).with_columns(node_days=pl.lit(1.0))
    risk = risk.filter(pl.Series(rng.random(risk.height) < 0.9)).sample(fraction=1.0, shuffle=True, seed=seed)  # fmt: skip
    risk = risk.with_columns(node_days=pl.Series(rng.random(risk.height).round(3)))
    begin = rng.uniform(-5, 33, 60)
    lasted = rng.choice([0.0, 0.2, 1, 3.5, 40], 60)
    at = [START + timedelta(days=b) for b in begin]
    ends = [None if k % 7 == 0 else t + timedelta(days=x) for k, (t, x) in enumerate(zip(at, lasted, strict=True))]  # fmt: skip
    found = pl.DataFrame(
        {
            "cluster": "c",
            "node": [f"n{k:05}" for k in rng.integers(0, 10, 60)],
            "place": "0000:1b:00",
            "serial": [f"S{k}" for k in range(60)],
            "valid_from": at,
            "valid_to": ends,
        },
        schema_overrides={"valid_to": pl.Datetime("us", "UTC")},
    )
    assert_frame_equal(days_at_risk(found, risk), days_by_join(found, risk), abs_tol=1e-12)


SAID = (
    ("xid", 63, "Row Remapper: New row marked for remapping"),
    ("xid", 92, "High single-bit ECC error rate"),
    ("xid", 13, "Graphics SM Warp Exception"),
    ("xid", 145, "RLW_REMOTE fatal"),
    ("xid", 149, "NETIR_BER_EVENT nonfatal"),
    ("xid", 45, "Ch 00000001 caused by previous Xid 63"),
    ("xid", 45, "Ch 00000001"),
    ("sxid", 12028, "egress nonposted"),
    ("sxid", 99999, "of nobody"),
    ("edac", 0, "CE memory read error on CPU_SrcID#0"),
    ("edac", 0, "UE memory read error"),
    ("aer", 0, "Corrected error received: Physical Layer"),
    ("aer", 0, "Uncorrected (Fatal)"),
    ("mce", 0, "CPU 3: temperature above threshold"),
    ("link_down", 0, "Lost carrier"),
    ("link_up", 0, "Gained carrier"),
)


def test_signs_of_wordings_are_those_of_every_record():
    rng = np.random.default_rng(1)
    said = [SAID[k] for k in rng.integers(0, len(SAID), 400)]
    kind, code, detail = zip(*said, strict=True)
    rows = pl.DataFrame(
        {
            "cluster": rng.choice(["c", ""], 400),
            "node": rng.choice(["n1", "n2", ""], 400),
            "observed_at": [START + timedelta(minutes=int(k)) for k in rng.integers(0, 9999, 400)],
            "kind": kind,
            "code": code,
            "detail": detail,
        }
    ).cast({"kind": o.KERNEL_EVENTS.dtypes["kind"], "code": pl.Int32})
    known = pl.DataFrame({"cluster": ["c"], "node": ["n1"], "valid_from": [START]})
    none = (o.BMC_EVENTS.empty(), o.CLUSTER_EVENTS.empty(), SAMPLE_SIGNALS.empty())
    told = foretelling(rows, *none, known)
    name = pl.col("kind").cast(pl.String)
    plain = (
        explain(rows)
        .filter((pl.col("counts") == "precursor") | name.is_in(ALSO), pl.col("node") != "")
        .select(
            cluster=pl.when((pl.col("cluster") == "") & (pl.col("node") == "n1"))
            .then(pl.lit("c"))
            .otherwise("cluster"),
            node="node",
            at="observed_at",
            sign=pl.when(pl.col("code") > 0)
            .then(pl.format("{} {}: {}", name, "code", pl.coalesce("name", "component")))
            .otherwise(pl.format("{}: {}", name, "component")),
        )
    )
    columns = ["cluster", "node", "at", "sign"]
    assert told.height > 100
    assert_frame_equal(told.sort(columns), plain.sort(columns))
