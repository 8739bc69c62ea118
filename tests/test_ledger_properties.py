"""What must hold of every ledger, on generated histories full of overlaps, gaps and skew (G-1)."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledger_frames import (
    DAY_S,
    GIVEN,
    MONDAY,
    account_frames,
    at,
    attempt,
    incident,
    logged,
    mark,
    node,
    paced,
    rows,
    step_rows,
    stop,
)

from transforms import recipes, tables
from transforms.exposure import exposure
from transforms.ledger.lines import REACH_DAYS
from transforms.ledger.timeline import cut_days, disjoint, sweep
from transforms.recipes import Window

NAMES = [f"n{i}" for i in range(5)]
EXAMPLES = settings(max_examples=25, deadline=None)
DAY = timedelta(days=1)


def history(rng, days: float) -> dict[str, pl.DataFrame]:
    """Two runs and some lone jobs on five nodes over `days` days, badly recorded."""
    table: dict[str, list[dict]] = {name: [] for name in GIVEN}
    for name in NAMES:
        came = rng.choice([-40 * DAY_S, rng.uniform(0, DAY_S)])
        left = rng.choice([None, None, came + 41 * DAY_S + rng.uniform(0, days * DAY_S)])
        table["fleet"] += lived(rng, node(name, rng.choice([4, 8]), valid_from=came, valid_to=left))
    for _ in range(rng.randint(0, 6)):
        began = rng.uniform(-DAY_S, days * DAY_S)
        table["node_states"].append(
            {
                "cluster": "c", "node": rng.choice(NAMES), "began": began,
                "ended": rng.choice([None, began + rng.uniform(0, days * DAY_S / 2)]),
                "state": rng.choice(["DOWN*", "DRAIN", "MAINT", "UNK"]),
                "reason": rng.choice([None, "XID 79", "firmware"]), "file": "e", "line_no": 1,
            }
        )  # fmt: skip
    for number in range(rng.randint(0, 8)):
        began = rng.uniform(-DAY_S, days * DAY_S)
        klass = rng.choice(["GPU", "Network", "Human"])
        struck = incident(f"x{number}", began, picked(rng), klass)
        struck["ended"] = began + rng.choice([0, rng.uniform(0, days * DAY_S / 3)])
        table["incidents"].append(struck)
    for number, run in enumerate("ab"):
        live(rng, table, run, job=str(number), until=days * DAY_S)
    for number in range(rng.randint(0, 3)):
        began = rng.uniform(0, days * DAY_S)
        table["run_attempts"].append(
            attempt(
                began, rng.choice([None, began + rng.uniform(0, DAY_S)]), picked(rng),
                job_id=f"lone{number}", run=f"lone{number}", logs_steps=False,
                gpus=rng.randint(0, 12), eligible=began - rng.uniform(0, 5000),
            )
        )  # fmt: skip
    table["idle_spells"] = [spell for name in NAMES for spell in watched(rng, name, days)]
    frames = {name: rows(name, *made) for name, made in table.items()}
    return {name: frame.unique(tables.BY_NAME[name].key) for name, frame in frames.items()}


def lived(rng, first: dict) -> list[dict]:
    """A node in one hall, or brought to another on the way with one GPU less."""
    first |= {"provider": rng.choice([None, "", "North"]), "hall": rng.choice(["H1", "H2"])}
    if rng.random() < 0.6:
        return [first]
    moved = max(rng.uniform(0, 2 * DAY_S), first["valid_from"] + 1)
    if first["valid_to"] and moved >= first["valid_to"]:
        return [first]
    later = {"valid_from": moved, "hall": "H3", "gpus": first["gpus"] - 1}
    return [first | {"valid_to": moved}, first | later]


def watched(rng, name: str, days: float) -> list[dict]:
    """What a node's samples tell of its GPUs, with hours unseen, GPUs unwatched and a wrong count."""
    hour, spells = rng.choice([0, 500]), []
    while hour < days * 24:
        began, hour = hour, hour + min(rng.choice([1, 2, 5, 24]), 24 - hour % 24)
        gpus = rng.choice([4, 8, 8])
        seen = rng.randint(0, gpus)
        if rng.random() < 0.8 and seen:
            spells.append(
                {
                    "cluster": "c", "node": name, "began": began * 3600.0, "ended": hour * 3600.0,
                    "day": at(began * 3600.0).date(), "gpus": gpus, "watched": seen,
                    "idle": rng.choice([0, seen, rng.randint(0, seen)]),
                }
            )  # fmt: skip
    return spells


def picked(rng) -> list[str]:
    return rng.sample(NAMES, rng.randint(1, 3))


def live(rng, table, run: str, job: str, until: float) -> None:
    """Attempts of one run: restarts from earlier steps, zombies, silent logs, clocks that differ,
    processes that use more or fewer of their GPUs."""
    now, step, pace = rng.uniform(-DAY_S / 2, DAY_S), 1, until / 200
    end, number = now, 0
    for turn in range(rng.randint(1, 6)):
        began, length = now, rng.uniform(0, until / 2)
        last = turn > 2 and rng.random() < 0.3
        # A requeue keeps the job id; two allocations at once are two jobs.
        number = turn if now < end or rng.random() < 0.3 else number
        who = {"job_id": f"{job}.{number}", "run": run}
        held = attempt(
            began, None if last else began + length, picked(rng), **who, submitted=began - 1,
            eligible=began - rng.uniform(0, 600), logs_steps=rng.random() < 0.9,
        )  # fmt: skip
        table["run_attempts"].append(held)
        progress = began
        if rng.random() < 0.9:  # steps may be all that is seen of a log
            skew = rng.choice([0, 0, -2.5, 40])
            ready = began + rng.uniform(0, pace)
            made = step_rows(
                step, ready + skew,
                [rng.uniform(0.5, 1.5) * pace for _ in range(rng.randint(0, 12))], **who,
                tokens=rng.choice([None, 1000]),
            )  # fmt: skip
            table["steps"] += rng.sample(made, rng.randint(len(made) // 2, len(made)))
            for grown in (0, rng.uniform(0, length)):  # elastic: starts on some of the GPUs
                gpus = rng.choice([None, rng.randint(0, held["gpus"]), held["gpus"]])
                table["run_marks"].append(mark("job_start", began + grown, None, gpus=gpus, **who))
            ended = rng.choice([ready, None])
            table["run_marks"].append(mark("init", began + skew, ended and ended + skew, **who))
            for kind in rng.sample(["data_wait", "eval", "finished"], rng.randint(0, 2)):
                said = began + rng.uniform(0, length)
                lasted = rng.choice([None, said + rng.uniform(0, until / 2)])
                table["run_marks"].append(mark(kind, said, lasted, **who))
            for row in rng.sample(made, min(len(made), 2)):
                blocked = rng.choice([None, row["began"] + pace / 3])
                table["checkpoints"].append(
                    logged(
                        kind="save", step=row["step"], began=row["began"], block_ended=blocked,
                        durable_at=blocked and blocked + pace, **who,
                    )
                )  # fmt: skip
            progress = min(max([began, *(r["ended"] for r in made)]), began + length)
            step = rng.randint(1, step + len(made))
        if not last and rng.random() < 0.8:
            noticed = rng.uniform(progress, began + length)
            table["interruptions"].append(
                stop(held, progress, noticed, planned=rng.random() < 0.3, incident=f"i{run}{turn}")
            )
        end = max(end, began + length)
        now = began + length + rng.uniform(-0.1, 0.3) * until
        if last:
            return


histories = st.integers(0, 2**32).map(lambda seed: history(Random(seed), 3))


def window(since: int, until: int, horizon: float) -> Window:
    return Window(MONDAY + since * DAY, MONDAY + until * DAY, at(horizon))


def sums(account: pl.DataFrame, *by: str) -> dict[tuple, int]:
    return {row[:-1]: row[-1] for row in account.group_by(by).agg(pl.col("gpu_ms").sum()).rows()}


@EXAMPLES
@given(histories, st.floats(0.1, 4))
def test_a_day_of_the_fleet_sums_to_its_capacity(frames, horizon_days):
    when = window(0, 3, horizon_days * DAY_S)
    ledger = account_frames(when, frames)["gpu_time"]
    capacity = exposure(
        when, **{n: frames[n] for n in ("fleet", "node_states", "outages", "run_attempts")}
    )["exposure"]
    want = capacity.group_by("day", "cluster").agg(pl.col("gpu_capacity_ms").sum())
    want = {row[:-1]: row[-1] for row in want.filter(pl.col("gpu_capacity_ms") > 0).rows()}
    assert sums(ledger, "day", "cluster") == want
    assert ledger["gpu_ms"].min() is None or ledger["gpu_ms"].min() > 0
    assert tables.BY_NAME["gpu_time"].broken_rules(ledger) == {}


@EXAMPLES
@given(histories, st.floats(0.1, 4))
def test_a_day_of_a_hall_sums_to_what_stood_there(frames, horizon_days):
    when = window(0, 3, horizon_days * DAY_S)
    ledger = account_frames(when, frames)["gpu_time"]
    want: Counter[tuple] = Counter()
    edges = [*(when.since + n * DAY for n in range(3)), min(when.until, when.horizon)]
    for began, ended in pairwise(sorted({min(edge, edges[-1]) for edge in edges})):
        for row in frames["fleet"].iter_rows(named=True):
            low, high = max(began, row["valid_from"]), min(ended, row["valid_to"] or ended)
            ms = [(t - MONDAY) // timedelta(milliseconds=1) for t in (low, high)]
            place = (began.date(), row["provider"] or "", row["hall"])
            want[place] += max(0, ms[1] - ms[0]) * row["gpus"]
    assert sums(ledger, "day", "provider", "hall") == +want


def wall_of(frame: pl.DataFrame, since: int, until: int, horizon: int) -> dict[str, int]:
    """GPU-ms of each run by walking it slice by slice: what it held, else what it waited for."""
    walls = {}
    for (run,), attempts in frame.group_by("run"):
        lived = attempts.with_columns(
            pl.col("submitted", "eligible", "started", "ended").dt.truncate("1ms").dt.epoch("ms")
        ).sort("started", "submitted", "job_id")
        spans = [
            (row["eligible"], row["started"], min(horizon, row["ended"] or horizon), row["gpus"])
            for row in lived.iter_rows(named=True)
        ]
        edges = {edge for span in spans for edge in span[:3]} | {since, until}
        wall = 0
        for began, ended in pairwise(sorted(edge for edge in edges if since <= edge <= until)):
            holding = [gpus for _, s, e, gpus in spans if s <= began < e]
            # Waited for: the first attempt yet to start, once an earlier one ended or it was asked.
            ahead = [i for i, span in enumerate(spans) if span[1] > began]
            if holding:
                wall += sum(holding) * (ended - began)
            elif ahead and (ahead[0] > 0 or spans[0][0] <= began):
                wall += spans[ahead[0]][3] * (ended - began)
        walls[run] = wall
    return {run: wall for run, wall in walls.items() if wall}


@EXAMPLES
@given(histories, st.floats(0.1, 4))
@example(
    history(Random(595), 3), 1.0
)  # samples of a node before it stood in the fleet, and no others
def test_a_run_sums_to_what_it_held_and_waited_for(frames, horizon_days):
    when = window(0, 3, horizon_days * DAY_S)
    found = account_frames(when, frames)["run_time"]
    ms = [int(t.timestamp() * 1000) for t in (when.since, min(when.until, when.horizon))]
    horizon = int(when.horizon.timestamp() * 1000 + 1e-3)
    assert {k[0]: v for k, v in sums(found, "run").items()} == wall_of(
        frames["run_attempts"], ms[0], ms[1], horizon
    )
    assert found["gpu_ms"].min() is None or found["gpu_ms"].min() > 0
    assert tables.BY_NAME["run_time"].broken_rules(found) == {}


@EXAMPLES
@given(histories, st.integers(0, 2**32))
def test_days_apart_and_rows_in_any_order_give_the_same_rows(frames, seed):
    rng = Random(seed)
    whole = account_frames(window(0, 3, 2.7 * DAY_S), frames)
    shuffled = {
        name: frame[rng.sample(range(len(frame)), len(frame))] for name, frame in frames.items()
    }
    parts = [account_frames(window(day, day + 1, 2.7 * DAY_S), shuffled) for day in range(3)]
    for name, account in whole.items():
        key = tables.BY_NAME[name].key
        assert pl.concat([part[name] for part in parts]).sort(key).equals(account.sort(key))


@EXAMPLES
@given(histories, st.sampled_from([None, "another model"]))
def test_a_spare_node_adds_its_time_as_idle_and_nothing_else(frames, model):
    """One that could stand in for a broken node also makes waits for repair ordinary ones (G-2)."""
    when = window(0, 2, 2 * DAY_S)
    before = sums(account_frames(when, frames)["gpu_time"], "day", "leaf")
    spare = rows("fleet", node("spare", 8, valid_from=-DAY_S, gpu_model=model))
    more = account_frames(when, frames | {"fleet": pl.concat([frames["fleet"], spare])})
    after = sums(more["gpu_time"], "day", "leaf")
    gained = {k: after.get(k, 0) - before.get(k, 0) for k in after.keys() | before.keys()}
    gained = {(str(day), leaf): ms for (day, leaf), ms in gained.items() if ms}
    for day in ("2026-03-02", "2026-03-03"):
        assert gained.pop((day, "idle")) == 8 * DAY_S * 1000
        eased = gained.pop((day, "queue_wait"), 0)
        assert eased >= 0
        assert gained.pop((day, "repair_wait"), 0) == -eased
        assert model is None or not eased
    assert gained == {}


def as_the_lake_reads(
    frames: dict[str, pl.DataFrame], when: Window, before: int = REACH_DAYS, after: int = REACH_DAYS
) -> dict[str, pl.DataFrame]:
    """Rows within reach of the window: by their day, or by overlap where they last."""
    since, until = when.since - before * DAY, when.until + after * DAY
    read = {}
    for name, frame in frames.items():
        table = tables.BY_NAME[name]
        if table.interval:
            began, ended = table.interval
            seen = (pl.col(began) < until) & (pl.col(ended) >= since).fill_null(True)
        else:
            day = pl.col(table.day or "").cast(pl.Datetime("us", "UTC"))
            seen = (day >= since) & (day < until)
        read[name] = frame.filter(seen)
    return read


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 49))
def test_a_day_knows_nothing_from_beyond_its_reach(seed, day):
    """In a history of 50 days a day by itself gives the rows that it gives within the whole."""
    horizon = 50 * DAY_S
    alone = window(day, day + 1, horizon)
    frames = paced(alone, history(Random(seed), 50))
    whole = account_frames(window(0, 50, horizon), frames)
    found = account_frames(alone, as_the_lake_reads(frames, alone))
    for name, account in whole.items():
        assert found[name].equals(account.filter(pl.col("day") == alone.since.date()))


LAST = {
    "steps are all that is seen of a log": (
        {"steps": step_rows(1, 0, [60] * 5)},
        {"ideal", "unknown"},
        {"not_measured"},
    ),
    "finished and not released": (
        {"run_marks": [mark("finished", 0, None)]},
        {"drain_idle"},
        {"not_measured"},
    ),
    "a wait for data that outlasts the reach": (
        {"run_marks": [mark("data_wait", 0, 30 * DAY_S)]},
        {"data_stall"},
        {"not_measured"},
    ),
}


@pytest.mark.parametrize(("logs", "near", "far"), LAST.values(), ids=LAST.keys())
def test_an_attempt_that_outlasts_its_log_is_told_of_as_far_as_the_reach_goes(logs, near, far):
    """Whichever days are derived with it: a new hour remakes only the last days of a month."""
    one = attempt(0, None, ["n0"], logs_steps=False)
    given = {"fleet": [node("n0")], "run_attempts": [one], **logs}
    horizon = 40 * DAY_S
    frames = paced(
        window(0, 40, horizon), {name: rows(name, *made) for name, made in given.items()}
    )
    whole = account_frames(window(0, 40, horizon), frames)
    for day in range(40):
        alone = window(day, day + 1, horizon)
        found = account_frames(alone, as_the_lake_reads(frames, alone))
        for name, account in whole.items():
            assert found[name].equals(account.filter(pl.col("day") == alone.since.date()))
        said = set(found["run_time"]["leaf"].cast(pl.String))
        assert said <= near if day <= REACH_DAYS else said == far


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 49), st.sampled_from(["gpu_use", "first_steps"]))
def test_first_steps_and_starts_of_a_day_are_known_from_the_days_around(seed, day, name):
    horizon = 50 * DAY_S
    alone = window(day, day + 1, horizon)
    frames = paced(alone, history(Random(seed), 50))
    (recipe,) = [r for r in recipes.RECIPES if r.makes[0].name == name]
    read = {table.name: frames[table.name] for table in recipe.reads}
    near = as_the_lake_reads(read, alone, recipe.before, recipe.after)
    found = recipe.by(alone, **near)[name]
    began = (frames[name][tables.BY_NAME[name].day]).cast(pl.Date)
    assert found.equals(frames[name].filter(began == alone.since.date()))


claims = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 12), st.integers(0, 2)),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(claims)
def test_the_sweep_gives_each_moment_to_the_first_level_that_claims_it(drawn):
    frame = pl.DataFrame(
        [(line, began, began + length, level) for line, began, length, level in drawn],
        schema={"line": pl.Int64, "began": pl.Int64, "ended": pl.Int64, "level": pl.Int64},
        orient="row",
    )
    slices = sweep([frame.filter(level=level) for level in range(3)])
    found = {
        (row["line"], moment): row["level"]
        for row in slices.iter_rows(named=True)
        for moment in range(row["began"], row["ended"])
    }
    want: dict[tuple[int, int], int] = {}
    for line, began, length, level in sorted(drawn, key=lambda claim: -claim[3]):
        want |= {(line, moment): level for moment in range(began, began + length)}
    assert found == want
    assert (slices["ended"] - slices["began"]).sum() == len(want)
    kept = disjoint(frame).sort("line", "began")
    assert all(
        a[2] <= b[1]
        for a, b in pairwise(kept.select("line", "began", "ended").rows())
        if a[0] == b[0]
    )


@pytest.mark.parametrize("length", [1, 86_400_000, 3 * 86_400_000 + 1])
def test_days_are_cut_at_midnight(length):
    began = int(MONDAY.timestamp()) * 1000 - 1
    slices = cut_days(pl.DataFrame({"line": [0], "began": [began], "ended": [began + length]}))
    assert (slices["ended"] - slices["began"]).sum() == length
    assert slices["day"].is_unique().all()
    assert np.array_equal(slices["began"][1:], slices["ended"][:-1])


@EXAMPLES
@given(histories, st.floats(0.1, 4))
def test_hours_of_a_run_sum_to_its_days(frames, horizon_days):
    made = account_frames(window(0, 3, horizon_days * DAY_S), frames)
    measured = made["run_time"].filter(pl.col("leaf").cast(pl.String) != "not_measured")
    kept = pl.col("leaf").cast(pl.String).is_in(["ideal", "slow"])
    days = measured.group_by("day", "run").agg(
        pl.col("gpu_ms").sum(), pl.col("gpu_ms").filter(kept).sum().alias("kept")
    )
    hours = (
        made["run_hours"]
        .group_by("day", "run")
        .agg(pl.col("wall_gpu_ms").sum(), pl.col("kept_gpu_ms").sum())
    )
    assert sorted(hours.rows()) == sorted(days.rows())


@EXAMPLES
@given(histories, st.floats(0.1, 4))
def test_the_gpu_time_beside_the_tokens_is_that_of_the_kept_steps(frames, horizon_days):
    made = account_frames(window(0, 3, horizon_days * DAY_S), frames)
    kept = made["run_time"].filter(pl.col("leaf").cast(pl.String).is_in(["ideal", "slow"]))
    beside = made["run_tokens"].filter(pl.col("kept_gpu_ms") > 0)
    by = ["day", "cluster", "run"]
    told = beside.group_by(by).agg(pl.col("kept_gpu_ms").sum())
    assert sorted(told.rows()) == sorted(kept.group_by(by).agg(pl.col("gpu_ms").sum()).rows())
    assert (made["run_tokens"]["told_steps"] <= made["run_tokens"]["steps"]).all()
    assert (made["run_tokens"]["tokens"] <= 1000 * made["run_tokens"]["told_steps"]).all()
