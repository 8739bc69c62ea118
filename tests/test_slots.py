"""Slot or board: only swaps can tell, and the failure that a board was pulled for cures nothing."""

import numpy as np
import polars as pl
import pytest
from node_frames import START, fleet_of, gpu, some

from transforms.comparison import rate_ratio
from transforms.studies import Asked, RefusalError
from transforms.studies.slots import slots
from transforms.tables import observed as o

PLACES = [f"0000:{k:02x}:00" for k in range(4)]
BAD = PLACES[0]
DAYS = 60


def boards(*moved: dict) -> pl.DataFrame:
    """Thirty nodes of four boards that never move, but for those given in their stead."""
    taken = {(row["node"], row["pci"]) for row in moved}
    still = [gpu(f"s{n}-{k}", n, pci, -9) for n in range(30) for k, pci in enumerate(PLACES) if (f"n{n:05}", pci) not in taken]  # fmt: skip
    return pl.DataFrame([*still, *moved], schema=o.GPUS.dtypes)


def incidents(*hits: tuple[int, str, int]) -> pl.DataFrame:
    """Hits are (node, place, day); ten others lie about the fleet."""
    others = [(n, PLACES[3], 5) for n in range(10, 20)]
    rows = [some(n, day=day).with_columns(device=pl.lit(pci)) for n, pci, day in (*hits, *others)]
    return pl.concat(rows).with_columns(incident=pl.format("i{}", pl.int_range(pl.len())))


def told(gpus: pl.DataFrame, hits: pl.DataFrame, **asked) -> pl.DataFrame:
    exposure = fleet_of(np.full(30, DAYS), DAYS)
    return slots(Asked(**asked), gpus=gpus, incidents=hits, exposure=exposure)


REPLACED = (gpu("old", 0, BAD, -9, 30), gpu("new", 0, BAD, 30))


def test_a_new_board_that_fails_too_says_that_the_slot_is_at_fault():
    hits = incidents(*((0, BAD, k) for k in (3, 9, 15, 21, 35, 41, 47, 52)))
    (row,) = told(boards(*REPLACED), hits).iter_rows(named=True)
    assert (row["compared"], row["serial"], row["before"]) == ("slot over boards", "new", "old")
    assert (row["failures_first"], row["failures_second"]) == (3, 4)  # 21 is why it was pulled
    assert (row["gpu_days_first"], row["gpu_days_second"]) == (30.0, 30.0)
    exact = rate_ratio(4, 30.0, 3, 30.0)
    assert (row["ratio"], row["ratio_lo"], row["ratio_hi"], row["p"]) == (exact.ratio, exact.low, exact.high, exact.p)  # fmt: skip
    assert row["verdict"] == "stays in the slot"
    assert row["swapped"] == START.replace(month=2, day=4)


def test_a_new_board_that_is_well_says_that_the_old_one_was_at_fault():
    hits = incidents(*((0, BAD, k) for k in (1, 4, 7, 10, 13, 16, 19, 22, 25, 28)))
    (row,) = told(boards(*REPLACED), hits).iter_rows(named=True)
    assert (row["failures_first"], row["failures_second"]) == (9, 0)
    assert row["verdict"] == "went with the board"
    assert row["assumption"] == "the failure that it was pulled for is left out"


def test_one_failure_and_a_swap_prove_nothing():
    (row,) = told(boards(*REPLACED), incidents((0, BAD, 29))).iter_rows(named=True)
    assert (row["failures_first"], row["failures_second"], row["verdict"]) == (0, 0, "no evidence")
    assert row["ratio"] is None
    assert row["p"] == 1.0


EXCHANGED = (
    *(gpu("bad", 0, BAD, -9, 30), gpu("bad", 1, BAD, 30)),
    *(gpu("good", 1, BAD, -9, 30), gpu("good", 0, BAD, 30)),
)


def test_an_exchange_shows_that_the_fault_follows_the_serial():
    hits = incidents(*((0, BAD, k) for k in range(2, 30, 3)), *((1, BAD, k) for k in range(31, 60, 3)))  # fmt: skip
    found = told(boards(*EXCHANGED), hits)
    by = {(row["compared"], row["node"], row["serial"]): row for row in found.iter_rows(named=True)}
    assert by["board over slots", "n00001", "bad"]["verdict"] == "follows the serial"
    assert by["board over slots", "n00001", "bad"]["before"] == f"n00000 {BAD}"
    assert by["slot over boards", "n00000", "good"]["verdict"] == "went with the board"
    assert by["board over slots", "n00000", "good"]["verdict"] == "no evidence"
    assert len(by) == 4


def test_an_exchange_shows_that_the_fault_stays_in_the_slot():
    hits = incidents(*((0, BAD, k) for k in range(2, 60, 3)))
    found = told(boards(*EXCHANGED), hits)
    by = {(row["compared"], row["node"]): row["verdict"] for row in found.iter_rows(named=True)}
    assert by["slot over boards", "n00000"] == "stays in the slot"
    assert by["board over slots", "n00001"] == "stayed behind in the slot"


def test_a_device_is_known_by_uuid_serial_or_slot_too():
    hits = incidents((0, "GPU-1", 40), (0, "new", 41), (0, "6", 42), (0, "nobody", 43))
    named = REPLACED[1] | {"uuid": "GPU-1", "slot": 6}
    (row,) = told(boards(REPLACED[0], named), hits).iter_rows(named=True)
    assert row["failures_second"] == 3


def test_healthy_swaps_are_seldom_judged():
    """A hundred boards swapped for no reason in a fleet of one rate: one such fleet in ten errs."""
    rng = np.random.default_rng(3)
    exposure = fleet_of(np.full(100, DAYS), DAYS)
    swapped = [gpu(f"{when}{n}", n, BAD, *days) for n in range(100) for when, days in (("a", (-9, 30)), ("b", (30,)))]  # fmt: skip
    gpus = pl.DataFrame(swapped, schema=o.GPUS.dtypes)
    judged = 0
    for _ in range(40):
        days = rng.integers(0, DAYS, rng.poisson(100 * DAYS * 0.03))
        hits = pl.concat([some(int(rng.integers(100)), day=int(day)) for day in days]).with_columns(device=pl.lit(BAD), incident=pl.format("i{}", pl.int_range(pl.len())))  # fmt: skip
        found = slots(Asked(), gpus=gpus, incidents=hits, exposure=exposure)
        assert found.height == 100
        judged += bool((found["verdict"] != "no evidence").any())
    assert judged <= 8


def test_without_a_swap_or_an_inventory_nothing_is_said():
    with pytest.raises(RefusalError, match="no board was swapped"):
        told(boards(), incidents((0, BAD, 3)))
    with pytest.raises(RefusalError, match="no inventory of GPUs"):
        told(o.GPUS.empty(), incidents((0, BAD, 3)))
