"""What samples show of trouble, and what they cannot; and who fell silent."""

from datetime import timedelta

import polars as pl
import pytest
from test_rollups import STEP, H, gpu, hourly, samples

from transforms import heard, silences
from transforms.metrics import BY_NAME
from transforms.recipes import Window
from transforms.sample_signs import REPEAT_HIDDEN, SIGNS
from transforms.tables import samples as s
from transforms.tables.hourly import SIGNAL_KINDS

HOUR = timedelta(hours=1)


def shown(metric, values, begin=H, **window):
    at = [begin + STEP * k for k in range(len(values))]
    rows = samples(s.GPU_SAMPLES, (gpu(1), at, {metric: values}))
    return hourly(rows, **window)["sample_signals"].to_dicts()


@pytest.mark.parametrize(
    ("metric", "values", "told"),
    [
        pytest.param("ecc_uncorrected_volatile", [0, 0, 1, 1], [("ecc_uncorrected", 2, 2, 1, 1, 0, 1)], id="a counter rose"),
        pytest.param("ecc_uncorrected_volatile", [3, 3, 3, 3], [], id="an old count is no new error"),
        pytest.param("ecc_uncorrected_aggregate", [5, 0, 0, 1], [("ecc_uncorrected", 3, 3, 1, 1, 0, 1)], id="another board is no error"),
        pytest.param("row_remap_pending", [0, 1, 1, 0], [("row_remap_pending", 1, 2, 2, 60, 0, 1)], id="a flag held for a while"),
        pytest.param("slowed_by_bits", [0, 0x20, 0x4, 0], [("thermal_slowdown", 1, 1, 1, 0, 0, 32)], id="a power cap is no trouble"),
        pytest.param("xid_code", [0, 79, 79, 48], [("xid", 1, 1, 1, 1, 0, 79), ("xid", 3, 3, 1, 1, 79, 48)], id="each other Xid"),
        pytest.param("xid_code", [79, 79, 0, 0], [], id="an Xid of long ago"),
        pytest.param("thermal_violation_s", [1, 1.5, 1.5, 2], [("thermal_slowdown", 1, 3, 2, 1, 1, 2)], id="time slowed down"),
    ],
)  # fmt: skip
def test_trouble_is_told_with_what_it_was_before_and_after(metric, values, told):
    found = [
        (
            row["kind"],
            (row["began"] - H) // STEP,
            (row["ended"] - H) // STEP,
            row["times"],
            row["amount"],
            row["from_value"],
            row["to_value"],
        )
        for row in shown(metric, values)
    ]
    assert found == told


def test_the_instant_lies_between_two_samples_and_a_repeat_of_an_xid_is_hidden():
    (row,) = shown("xid_code", [0, 79])
    assert (row["since"], row["began"]) == (H, H + STEP)
    assert row["note"] == REPEAT_HIDDEN


def test_what_shows_again_within_ten_minutes_goes_on():
    early = [0.0] * 50 + [1.0] * 25
    first, second = shown("row_remap_pending", early, since=H, until=H + 2 * HOUR)
    assert [first["is_continued"], second["is_continued"]] == [False, True]
    assert second["began"] == H + HOUR
    assert second["amount"] == 15 * 60


def test_a_port_that_was_never_up_is_no_trouble_and_one_that_went_down_is():
    at = [H + STEP * k for k in range(3)]
    rows = samples(
        s.LINK_SAMPLES,
        ({"cluster": "c", "node": "n", "link": "a"}, at, {"port_state_code": [1.0, 1, 1]}),
        ({"cluster": "c", "node": "n", "link": "b"}, at, {"port_state_code": [4.0, 1, 1]}),
    )
    (row,) = hourly(None, None, rows)["sample_signals"].to_dicts()
    assert (row["device"], row["kind"], row["began"]) == ("b", "link_inactive", H + STEP)


def test_every_sign_is_of_a_metric_and_of_a_kind_that_there_are():
    assert SIGNS.keys() <= BY_NAME.keys()
    assert {sign.kind for signs in SIGNS.values() for sign in signs} == set(SIGNAL_KINDS)


# Silences


def fell_silent(*parts, table=s.NODE_SAMPLES, until=H + 48 * HOUR):
    """The silences of devices sampled each minute of the given stretches of minutes."""
    column = "load_1m" if table is s.NODE_SAMPLES else "gpu_temp_c"
    rows = samples(
        table,
        *(
            (keys, at := [H + STEP * k for a, b in minutes for k in range(a, b)], {column: [1.0] * len(at)})
            for keys, *minutes in parts
        ),
    )  # fmt: skip
    empty = {t.name: t.empty() for t in s.ALL}
    window = Window(H.replace(hour=0), H.replace(hour=0) + timedelta(days=2), until)
    told = heard.heard(window, **(empty | {table.name: rows}))["heard_hourly"]
    return silences.silences(window, heard_hourly=told)["silences"]


def node(name):
    return {"cluster": "c", "node": name}


def test_x33_a_silence_lasted_two_intervals_less_at_least(golden):
    want = golden["X33_heartbeat"]
    rows = fell_silent((node("a"), (0, 10), (22, 2860)), (node("b"), (0, 2860)))
    (row,) = rows.filter(pl.col("first_ok").is_not_null()).to_dicts()
    assert row["first_ok"] - row["last_ok"] == timedelta(minutes=13)
    assert row["lasted_min_ms"] == want["min_down"] * 1000
    assert row["lasted_max_ms"] == want["max_down"] * 1000
    assert row["sort"] == "alone"


def test_nodes_that_fall_silent_together_lost_their_collector():
    rows = fell_silent(*[(node(f"n{k}"), (0, 30), (50, 2860)) for k in range(4)])
    told = rows.filter(pl.col("first_ok").is_not_null())
    assert told["sort"].to_list() == ["many together"] * 4
    assert told["silent_together"].to_list() == [4] * 4


def test_a_gpu_whose_node_goes_on_is_missing_and_one_that_goes_with_it_is_not():
    rows = fell_silent(
        (gpu(0, "a"), (0, 30), (50, 2860)),
        (gpu(1, "a"), (0, 2860)),
        (gpu(0, "b"), (0, 100), (400, 2860)),
        (gpu(1, "b"), (0, 100), (400, 2860)),
        table=s.GPU_SAMPLES,
    )
    told = rows.filter(pl.col("first_ok").is_not_null()).select(
        "device_kind", "node", "device", "sort"
    )
    assert told.rows() == [
        ("node", "b", "", "alone"),
        ("gpu", "a", "g0", "alone"),
        ("gpu", "b", "g0", "with its node"),
        ("gpu", "b", "g1", "with its node"),
    ]


def test_a_silence_that_no_sample_ends_stays_open():
    rows = fell_silent((node("a"), (0, 10)), (node("b"), (0, 2870)))
    (row,) = rows.filter(node="a").to_dicts()
    assert (row["first_ok"], row["lasted_max_ms"], row["sort"]) == (None, None, "alone")


def test_days_of_silences_do_not_hang_on_the_window():
    minutes = [(0, 700), (900, 2000), (2100, 2300)]
    rows = samples(
        s.NODE_SAMPLES,
        *((node(n), at := [H + STEP * k for a, b in m for k in range(a, b)], {"load_1m": [1.0] * len(at)})
          for n, m in (("a", minutes), ("b", [(0, 2800)]), ("c", [(0, 40)]))),
    )  # fmt: skip
    empty = {t.name: t.empty() for t in s.ALL}
    first, day = H.replace(hour=0), timedelta(days=1)
    whole = Window(first, first + 3 * day, first + 3 * day)
    told = heard.heard(whole, **(empty | {"node_samples": rows}))["heard_hourly"]
    together = silences.silences(whole, heard_hourly=told)["silences"]
    apart = []
    for k in range(3):
        since = first + k * day
        near = told.filter(
            pl.col("hour_at").is_between(since - day, since + 2 * day, closed="left")
        )
        apart.append(
            silences.silences(Window(since, since + day, first + 3 * day), heard_hourly=near)[
                "silences"
            ]
        )
    assert pl.concat(apart).sort(together.columns[:5]).equals(together.sort(together.columns[:5]))
    assert together.height > 3
