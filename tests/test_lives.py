"""Lives over a lake's tables: who enters when, what ends a life, what is refused."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from life_frames import MIDNIGHT, at, exposure, fleet, gpus, incidents
from scipy import stats
from test_views import warehouse

from transforms.lives import MOMENT
from transforms.reliability import survival as km
from transforms.reliability import weibull
from transforms.report.curves import curves
from transforms.studies import Asked, RefusalError
from transforms.studies.survival import stretch, survival
from transforms.tables import derived as d
from transforms.tables import observed as o

ROOT = Path(__file__).resolve().parents[1]


def ask(known, hits=(), days=28, clock="in_service", klass="all", **options):
    given = {"repairs": d.REPAIRS.empty(), "nodes": o.NODES.empty(), "gpus": o.GPUS.empty()}
    given |= {k: options.pop(k) for k in tuple(options) if k in given}
    frames = given | {"fleet": known, "exposure": exposure(known, days), "incidents": incidents(*hits)}  # fmt: skip
    return survival(Asked(clock=clock, klass=klass, options=options), **frames)


TEN = fleet(*((f"n{k}", -10 * k, None) for k in range(10)))
SIX = [(1, "n0"), (5, "n0"), (2, "n1"), (3, "n2"), (4, "n3"), (9.5, "n4")]


def test_first_failures_enter_at_their_age_and_end_once():
    row = ask(TEN, SIX).row(0, named=True)
    assert (row["lives"], row["ended"], row["entered_late"]) == (10, 5, 9)
    assert row["watched_days"] == pytest.approx(1 + 2 + 3 + 4 + 9.5 + 5 * 28)
    assert row["failures_elsewhere"] == 0


def test_a_curve_through_the_study_is_the_estimators_own():
    """Ages without anybody between n0 and n1, and n1 alone at first: the curve begins at 15."""
    entries = np.array([0.0, 10, *range(12, 24)])
    known = fleet(*((f"n{k}", -come, None) for k, come in enumerate(entries)))
    hits = [(1.5, "n0"), *((1 + k, f"n{k}") for k in range(2, 9))]
    ends = np.array([1.5, 28, *range(3, 10), *[28] * 5])
    is_end = (ends < 28).astype(bool)
    found = ask(known, hits, at="all")
    young = found["from_days"][0]
    assert young == 15
    mine = entries + ends > young
    own = km.curve((entries + ends)[mine], is_end[mine], np.maximum(entries, young)[mine])
    assert found["age_days"].to_list() == pytest.approx(own.times)
    assert found["survival"].to_list() == pytest.approx(own.survival)
    assert found["survival_lo"].to_list() == pytest.approx(own.lo)
    assert found["cumulative_hazard"].to_list() == pytest.approx(own.cumulative_hazard)


def test_x40_through_the_study(golden):
    """Entry, exit, end: (0,5,1) (2,8,0) (3,9,1) (0,12,0) (6,10,1), each 100 times over."""
    lives = [(0, 5, True), (2, 8, False), (3, 9, True), (0, 12, False), (6, 10, True)]
    known, hits = [], []
    for k, (come, go, is_end) in enumerate(lives):
        for copy in range(3):
            name = f"n{k}.{copy}"
            known.append((name, -come, go - come))
            hits += [(go - come - 0.0, name)] if is_end else []
    # Two at 3 and three times as many at risk: the shares of the example, thrice.
    found = ask(fleet(*known), hits, days=20, at="5,9,10")
    rows = golden["X40_left_trunc_km"]["rows"]
    assert found["survival"].to_list() == pytest.approx([row[2] for row in rows])


def test_failures_of_one_instant_end_a_life_of_no_length():
    known = fleet(*((f"n{k}", 0, None) for k in range(6)))
    hits = [(1, "n0"), (1, "n0"), (4, "n0"), (2, "n1"), (5, "n1"), (6, "n2"), (8, "n2")]
    row = ask(known, hits, of="between-failures").row(0, named=True)
    assert (row["lives"], row["ended"], row["zero_length"]) == (7, 4, 1)
    first = ask(known, hits, of="between-failures", at="all").row(0, named=True)
    assert first["age_days"] == MOMENT
    assert first["survival"] == pytest.approx(6 / 7)


def test_times_between_failures_run_on_the_nodes_own_exposure():
    """Half of each day is allocated: gaps are half as long on that clock."""
    known = fleet(*((f"n{k}", 0, None) for k in range(6)))
    hits = [(1, "n0"), (3, "n0"), (2, "n1"), (6, "n1"), (6, "n2"), (12, "n2"), (1, "n3"), (9, "n3")]
    wall, held = (ask(known, hits, of="between-failures", clock=c, at="all")["age_days"].to_list() for c in ("wall", "allocated"))  # fmt: skip
    assert wall == pytest.approx([2, 4, 6, 8])
    assert held == pytest.approx([1, 2, 3, 4])


def test_gaps_that_show_a_trend_are_not_read_as_lives():
    known = fleet(*((f"n{k}", 0, None) for k in range(6)))
    hits = [(28 * (j / 8) ** 0.3 - 0.01, f"n{k}") for k in range(6) for j in range(1, 9)]
    row = ask(known, hits, of="between-failures").row(0, named=True)
    assert row["assumption"].startswith("not held: gaps are no lives")
    assert row["trend_p"] < 0.05
    assert row["reading"] == "no reading: the failures show a trend"


def test_a_node_racked_anew_lives_on_and_a_gap_begins_another_life():
    moved = fleet(
        ("n0", -50, 5), ("n0", 5, None, {"hall": "H2"}), ("n1", -50, 5), ("n1", 9, None),
        *((f"m{k}", 0, None) for k in range(6)),
    )  # fmt: skip
    hits = [(20, "n0"), (20, "n1"), *((k + 1, f"m{k}") for k in range(4))]
    row = ask(moved, hits, by="cluster").row(0, named=True)
    assert (row["lives"], row["ended"], row["entered_late"]) == (9, 6, 2)
    assert row["left_unexplained"] == 1
    by_hall = ask(moved, hits, by="hall")
    assert by_hall["hall"].to_list() == ["H1"]  # it stood there when the watch began


def test_removals_end_for_faults_alone():
    known = fleet(*((f"n{k}", -5, 10 + k if k < 7 else None) for k in range(12)))
    why = ["RMA: fell off the bus", "Xid 79", "upgrade to B200", None, "faulty board", "bad PSU", "dead"]  # fmt: skip
    nodes = known.select("cluster", "node", "valid_from", "valid_to", "gpus").with_columns(
        file=pl.lit("f"), line_no=pl.lit(1), removal_reason=pl.Series([*why, *[None] * 5])
    )
    nodes = nodes.with_columns(
        pl.lit(None, pl.String).alias(n) for n in o.NODES.dtypes if n not in nodes.columns
    ).select(pl.col(n).cast(t) for n, t in o.NODES.dtypes.items())
    row = ask(known, of="removal", nodes=nodes).row(0, named=True)
    assert (row["lives"], row["ended"], row["left_unexplained"]) == (12, 5, 1)
    assert row["definition"] is None


def test_a_gpu_is_followed_by_its_serial_through_slots_and_shelves():
    """s0 sits 5 days on n0, 10 on a shelf, then on n1; its age runs in slots alone."""
    known = fleet(*((f"n{k}", -40, None) for k in range(6)))
    cards = gpus(
        ("s0", -2, 3, "n0", "0000:19:00", "moved"), ("s0", 13, None, "n1", "0000:3b:00"),
        ("s1", 13, None, "n0", "0000:19:00"), ("s2", -2, 9, "n2", "0000:19:00", "RMA"),
        *((f"t{k}", -2, None, f"n{k}", "0000:aa:00") for k in range(6)),
    )  # fmt: skip
    hits = [
        (20, "n1", "GPU", "0000:3b:00"),  # s0, at 5 + 7 days of age
        (20, "n0", "GPU", "0000:19:00"),  # s1, which sits there now: 7
        (21, "n3", "GPU", "", ["GPU-t3"]),  # named alone: 23
        (22, "n4", "GPU", "0000:aa:00"),  # t4: 24
        (22, "n5", "Host", "psu"),  # no GPU
    ]
    row = ask(known, hits, unit="gpu", gpus=cards).row(0, named=True)
    assert (row["lives"], row["ended"], row["failures_elsewhere"]) == (9, 4, 1)
    assert row["watched_days"] == pytest.approx((3 + 7) + 7 + 9 + 4 * 28 + 21 + 22)
    found = ask(known, hits, unit="gpu", gpus=cards, at="12")
    assert found["ended"][0] == 2
    gone = ask(known, unit="gpu", of="removal", gpus=gpus(*((f"s{k}", -2, 9 + k, "n0", f"0000:1{k}:00", "RMA") for k in range(6))))  # fmt: skip
    assert gone["ended"][0] == 6


def test_units_of_unknown_age_enter_with_the_records():
    always = (datetime(1970, 1, 1, tzinfo=UTC) - MIDNIGHT).days
    known = fleet(*((f"n{k}", always, None) for k in range(6)))
    row = ask(known, [(k + 1, f"n{k}") for k in range(4)]).row(0, named=True)
    assert (row["of_unknown_age"], row["entered_late"], row["from_days"]) == (6, 0, 0)


def test_open_repairs_are_censored_and_planned_ones_apart():
    known = fleet(*((f"n{k}", 0, None) for k in range(8)))
    spells = [
        {"cluster": "c", "node": f"n{k}", "down_from": at(2), "day": date(2026, 3, 4)}
        | {"up_again": None if k == 5 else at(2 + (k + 1) / 24), "planned": k == 6}
        | {"incident": "i0000" if k < 3 else None}
        for k in range(7)
    ]
    repairs = pl.DataFrame(spells, schema=d.REPAIRS.dtypes)
    row = ask(known, [(2, "n0")], of="repair", repairs=repairs).row(0, named=True)
    assert (row["lives"], row["ended"]) == (6, 5)
    assert row["median_hours"] == pytest.approx(3)
    assert row["clock"] == "wall"
    causes = ask(known, [(2, "n0")], of="repair", repairs=pl.concat([repairs, repairs.with_columns(node=pl.lit("n7"), up_again=at(3))]), by="class")  # fmt: skip
    assert causes["class"].to_list() == ["GPU", "no incident"]


def test_groups_are_compared_unless_they_share_their_units():
    halls = fleet(*((f"n{k}", 0, None, {"hall": f"H{k % 2}"}) for k in range(20)))
    hits = [(1 + k / 4, f"n{k}") for k in range(0, 20, 2)] + [(25 + k / 10, f"n{k}", "Host") for k in range(1, 20, 2)]  # fmt: skip
    by_hall = ask(halls, hits, by="hall")
    assert by_hall["log_rank_freedom"].unique().to_list() == [1]
    assert by_hall["log_rank_p"][0] < 1e-4
    by_class = ask(halls, hits, by="class")
    assert by_class["lives"].to_list() == [20, 20]
    assert by_class["log_rank_p"].null_count() == 2


def test_too_few_ends_for_a_weibull_are_told():
    known = fleet(*((f"n{k}", -k / 10, None) for k in range(10)))
    row = ask(known, SIX).row(0, named=True)
    assert row["reading"] == "too few ends for a Weibull (5, at least 10)"
    assert row["weibull_shape"] is None
    apart = ask(TEN, SIX).row(0, named=True)  # their ages never meet
    assert apart["reading"].startswith("too few ends (1 at ages 40 to ")
    assert (apart["ended"], apart["median_days"]) == (5, None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"of": "death"}, "no life 'death'"),
        ({"unit": "rack"}, "no unit 'rack'"),
        ({"by": "moon"}, "cannot group by moon"),
        ({"at": "old"}, "cannot read the ages"),
        ({"of": "repair", "unit": "gpu"}, "repairs are known of nodes alone"),
        ({"clock": "allocated"}, "ages run on the wall clock"),
        ({"klass": "Host"}, "no failure of class 'Host'"),
        ({"of": "removal", "klass": "GPU"}, "a removal has no class"),
        ({"of": "removal"}, "too few ends of removal lives: 0"),
        ({"unit": "gpu"}, "no GPU is known by serial"),
    ],
)
def test_what_cannot_be_answered_is_refused(options, reason):
    with pytest.raises(RefusalError, match=reason):
        ask(TEN, SIX, **options)


def test_a_curve_begins_where_enough_are_at_risk_and_does_not_cross_a_gap():
    entries = np.array([0.0, 1, 2, 3, 4, 5, *[300] * 50])
    exits = np.array([30.0] * 6 + [390] * 50)
    none, young = np.zeros(56, bool), np.arange(56) < 6
    assert stretch(entries, exits, none) == (300, 390)  # of equals the one longer watched
    assert stretch(entries, exits, young) == (2, 30)  # with the ends; half of its six at risk
    assert stretch(np.zeros(20), np.arange(1, 21), none[:20]) == (0, 20)


def simulated(rng, shape, scale, size=300, horizon=200.0):
    """Units born over 600 days, watched for 200: who ended before the watch was never seen."""
    born = rng.uniform(-600, 200, 4 * size)
    dies = born + scale * rng.weibull(shape, 4 * size)
    seen = (dies > 0) & (born < horizon)
    entries = np.maximum(-born, 0)[seen]
    ends = dies[seen] < horizon
    exits = np.minimum(dies, horizon)[seen] - born[seen]
    return exits, ends, entries


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_late_entry_leaves_the_curve_unbiased_and_its_limits_cover(shape):
    """Mean within 0.01 of the truth at three ages, limits cover as stated; without the entries
    the same data make the fleet look far better than it is."""
    rng = np.random.default_rng(31)
    ages, draws, scale = np.array([100.0, 200.0, 300.0]), 200, 250.0
    truth = np.exp(-((ages / scale) ** shape))
    found, naive, covered = np.zeros(3), np.zeros(3), np.zeros(3)
    for _ in range(draws):
        exits, ends, entries = simulated(rng, shape, scale)
        fair, blind = km.curve(exits, ends, entries), km.curve(exits, ends)
        for k, age in enumerate(ages):
            found[k] += fair.at(age) / draws
            naive[k] += blind.at(age) / draws
            low, high = fair.limits_at(age)
            covered[k] += low <= truth[k] <= high
    assert np.abs(found - truth).max() < 0.01
    assert (naive - truth).max() > 0.03
    assert (covered >= stats.binom.ppf(0.001, draws, 0.95)).all()


def test_the_test_for_memorylessness_keeps_its_size_and_finds_wear():
    """Size 5 % at shape 1 under late entry and censoring; power at least 95 % at shape 1.5."""
    rng = np.random.default_rng(32)
    alarms = covered = found = 0
    draws = 200
    for _ in range(draws):
        quiet = weibull.fit(*simulated(rng, 1.0, 250.0))
        alarms += quiet.p_memoryless <= 0.05
        covered += quiet.shape_lo <= 1 <= quiet.shape_hi
        found += weibull.fit(*simulated(rng, 1.5, 250.0)).reading == "wear-out"
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert low <= alarms <= high
    assert draws - high <= covered <= draws - low
    assert found >= 0.95 * draws


def test_log_rank_keeps_its_size_under_late_entry():
    rng = np.random.default_rng(33)
    alarms, draws = 0, 300
    for _ in range(draws):
        exits, ends, entries = simulated(rng, 0.8, 250.0, size=60)
        alarms += km.log_rank(exits, ends, rng.random(len(exits)) < 0.3, entries)[2] <= 0.05
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert low <= alarms <= high


@pytest.mark.parametrize("seed", range(3))
def test_the_view_and_the_study_draw_one_curve(seed):
    """All nodes enter at one age, so that the study's curve begins where the view's does."""
    rng = np.random.default_rng(seed)
    known = fleet(*((f"n{k}", -7, int(rng.integers(3, 40)) if k % 3 else None) for k in range(30)))
    hits = [(float(rng.uniform(0, 28)), f"n{rng.integers(0, 30)}") for _ in range(25)]
    frames = {"fleet": known, "exposure": exposure(known), "incidents": incidents(*hits)}
    view = ROOT / "sql" / "views" / "node_survival.sql"
    by_sql = pl.DataFrame(warehouse(frames).sql(view.read_text()).to_arrow_table())
    ours = ask(known, hits, at="all")
    same = ["age_days", "at_risk", "survival", "survival_lo", "survival_hi", "cumulative_hazard"]
    assert by_sql.height == ours.height > 5
    assert np.allclose(by_sql.select(same).to_numpy(), ours.select(same).to_numpy(), rtol=1e-12)
    assert by_sql["ended"].cum_sum().to_list() == ours["ended"].to_list()


def test_curves_are_drawn_as_steps_with_bands():
    frame = pl.DataFrame(
        {"group": ["H1"] * 3 + ["H2"] * 3, "age": [1.0, 5, 9] * 2}
        | {"value": [0.9, 0.7, 0.5] * 2, "lo": [0.8, 0.6, 0.3] * 2, "hi": [1.0, 0.8, 0.7] * 2}
    )
    drawn = curves(frame, "Kaplan-Meier", "age (days)", "share that lasts")
    assert drawn.wide.startswith("<svg")
    assert all(word in drawn.wide for word in ("H1", "H2", "age (days)", "share that lasts"))
    many = pl.concat(frame.with_columns(group=pl.lit(f"h{k:02}")) for k in range(11))
    assert drawn.alt_text.endswith("with bands")
    assert curves(many, "x", "y", "z").alt_text.endswith("3 groups more are not drawn")
