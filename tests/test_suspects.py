"""The right nodes to pull: planted lemons are found, luck is not, and a lake answers for its own."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from node_frames import FIRST, START, fleet_of, gpu, hits_of, incidents_at, some
from scipy import stats

from transforms.mtbf import ALL
from transforms.shrinkage import Prior, posterior, posteriors
from transforms.studies import Asked, RefusalError
from transforms.studies.lemons import PULL, QUIET, RETEST, tiers
from transforms.studies.signals import fisher
from transforms.studies.suspects import STUDY, suspects
from transforms.tables import derived as d
from transforms.tables import observed as o


def frames(exposure: pl.DataFrame, incidents: pl.DataFrame, **more) -> dict[str, pl.DataFrame]:
    failures = (
        incidents.filter("counts")
        .group_by(d.FAILURES.key)
        .agg(pl.len().cast(pl.UInt32).alias("failures"))
        .select(d.FAILURES.dtypes.names())
    )
    empty = {table.name: table.empty() for table in STUDY.reads}
    return empty | {"exposure": exposure, "incidents": incidents, "failures": failures} | more


def asked(**options) -> Asked:
    named = {k: options.pop(k) for k in ("clock", "definition", "klass", "level") if k in options}
    return Asked(
        **({"clock": "allocated"} | named), options={k: str(v) for k, v in options.items()}
    )


def test_x8_many_units_at_once_are_drawn_as_one_is(golden):
    x, prior = golden["X8_gamma_poisson"], Prior(2, 300)
    found = posteriors(prior, np.array([0, 4]), np.array([28.0, 28.0]))
    want = {"mean": "post_mean", "surely": "post_lo5", "p_above": "p_gt_3x", "weight": "shrink_weight"}  # fmt: skip
    for ours, theirs in want.items():
        assert getattr(found, ours)[1] == pytest.approx(x[theirs], rel=1e-9)
    assert found.mean[0] == posterior(prior, 0, 28).mean
    law = stats.gamma(6, scale=1 / 328)
    assert [found.lo[1], found.hi[1]] == pytest.approx(list(1000 * law.ppf([0.025, 0.975])))
    beyond = law.expect(lambda v: v, lb=3 * prior.mean) * 1000
    assert found.above[1] == pytest.approx(beyond, rel=1e-6)


def test_planted_lemons_are_found_at_least_as_well_as_by_raw_rate():
    """P-7: 1 % of 12,500 nodes fail at ten times the rate; nodes have stood for 3 to 90 days."""
    rng = np.random.default_rng(7)
    exposure = fleet_of(rng.integers(3, 91, 12_500), 90)
    is_lemon = np.zeros(12_500, bool)
    is_lemon[rng.choice(12_500, 125, replace=False)] = True
    rate = np.where(is_lemon, 0.13, 0.013)
    found = suspects(asked(), **frames(exposure, hits_of(exposure, rate, rng)))
    truth = is_lemon[found["node"].str.slice(1).cast(pl.Int64).to_numpy()]
    naive = np.argsort(-found["per_1000_node_days"].to_numpy(), kind="stable")
    ours, raw = truth[:125].mean(), truth[naive][:125].mean()
    told = {"pull": found["verdict"] == PULL, "suspect": found["verdict"] != QUIET}
    counts = {
        name: (int(is_told.sum()), int(truth[is_told].sum())) for name, is_told in told.items()
    }
    print(f"first 125 nodes: {ours:.3f} lemons by p_lemon, {raw:.3f} by raw rate; {counts}")
    assert ours >= raw + 0.1
    assert ours >= 0.5
    for named, right in counts.values():
        assert right >= 0.9 * named
    assert counts["pull"][1] >= 15
    assert counts["suspect"][1] >= 25


def test_a_fleet_without_lemons_flags_no_more_than_promised():
    """Benjamini-Hochberg at 10 %: at most one such fleet in ten has anybody flagged, per family."""
    rng = np.random.default_rng(11)
    fleets, flagged, pulled = 60, 0, 0
    exposure = fleet_of(rng.integers(5, 31, 300), 30)
    for _ in range(fleets):
        found = suspects(asked(), **frames(exposure, hits_of(exposure, np.full(300, 0.05), rng)))
        flagged += bool((found["verdict"] != QUIET).any())
        pulled += int((found["verdict"] == PULL).sum())
    print(f"{flagged} of {fleets} fleets without lemons had somebody flagged, {pulled} pulled")
    assert flagged <= 0.1 * fleets + 3
    assert pulled <= 1


def test_failures_as_even_as_chance_allows_flag_nobody_and_say_so():
    found = suspects(asked(), **frames(fleet_of(np.full(20, 30), 30), some(*range(20))))
    assert found["verdict"].unique().to_list() == [QUIET]
    assert found["assumption"][0].startswith("no spread between units beyond chance")
    assert found["p_lemon"].to_list() == [0.0] * 20
    assert found["tier"].null_count() == 20


LEMON = some(*[3] * 12, *[4] * 11, *range(0, 40, 4))


def test_suspects_that_overlap_share_a_tier():
    found = suspects(asked(), **frames(fleet_of(np.full(400, 30), 30), LEMON))
    assert found["node"][:2].to_list() == ["n00003", "n00004"]
    assert found["failures"][:2].to_list() == [12, 12]  # 4 has one more of its own
    assert found["tier"][:3].to_list() == [1, 1, 2]
    assert found["verdict"][2] == "watch: likely a lemon, and chance is not ruled out"
    assert found["tier"][20] is None
    assert (found["posterior_lo"] <= found["posterior"]).all()


def test_tiers_part_where_no_later_interval_reaches_the_leader():
    law = posteriors(Prior(0.5, 50), np.array([40, 35, 9, 8, 0]), np.full(5, 60.0))
    assert tiers(law, np.array([True, True, True, True, False])) == [1, 1, 2, 2, None]


def test_a_drained_node_keeps_its_score_and_is_tested_before_it_returns():
    """Out of service for the last 100 of 130 days: its own 90 days end where it went."""
    whole = fleet_of(np.full(400, 130), 130)
    early = FIRST + timedelta(days=30)
    gone = (pl.col("node") == "n00003") & (pl.col("day") >= early)
    drained = whole.with_columns(
        pl.when(gone).then(0).otherwise(pl.col(name)).alias(name)
        for name in ("in_service_ms", "allocated_ms")
    )
    later = incidents_at(whole.filter(pl.col("day") == FIRST + timedelta(days=100))[::40].select("day", "cluster", "node"), "Host")  # fmt: skip
    hits = pl.concat([some(*[3] * 12), later])
    found = suspects(asked(), **frames(drained, hits)).row(0, named=True)
    assert (found["node"], found["failures"], found["node_days"]) == ("n00003", 12, 15.0)
    assert found["verdict"] == RETEST
    assert "frozen" in found["state"]
    still = suspects(asked(), **frames(whole, hits))
    assert still.filter(pl.col("node") == "n00003")["failures"].to_list() == [0]


def test_a_failure_of_an_idle_day_counts_where_the_clock_ran():
    whole = fleet_of(np.full(400, 30), 30)
    idle = (pl.col("node") == "n00003") & (pl.col("day") == FIRST + timedelta(days=10))
    idled = whole.with_columns(allocated_ms=pl.when(idle).then(0).otherwise("allocated_ms"))
    on = {
        clock: suspects(asked(clock=clock), **frames(idled, LEMON)).filter(node="n00003")
        for clock in ("allocated", "in_service")
    }
    assert on["allocated"].select("failures", "node_days").row(0) == (0, 14.5)
    assert on["in_service"].select("failures", "node_days").row(0) == (12, 30.0)


def test_a_node_that_left_the_fleet_is_not_ranked():
    whole = fleet_of(np.full(400, 30), 30).filter(
        (pl.col("node") != "n00003") | (pl.col("day") < FIRST + timedelta(days=20))
    )
    found = suspects(asked(), **frames(whole, LEMON))
    assert "n00003" not in found["node"].to_list()
    assert found["node"][0] == "n00004"


def test_the_prior_leaves_out_the_incident_that_a_node_is_out_for():
    hits = some(*[3] * 5, *range(0, 40, 4))
    out = {"cluster": "c", "node": "n00003", "down_from": START + timedelta(days=10), "day": FIRST + timedelta(days=10)}  # fmt: skip
    spell = pl.DataFrame([out | {"up_again": None, "planned": False, "reason": "", "incident": hits["incident"][0]}], schema=d.REPAIRS.dtypes)  # fmt: skip
    exposure = fleet_of(np.full(400, 30), 30)
    shut = suspects(asked(), **frames(exposure, hits, repairs=spell)).row(0, named=True)
    plain = suspects(asked(), **frames(exposure, hits)).row(0, named=True)
    assert shut["failures"] == plain["failures"] == 5
    assert shut["assumption"] != plain["assumption"]
    assert shut["outs"] == 1
    assert shut["outs_unexplained"] == 0
    assert "frozen" in shut["state"]


def test_what_pulling_saves_is_its_excess_times_what_its_class_costs():
    exposure = fleet_of(np.full(400, 30), 30)
    spent = LEMON.select("day", "cluster", "incident").with_columns(gpu_ms=pl.lit(3_600_000 * 50))
    rows = spent.with_columns(run=pl.lit("r"), leaf=pl.lit("step_lost"), cause=pl.lit("GPU"), evidence=pl.lit("steps"), provisional=pl.lit(False), provider=pl.lit(""), hall=pl.lit(""))  # fmt: skip
    gpu_time = rows.select(d.GPU_TIME.dtypes.names()).cast(d.GPU_TIME.dtypes)
    found = suspects(asked(test_hours=4), **frames(exposure, LEMON, gpu_time=gpu_time))
    top = found.row(0, named=True)
    assert top["test_gpu_hours"] == 32
    fleet_rate = 1000 * LEMON.height / (400 * 15)
    worth = 28 * 0.5 * top["p_lemon"] * (top["posterior"] - fleet_rate) / 1000 * 50
    assert top["saved_gpu_hours"] == pytest.approx(worth, rel=0.02)
    assert top["net_gpu_hours"] == top["saved_gpu_hours"] - 32
    assert top["verdict"] == PULL
    dear = suspects(asked(test_hours=4_000), **frames(exposure, LEMON, gpu_time=gpu_time))
    assert "costs more than it saves" in dear["verdict"][0]


def test_a_stop_is_charged_to_the_root_node_alone():
    hits = LEMON
    stop = {"cluster": "c", "run": "r", "day": FIRST + timedelta(days=10), "incident": hits["incident"][0], "planned": False, "nodes": 64, "cause": "GPU"}  # fmt: skip
    stops = pl.DataFrame([dict.fromkeys(d.INTERRUPTIONS.dtypes) | stop], schema=d.INTERRUPTIONS.dtypes)  # fmt: skip
    found = suspects(asked(), **frames(fleet_of(np.full(400, 30), 30), hits, interruptions=stops))
    assert found["multi_node_stops"].sum() == 1
    assert found.row(0, named=True)["multi_node_stops"] == 1


def job(number: int, node: int, user: str, state: str, day: int = 5) -> dict:
    ended = START + timedelta(days=day, hours=3)
    said = {"cluster": "c", "job_id": str(number), "submitted": ended, "ended": ended}
    said |= {"user": user, "state": state, "nodes": [f"n{node:05}"], "node_count": 1, "gpus": 8}
    return dict.fromkeys(d.RUN_ATTEMPTS.dtypes) | said


def test_lone_jobs_lost_on_one_node_add_to_its_failures_and_one_users_loop_does_not():
    calm = [job(n, n % 40, f"u{n % 17}", "COMPLETED", n % 28) for n in range(800)]
    bad = [job(1000 + n, 7, f"u{n}", "FAILED", n) for n in range(9)]
    loop = [job(2000 + n, 8, "u1", "FAILED") for n in range(90)]
    attempts = pl.DataFrame(calm + bad + loop, schema=d.RUN_ATTEMPTS.dtypes)
    hits = some(*[7] * 2, *[3] * 12, *range(0, 40, 4))
    found = suspects(asked(), **frames(fleet_of(np.full(40, 30), 30), hits, run_attempts=attempts))
    by = {row["node"]: row for row in found.iter_rows(named=True)}
    assert by["n00007"]["lone_job_failures"] == 9
    assert by["n00008"]["lone_job_failures"] == 1
    assert by["n00007"]["p_signals"] < 1e-3 * by["n00007"]["p_chance"]
    assert by["n00007"]["verdict"] == "watch: its signals together"
    assert by["n00008"]["p_signals"] > 0.01


def test_a_users_own_error_is_no_sign_and_a_corrected_one_is():
    quiet = incidents_at(fleet_of(np.full(1, 30), 30).select("day", "cluster", "node"), "Software (user)", counts=False)  # fmt: skip
    told = incidents_at(fleet_of(np.full(1, 30), 30).select("day", "cluster", "node"), "NVLink", counts=False)  # fmt: skip
    hits = pl.concat([some(*range(20)), quiet, told])
    found = suspects(asked(), **frames(fleet_of(np.full(20, 30), 30), hits))
    assert found.filter(pl.col("node") == "n00000")["signs"].to_list() == [30]


def test_fishers_combination_is_chi_square_of_the_logarithms():
    each = [np.array([0.01, 1.0]), np.array([0.2, 1.0]), np.array([0.5, 1.0])]
    assert fisher(each).tolist() == pytest.approx([stats.combine_pvalues([0.01, 0.2, 0.5])[1], 1.0])


def test_racks_and_switches_are_ranked_by_their_own_spread():
    hits = some(*list(range(16)) * 4, *range(16, 160, 9))
    switch = pl.DataFrame([dict.fromkeys(d.FLEET.dtypes) | {"cluster": "c", "node": f"n{n:05}", "valid_from": START, "leaf_switch": f"s{n // 32}", "gpus": 8, "evidence": "inventory"} for n in range(320)], schema=d.FLEET.dtypes)  # fmt: skip
    known = frames(fleet_of(np.full(320, 30), 30), hits, fleet=switch)
    racks = suspects(asked(unit="rack"), **known)
    assert racks.height == 20
    assert racks["rack"][0] == "r000"
    assert racks["failures"][0] == 64
    assert racks["failures"].sum() == hits.height
    assert suspects(asked(unit="leaf_switch"), **known)["leaf_switch"][0] == "s0"


def test_a_board_keeps_its_failures_when_it_moves():
    places = [f"0000:{k:02x}:00" for k in range(4)]
    still = [gpu(f"s{n}-{k}", n, pci, -9) for n in range(30) for k, pci in enumerate(places) if (n, k) not in ((0, 0), (1, 0))]  # fmt: skip
    moved = [gpu("bad", 0, places[0], -9, 15), gpu("bad", 1, places[0], 15), gpu("new", 0, places[0], 15), gpu("old", 1, places[0], -9, 15)]  # fmt: skip
    boards = pl.DataFrame(still + moved, schema=o.GPUS.dtypes)
    on_bad = [some(*[0] * 6, day=5), some(*[1] * 6, day=20)]
    hits = pl.concat([part.with_columns(device=pl.lit(places[0])) for part in on_bad] + [some(*range(2, 30, 3)).with_columns(device=pl.lit(places[2]))])  # fmt: skip
    hits = hits.with_columns(incident=pl.lit("i") + pl.int_range(pl.len()).cast(pl.String))
    found = suspects(asked(unit="gpu"), **frames(fleet_of(np.full(30, 30), 30), hits, gpus=boards))
    top = found.row(0, named=True)
    assert (top["serial"], top["node"], top["failures"], top["node_days"]) == ("bad", "n00001", 12, 15.0)  # fmt: skip
    assert "old" not in found["serial"].to_list()
    assert found.filter(pl.col("serial") == "new")["node_days"].to_list() == [7.5]


@pytest.mark.parametrize(
    ("options", "hits", "reason"),
    [
        ({"unit": "moon"}, LEMON, "no unit 'moon'"),
        ({"days": "soon"}, LEMON, "days 'soon' is no number"),
        ({"unit": "gpu"}, LEMON, "no inventory of GPUs"),
        ({"unit": "leaf_switch"}, LEMON, "no node's leaf_switch is known"),
        ({}, some(1, 2), "2 failures on the allocated clock"),
        ({"klass": "Sun"}, LEMON, "seen are GPU"),
    ],
)
def test_what_cannot_be_ranked_is_refused(options, hits, reason):
    with pytest.raises(RefusalError, match=reason):
        suspects(asked(**options), **frames(fleet_of(np.full(40, 30), 30), hits))


def test_every_row_says_what_it_counts():
    found = suspects(asked(top=3), **frames(fleet_of(np.full(40, 30), 30), LEMON))
    assert found.height == 3
    assert found.select("clock", "definition", "counted").unique().rows() == [("allocated", "coalesced-180s", ALL)]  # fmt: skip
    assert found["phi"][0] > 1
    assert found["coverage"].to_list() == [1.0] * 3
