"""A run of 2,048 nodes over 54 days with failures as often and of such kinds as Llama 3's.

    python tests/bench/simulated_run.py [NODES [DAYS]]

The simulator plants the failures, writes every record that operators have, and keeps its own
account; our ledger is derived from the records, a week at a time. With all of them both must be equal to the
millisecond. With a tenth of the step records gone the true goodput must lie between what the
ledger says at least and at most (all unknown time lost, all of it kept).

Rates are the counts of arXiv:2407.21783 Table 5 over 2,048 x 54 node-days. Software bugs and
dependencies, which do not break nodes, fail here as storage does.
"""

import csv
import io
import resource
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from simulated import (
    LEDGER_KEY,
    Frames,
    derive,
    differences,
    observe,
    read_out_of,
    summed,
    without,
)

from transforms.recipes import Window
from transforms.simulate import Scenario, simulate
from transforms.simulate.formats.packing import unpack
from transforms.simulate.moments import MINUTE
from transforms.simulate.scenario import MODES, Training

# Faulty GPU and thermal; HBM3 and SRAM; system processor; NCCL and silent corruption; switch,
# cable and NIC; hosts and their maintenance; software bugs and dependencies.
COUNTS = {
    "gpu_lost": 154, "hbm": 91, "gsp": 17, "nvlink": 0, "silent": 13, "nic": 42, "host": 46,
    "storage": 56,
}  # fmt: skip
NODE_DAYS = 2_048 * 54
BLOCKS = (10, 500)
"""Step records that are missing together."""
SPARES, RESEARCH, MID = 64, 13, 9


def scenario(nodes: int, days: int) -> Scenario:
    small = Scenario.of(gpus=96, days=days, seed=54)
    return replace(
        small,
        nodes=nodes + SPARES + MID + RESEARCH,
        main_nodes=nodes + SPARES,
        mid_nodes=MID,
        main=Training(
            run="pretrain", name="pretrain", user="maria", account="pretrain", nodes=nodes,
            eligible=4 * MINUTE, step_ms=22_000,
        ),
        mids=tuple(replace(plan, nodes=MID - 1) for plan in small.mids),
        modes=tuple(
            replace(mode, per_1000_node_days=1000 * COUNTS[mode.name] / NODE_DAYS)
            for mode in MODES
        ),
        lemon=9,
        lemon_factor=1.0,
        telemetry_nodes=0,
    )  # fmt: skip


def true_time(files: dict[str, bytes], table: str) -> pl.DataFrame:
    path = f"truth/{table}.csv"
    rows = list(csv.DictReader(io.StringIO(unpack(path, files[path]))))
    return pl.DataFrame(rows).with_columns(
        pl.col("day").str.to_date(),
        pl.col("provisional") == "true",
        pl.col("gpu_ms").cast(pl.Int64),
    )


def report(files: dict[str, bytes], observed: Frames, weeks: tuple[Window, ...], run: str) -> None:
    derived = derive(observed, weeks)
    for table in ("gpu_time", "run_time"):
        found = summed(derived[table], LEDGER_KEY, "gpu_ms")
        true = summed(true_time(files, table), LEDGER_KEY, "gpu_ms")
        apart = differences(found, true)
        print(f"  {table}: {len(true):,} sums, {sum(true.values()):,} GPU-ms, {len(apart)} differ")
        for line in apart[:10]:
            print("   ", line)
    own = true_time(files, "run_time").filter(run=run)
    kept = own.filter(pl.col("leaf").is_in(["ideal", "slow"]))["gpu_ms"].sum()
    truly = kept / own["gpu_ms"].sum()
    stops = derived["interruptions"].filter(run=run)
    print(f"  {run}: true goodput {truly:.6f}, ours {read_out_of(derived, run).goodput:.6f};",
          f"{(~stops['planned']).sum()} interruptions, {stops['planned'].sum()} planned stops")  # fmt: skip
    whole = derived["gpu_time"]["gpu_ms"].sum()
    for block in BLOCKS:
        steps = without(observed["steps"], 0.1, block, seed=block)
        found = derive(observed | {"steps": steps}, weeks)
        said = read_out_of(found, run)
        assert said.goodput_lo is not None
        assert said.goodput_hi is not None
        gone = 1 - len(steps) / len(observed["steps"])
        inside = said.goodput_lo <= truly <= said.goodput_hi
        same = found["gpu_time"]["gpu_ms"].sum() == whole
        print(
            f"  {100 * gone:.1f} % of step records gone in blocks of {block}: goodput in"
            f" [{said.goodput_lo:.6f}, {said.goodput_hi:.6f}], the truth inside: {inside};"
            f" fleet sums to its capacity: {same}"
        )


def main(nodes: int, days: int) -> None:
    began = time.process_time()
    plan = scenario(nodes, days)
    files = simulate(plan)
    print(
        f"{nodes:,} nodes, {days} days: {len(files):,} files, {sum(map(len, files.values())) / 1e6:.1f} MB"
    )
    ends = datetime.fromtimestamp(plan.ends / 1000, UTC)
    began_at = ends - timedelta(days=days)
    weeks = tuple(
        Window(began_at + timedelta(days=n), min(began_at + timedelta(days=n + 7), ends), ends)
        for n in range(0, days, 7)
    )
    observed = observe(files, ends, plan.cluster)
    # The simulator draws the names of lone jobs from a few, and its truth knows no resubmission.
    jobs = observed["job_attempts"]
    own = pl.when(pl.col("run").is_null()).then(pl.format("{} {}", "name", "job_id"))
    observed["job_attempts"] = jobs.with_columns(own.otherwise("name").alias("name"))
    print(
        f"  {len(observed['steps']):,} step records; simulated and read in {time.process_time() - began:.0f} CPU-s"
    )
    began = time.process_time()
    report(files, observed, weeks, plan.main.run)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"  derived {1 + len(BLOCKS)} times in {time.process_time() - began:.0f} CPU-s; greatest memory {peak:.1f} GB"
    )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given) if len(given) == 2 else main(2_048, 54)
