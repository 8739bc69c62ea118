"""Signs before failures and the checks that raise alarms: what they are worth, without kidding."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from lakes import rows
from test_causes import T0, asked, exposure, failed, fleet

from transforms.catalogue import explain, may_foretell, sxid_frame, xid_frame
from transforms.reliability import precursors as d5
from transforms.studies import RefusalError
from transforms.studies.detectors import detectors
from transforms.studies.precursors import precursors
from transforms.tables import derived as d
from transforms.tables import observed as o
from transforms.tables.hourly import SAMPLE_SIGNALS

DAY = 86_400
THERE = fleet(nodes=80)
WATCHED = exposure(THERE, days=56)


def kernel(*events) -> pl.DataFrame:
    """Events are (seconds, node, kind, code)."""
    rows = [
        {"cluster": "c", "node": f"n{node}", "observed_at": T0 + timedelta(seconds=float(s))}
        | {"kind": kind, "code": code, "device": "0000:3b:00", "detail": "", "repeat": 0}
        | {"clock": "stamped", "file": "f", "line_no": number}
        for number, (s, node, kind, code) in enumerate(events, 1)
    ]
    full = [dict.fromkeys(o.KERNEL_EVENTS.dtypes) | row for row in rows]
    return pl.DataFrame(full, schema=o.KERNEL_EVENTS.dtypes)


def reports(*events, reporter="gpud", level="critical") -> pl.DataFrame:
    """Events are (seconds, node)."""
    rows = [
        {"cluster": "c", "node": f"n{node}", "observed_at": T0 + timedelta(seconds=float(s))}
        | {"reporter": reporter, "object": "", "reason": "GPULost", "code": 0, "device": ""}
        | {"detail": "", "level": level, "file": "f", "line_no": number}
        for number, (s, node) in enumerate(events, 1)
    ]
    full = [dict.fromkeys(o.CLUSTER_EVENTS.dtypes) | row for row in rows]
    return pl.DataFrame(full, schema=o.CLUSTER_EVENTS.dtypes)


def drains(*spells) -> pl.DataFrame:
    """Spells are (seconds, node, reason)."""
    rows = [
        {"cluster": "c", "node": f"n{node}", "began": T0 + timedelta(seconds=float(s))}
        | {"state": "DRAIN", "reason": reason, "file": "f", "line_no": number}
        for number, (s, node, reason) in enumerate(spells, 1)
    ]
    full = [dict.fromkeys(o.NODE_STATES.dtypes) | row for row in rows]
    return pl.DataFrame(full, schema=o.NODE_STATES.dtypes)


EMPTY = {
    "bmc_events": o.BMC_EVENTS.empty(),
    "cluster_events": o.CLUSTER_EVENTS.empty(),
    "sample_signals": SAMPLE_SIGNALS.empty(),
}
PLACE = {"exposure": WATCHED, "fleet": THERE}


def foretold(events, hits, there=THERE, watched=WATCHED, **options) -> pl.DataFrame:
    return precursors(
        asked(**options),
        kernel_events=kernel(*events),
        **EMPTY,
        **failed(*hits),
        exposure=watched,
        fleet=there,
    )


def some(rng, count, nodes=80):
    return [(float(rng.uniform(0, 56 * DAY)), int(rng.integers(nodes))) for _ in range(count)]


def test_a_sign_that_foretells_is_told_with_its_lead_and_its_price():
    rng = np.random.default_rng(1)
    remaps = some(rng, 60)
    # Two of three remaps are followed by a failure, a day later.
    hits = [(at + DAY, node) for at, node in remaps[:40]] + some(rng, 30)
    found = foretold([(at, node, "xid", 63) for at, node in remaps], hits)
    (row,) = found.to_dicts()
    assert row["sign"] == "xid 63: row remap"
    assert row["verdict"] == "foretells failures"
    assert row["ratio_lo"] > 5
    assert row["adjusted_ratio"] == pytest.approx(row["ratio"], rel=0.3)
    assert 20 < row["lead_hours_median"] < 48
    assert 0.5 < row["precision"] < 0.8
    assert row["failures"] + row["failures_without"] == len(hits) - sum(at + DAY > 56 * DAY for at, _ in remaps[:40])  # fmt: skip
    assert row["node_days"] + row["node_days_without"] == 80 * 56
    assert row["alarms_per_node_month"] == pytest.approx(row["episodes"] / (80 * 56) * 30.4375)


def signals(*events) -> pl.DataFrame:
    """Events are (seconds, node, kind, whether it went on from before)."""
    told = [
        {"cluster": "c", "node": f"n{node}", "kind": kind, "device": "GPU-a", "is_continued": on}
        | {"metric": "m", "began": T0 + timedelta(seconds=float(s))}
        for s, node, kind, on in events
    ]
    return rows(SAMPLE_SIGNALS, *told)


def test_what_samples_show_foretells_by_its_episodes_and_xids_are_the_logs_business():
    hot = [(k * 3 * DAY, k, "thermal_slowdown", False) for k in range(10)]
    still_hot = [(at + 3600, node, kind, True) for at, node, kind, _ in hot]
    xids = [(at, node, "xid", False) for at, node, *_ in hot]
    found = precursors(
        asked(),
        kernel_events=kernel(),
        **EMPTY | {"sample_signals": signals(*hot, *still_hot, *xids)},
        **failed(*[(at + 2 * 3600, node) for at, node, *_ in hot]),
        **PLACE,
    )
    (row,) = found.to_dicts()
    assert (row["sign"], row["signs"], row["failures"]) == ("samples: thermal_slowdown", 10, 10)
    assert row["lead_hours_median"] == pytest.approx(2)


def test_signs_without_a_link_to_failures_are_told_no_oftener_than_promised():
    rng = np.random.default_rng(2)
    told = 0
    for _ in range(60):
        events = [(at, node, "xid", 92) for at, node in some(rng, 60)]
        told += "foretells failures" in foretold(events, some(rng, 120))["verdict"].to_list()
    assert told <= 8


def test_time_before_the_sign_is_not_under_its_shadow():
    """A node that lives long enough to show a sign has lived without it: immortal time."""
    rng = np.random.default_rng(3)
    late = [(50 * DAY + k, k, "xid", 63) for k in range(40)]
    (row,) = foretold(late, some(rng, 100)).to_dicts()
    assert row["node_days"] == pytest.approx(40 * 6, abs=0.1)


def test_what_is_part_of_a_failure_does_not_foretell_it():
    burst = [(k * 3 * DAY + 5, k, "xid", 63) for k in range(10)]
    hits = [(k * 3 * DAY, k) for k in range(10)]
    members = failed(*hits)
    ends = pl.col("began") + timedelta(seconds=60)
    frames = members | {"incidents": members["incidents"].with_columns(ended=ends)}
    with pytest.raises(RefusalError, match="of 0 kinds seen"):
        precursors(asked(), kernel_events=kernel(*burst), **EMPTY, **frames, **PLACE)


def test_a_sign_in_the_failures_own_burst_comes_before_its_root():
    events = [(k * 3 * DAY, k, "xid", 63) for k in range(10)]
    (row,) = foretold(events, [(k * 3 * DAY + 90, k) for k in range(10)]).to_dicts()
    assert row["failures"] == 10
    assert row["lead_hours_median"] == pytest.approx(90 / 3600, rel=1e-3)
    (strict,) = foretold(events, [(k * 3 * DAY + 90, k) for k in range(10)], lead=5).to_dicts()
    assert (strict["recall"], strict["failures"]) == (0, 10)


def test_a_bad_hall_with_chatty_boards_is_no_sign():
    """Both come oftener in one hall; within a hall they have nothing to do with each other."""
    rng = np.random.default_rng(4)
    events = [(at, node, "edac", 0) for at, node in some(rng, 150, nodes=40)]
    edac = kernel(*events).with_columns(detail=pl.lit("CE memory read error"))
    (row,) = precursors(
        asked(), kernel_events=edac, **EMPTY, **failed(*some(rng, 300, nodes=40)), **PLACE
    ).to_dicts()
    assert row["ratio_lo"] > 1
    assert row["adjusted_lo"] < 1 < row["adjusted_hi"]
    assert row["verdict"] == "no evidence that it foretells failures"


def test_rare_signs_and_lakes_without_failures_are_refused():
    with pytest.raises(RefusalError, match="5 episodes"):
        foretold([(k * DAY, k, "xid", 63) for k in range(4)], [(5, 5)])
    none = {"incidents": d.INCIDENTS.empty(), "incident_members": d.INCIDENT_MEMBERS.empty()}
    with pytest.raises(RefusalError, match="no failure to foretell"):
        precursors(asked(), kernel_events=kernel(), **EMPTY, **none, **PLACE)


def test_pooling_over_strata_gives_the_textbook_ratio():
    # Two strata of ratio 2 each; pooled without regard to them it would be 3.3.
    assert d5.mantel_haenszel([20, 2], [100, 100], [1, 10], [10, 1000])[0] == pytest.approx(2)
    low, high = d5.mantel_haenszel([20], [100], [10], [100])[1:]
    assert (low, high) == pytest.approx((2 / 2.1354, 2 * 2.1354), rel=1e-3)  # log error 0.3873
    assert np.isnan(d5.mantel_haenszel([0], [100], [10], [100])[0])


def scored(hits, agents=(), spells=(), more=None, **options) -> dict[str, dict]:
    frames = failed(*hits) | (more or {})
    found = detectors(
        asked(**options),
        cluster_events=reports(*agents),
        bmc_events=o.BMC_EVENTS.empty(),
        node_states=drains(*spells),
        **frames,
        **PLACE,
    )
    return {row["reporter"]: row for row in found.to_dicts()}


HITS = [(10 * DAY * (k + 1) / 4, k) for k in range(8)]


def test_a_detector_is_scored_by_what_it_found_and_what_it_made_up():
    early = [(at - 600, node) for at, node in HITS[:4]]
    late = [(at + 300, node) for at, node in HITS[4:6]]
    wrong = [(DAY * k, 70) for k in (1, 5, 9)]
    row = scored(HITS, agents=early + late + wrong)["gpud"]
    assert (row["alarms"], row["alarms_hit"]) == (9, 6)
    assert (row["failures"], row["found"], row["found_early"]) == (8, 6, 4)
    assert row["precision"] == pytest.approx(6 / 9)
    assert row["recall"] == pytest.approx(6 / 8)
    assert row["recall_lo"] < 0.75 < row["recall_hi"]
    assert row["lead_minutes_median"] == pytest.approx(10)
    assert row["false_alarms_per_node_month"] == pytest.approx(3 / (80 * 56 / 30.4375))


def test_a_check_is_not_right_about_what_it_alone_said():
    hits = failed(*HITS, kind="node_state", code=0)
    own = hits["incident_members"].with_columns(
        source_table=pl.lit("node_states").cast(d.INCIDENT_MEMBERS.dtypes["source_table"])
    )
    spells = [(at, node, "NHC: check_gpu failed") for at, node in HITS]
    row = scored(HITS, spells=spells, more={"incident_members": own})["scheduler: nhc"]
    assert (row["failures"], row["alarms_hit"], row["recall"]) == (0, 0, None)
    stopped = hits["incidents"].with_columns(interrupts=pl.lit(1, pl.UInt32))
    seen = {"incident_members": own, "incidents": stopped}
    row = scored(HITS, spells=spells, more=seen)["scheduler: nhc"]
    assert (row["failures"], row["found"], row["precision"]) == (8, 8, 1)


def test_an_alarm_that_repeats_is_one():
    row = scored(HITS, agents=[(40 * DAY + 60 * k, 75) for k in range(50)])["gpud"]
    assert (row["alarms"], row["alarms_hit"]) == (1, 0)


def test_without_alarms_there_is_no_score():
    with pytest.raises(RefusalError, match="no health agent"):
        scored(HITS)


KINDS_SEEN = (
    "xid",
    "sxid",
    "edac",
    "aer",
    "mce",
    "nvme",
    "fs",
    "panic",
    "oom",
    "link_up",
    "signal",
)
DETAILS = (
    "pid=1, name=python, BER_EVENT on link 3",
    "Ch 00000001 caused by previous Xid 63",
    "CE memory read error",
    "UE memory read error",
    "Corrected error received",
    "Bank 5: 9c00000000000000",
    "blocked for more than 120 seconds",
    "(0x00000000 0x04000000 0x00000001 0x00000000 0x00000000 0x00000000)",
    "",
)


def test_the_cheap_look_keeps_all_that_the_thorough_one_calls_a_precursor():
    """Every kind, with every number of the catalogue and one that is not, and every detail."""
    numbers = {"xid": [*xid_frame()["code"], 9999], "sxid": [*sxid_frame()["code"], 99999]}
    events = pl.concat(
        pl.DataFrame({"kind": kind, "code": numbers.get(kind, [0, 7])}) for kind in KINDS_SEEN
    ).join(pl.DataFrame({"detail": DETAILS}), how="cross")
    events = events.cast({"kind": o.KERNEL_EVENTS.dtypes["kind"], "code": pl.Int32})
    whole = explain(events).filter(pl.col("counts") == "precursor")
    quick = explain(may_foretell(events))
    assert whole.height > 20
    assert quick.height < events.height / 3
    assert quick.filter(pl.col("counts") == "precursor").rows() == whole.rows()
