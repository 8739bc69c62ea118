"""The simulator: equal seeds give equal bytes, its history is possible, its account is complete.

`FAULTLEDGER_REWRITE_SAMPLE=1` makes `sample_data/` anew instead of comparing it.
"""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scipy.stats import poisson

from transforms.simulate import SAMPLE, Scenario, simulate
from transforms.simulate.accounting import account_runs
from transforms.simulate.formats.packing import unpack
from transforms.simulate.moments import DAY, SECOND
from transforms.simulate.nodes_account import account_nodes
from transforms.simulate.story import make_history
from transforms.sources import SOURCES
from transforms.sources.base import Origin

SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample_data"
NOT_GENERATED = {"README.md"}
COLLECTED = datetime(2026, 3, 16, tzinfo=UTC)
LEAVES_OF_RUNS_ONLY = {"queue_wait", "repair_wait"}


@pytest.fixture(scope="module")
def sample() -> dict[str, bytes]:
    return simulate(SAMPLE)


@pytest.fixture(scope="module")
def history():
    return make_history(SAMPLE)


def rows(files: dict[str, bytes], path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(unpack(path, files[path]))))


def generated_files() -> list[Path]:
    """What of the sample data the simulator writes: mappings and the page about it are ours."""
    files = [path for path in sorted(SAMPLE_DATA.rglob("*")) if path.is_file()]
    return [p for p in files if p.name not in NOT_GENERATED and p.parent.name != "mappings"]


def test_the_sample_data_is_what_the_simulator_gives(sample):
    if os.environ.get("FAULTLEDGER_REWRITE_SAMPLE"):
        for path in generated_files():
            path.unlink()
        for name, data in sample.items():
            (SAMPLE_DATA / name).parent.mkdir(parents=True, exist_ok=True)
            (SAMPLE_DATA / name).write_bytes(data)
    stored = {
        path.relative_to(SAMPLE_DATA).as_posix(): path.read_bytes() for path in generated_files()
    }
    assert sorted(stored) == sorted(sample)
    assert [name for name in sample if stored[name] != sample[name]] == []


def test_the_sample_data_stays_small(sample):
    assert sum(len(data) for data in sample.values()) < 3_000_000


def test_bytes_do_not_depend_on_the_process(sample):
    """Neither hash randomisation nor what ran before may show."""
    code = (
        "import hashlib; from transforms.simulate import SAMPLE, simulate; files = simulate(SAMPLE);"
        "print(hashlib.sha256(b''.join(k.encode() + v for k, v in files.items())).hexdigest())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        cwd=SAMPLE_DATA.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    joined = b"".join(name.encode() + data for name, data in sample.items())
    assert said == hashlib.sha256(joined).hexdigest()


def test_another_seed_is_another_history():
    small = Scenario.of(96, 1, 1)
    other = simulate(replace(small, seed=2))
    assert {k for k, v in simulate(small).items() if other.get(k) != v} >= {
        "slurm/sacct.psv",
        "train/pretrain-70b.ndjson.zst",
        "inventory/gpus.csv",
    }


def test_a_fleet_too_small_to_tell_anything_is_refused():
    with pytest.raises(ValueError, match="at least 96 GPUs and 1 day, not 64 GPUs"):
        Scenario.of(64, 3, 1)


@pytest.mark.parametrize(
    "scenario",
    [SAMPLE, *(Scenario.of(96 + 160 * seed, 1 + 2 * seed, seed) for seed in range(5))],
    ids=lambda scenario: f"{scenario.nodes}-nodes-{scenario.days}-days",
)
def test_the_account_has_every_gpu_millisecond_once(scenario):
    history = make_history(scenario)
    account = account_runs(history)
    clocks = account_nodes(history, account)
    capacity: Counter[str] = Counter()
    for (day, _), clock in clocks.items():
        capacity[day] += clock.wall * scenario.gpus_per_node
        parts = (clock.in_service, clock.down, clock.planned, clock.unknown)
        assert clock.wall == sum(parts)
        assert clock.allocated <= clock.wall
    spent: Counter[str] = Counter()
    for (day, *_), ms in account.gpu_time.items():
        spent[day] += ms
    assert spent == capacity
    assert min(account.gpu_time.values()) >= 0


@pytest.mark.parametrize("seed", range(4))
def test_no_job_starts_on_a_node_that_is_out_or_not_there(seed):
    scenario = replace(SAMPLE, seed=seed)
    history = make_history(scenario)
    for attempt in history.attempts():
        for number in attempt.nodes if attempt.started is not None else ():
            node = history.nodes[number]
            assert node.valid_from <= attempt.started
            assert (attempt.ended or scenario.ends) <= (node.valid_to or scenario.ends)
            for spell in history.spells_of[number]:
                ended = spell.ended or scenario.ends
                assert not spell.began <= attempt.started < ended
                if spell.service == "planned":
                    assert not spell.began < (attempt.ended or scenario.ends) <= ended


def test_what_the_scheduler_records_is_told_in_whole_seconds(history):
    for attempt in history.attempts():
        moments = (attempt.submitted, attempt.eligible, attempt.started, attempt.ended)
        assert all(moment % SECOND == 0 for moment in moments if moment is not None), attempt
    for spell in history.spells:
        assert spell.began % SECOND == (spell.ended or 0) % SECOND == 0


def test_an_attempt_goes_on_after_the_last_safe_checkpoint(history):
    main = next(task for task in history.tasks if task.name == SAMPLE.main.run)
    safe = 0
    for attempt in main.attempts:
        assert attempt.log.step[0] == safe + 1
        assert (attempt.log.restore is None) == (safe == 0)
        assert (attempt.log.began[1:] >= attempt.log.ended[:-1]).all()
        safe = max([safe, *(save.step for save in attempt.log.saves if save.durable)])


def test_the_main_run_meets_every_kind_of_stop(history):
    main = next(task for task in history.tasks if task.name == SAMPLE.main.run)
    states = {attempt.state.split()[0] for attempt in main.attempts}
    assert states == {"FAILED", "NODE_FAIL", "TIMEOUT", "CANCELLED", "RUNNING"}
    assert {stop.klass for stop in main.interruptions} >= {
        "GPU",
        "NVLink",
        "Network",
        "Host",
        "Storage",
        "Facility",
        "Unknown",
        "Software (user)",
        "Human",
        "Planned",
    }
    assert 25 <= len(main.interruptions) <= 45


def test_the_sample_has_every_kind_of_job(history):
    attempts = history.attempts()
    assert {"PREEMPTED", "OUT_OF_MEMORY", "CANCELLED", "TIMEOUT", "FAILED", "NODE_FAIL"} <= {
        attempt.state.split()[0] for attempt in attempts
    }
    assert {0, 2, 4, 8, 16, 64, 256} == {attempt.job.gpus for attempt in attempts}
    assert any(attempt.job.array for attempt in attempts)
    assert any(len(boards) == 2 for boards in history.slots.values())


def test_chance_strikes_as_often_as_the_rates_say():
    """Twelve fleets pooled: the count lies in the central 99.9 % of its Poisson distribution.

    2 % are taken off for the hours in which no failure is begun: a window's last, and the day
    ahead of a maintenance.
    """
    struck, expected = 0, 0.0
    for seed in range(12):
        scenario = replace(SAMPLE, seed=1_000 + seed)
        history = make_history(scenario)
        struck += sum(incident.planted_by == "chance" for incident in history.incidents)
        rate = sum(mode.per_1000_node_days for mode in scenario.modes) / 1000
        for number, node in enumerate(history.nodes):
            since, until = max(node.valid_from, scenario.began), node.valid_to or scenario.ends
            out = sum((s.ended or until) - s.began for s in history.spells_of[number])
            factor = scenario.lemon_factor if number == scenario.lemon - 1 else 1
            expected += (until - since - out) / DAY * rate * factor
    low, high = poisson.interval(0.999, expected * 0.98)
    assert low <= struck <= high


def test_every_file_is_read_by_one_source_and_only_planted_records_are_refused(sample):
    refused = []
    for path, data in sample.items():
        if path.startswith("truth/") or path == "settings.toml":
            continue
        text = unpack(path, data)
        sure = [source for source in SOURCES if source.sniff(text[:65_536], path) == 2]
        assert len(sure) == 1, path
        parsed = sure[0].parse(text.encode(), Origin(file=path, modified=COLLECTED))
        assert parsed.unknown.is_empty(), path
        assert parsed.accepted + parsed.rejected + parsed.ignored == parsed.records, path
        refused += [(path, str(line)) for line in parsed.rejects["line_no"]]
    planted = [(row["file"], row["line_no"]) for row in rows(sample, "truth/rejects.csv")]
    assert sorted(refused) == sorted(planted)


def test_the_summary_agrees_with_the_tables_beside_it(sample):
    summary = json.loads(sample["truth/summary.json"])
    fleet, run = Counter(), Counter()
    for row in rows(sample, "truth/gpu_time.csv"):
        fleet[row["leaf"]] += int(row["gpu_ms"])
    for row in rows(sample, "truth/run_time.csv"):
        if row["run"] == SAMPLE.main.run:
            run[row["leaf"]] += int(row["gpu_ms"])
    assert summary["fleet_leaves_gpu_ms"] == dict(fleet)
    assert summary["run_leaves_gpu_ms"] == dict(run)
    capacity = sum(int(row["gpu_capacity_ms"]) for row in rows(sample, "truth/exposure.csv"))
    assert sum(fleet.values()) == summary["fleet_capacity_gpu_ms"] == capacity
    assert summary["ettr"] == pytest.approx((run["ideal"] + run["slow"]) / sum(run.values()))


def test_a_failing_gpu_shows_its_signs_before_it_fails(sample):
    """Each planted sign inside a telemetry slice is visible in the scrapes of that board."""
    metric = {
        "row_remap_pending": "DCGM_FI_DEV_ROW_REMAP_PENDING",
        "sbe_rising": "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
        "pcie_replays": "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
        "memory_hot": "DCGM_FI_DEV_MEMORY_TEMP",
    }
    seen = Counter()
    for row in rows(sample, "truth/precursors.csv"):
        path = f"telemetry/{row['node']}.prom.zst"
        if path not in sample:
            continue
        began = datetime.fromisoformat(row["began"]).timestamp() * 1000
        before, after = [0.0], [0.0]
        for line in unpack(path, sample[path]).splitlines():
            if line.startswith(metric[row["sign"]]) and row["gpu_uuid"] in line:
                value, at = line.split()[-2:]
                (after if int(at) > began else before).append(float(value))
        if len(before) > 5 and len(after) > 30:
            assert max(after) > max(before), row
            seen[row["sign"]] += 1
    assert set(seen) == set(metric)
