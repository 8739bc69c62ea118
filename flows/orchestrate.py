"""The flows that Prefect runs: thin skins that add retries, names and a record of each run.

Tasks take names and days and return counts; frames never cross a task's border. Instants come
from the schedule, so that a flow run again for its moment says the same.
"""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows import derive as deriving
from flows import ingest as ingesting
from flows import making, settings, warehouse
from flows import weekly as reporting
from flows.census import Census
from flows.compacting import fold_late
from flows.derive import DeriveReport
from flows.ingest import Batch, IngestReport
from flows.lake import Lake
from flows.progress import progress
from flows.reading import Options

MOST_TASKS = 100  # a flow: each costs the server some 50 ms


@task(
    task_run_name="read-{source}",
    retries=2,
    retry_delay_seconds=5,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def read_files(
    source: str, files: Sequence[ingesting.Found], root: Path, options: Options, now: datetime
) -> IngestReport:
    return ingesting.ingest_batch(Batch(source, tuple(files)), root, options, now)


@task(
    task_run_name="{table}-{first}",
    retries=2,
    retry_delay_seconds=5,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def derive_stretches(
    table: str, first: str, names: list[str], root: Path, since: date | None, until: date | None
) -> int:
    """Make the named stretches of the recipe that makes `table`; return how many were not current."""
    lake = Lake(root)
    with lake.lock("derive"):
        census = Census(lake)
        planned = deriving.plan(lake, since, until, census)
        named = [stretch for stretch in planned if stretch.name in set(names)]
        return making.make_all(lake, named, census)


@task(retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE, persist_result=False)
def refresh_warehouse(root: Path) -> None:
    warehouse.refresh(root)


@flow(name="ingest", flow_run_name="ingest-{root}", description=ingesting.__doc__)
def ingest(
    paths: list[Path],
    root: Path,
    options: Options = Options(),  # noqa: B008  (frozen)
    now: datetime | None = None,
) -> IngestReport:
    """Take files into the lake. Safe to run again."""
    planned = ingesting.plan(paths, options)
    with progress("ingest") as tick:
        reports = []
        for done, batch in enumerate(planned.batches):
            tick(batch.source, done, len(planned.batches))
            reports.append(read_files(batch.source, batch.files, root, options, now or scheduled()))
        refresh_warehouse(root)
    report = ingesting.together([*reports, IngestReport(list(planned.aside), {})])
    gained = ", ".join(f"{rows} {table}" for table, rows in report.gained.items() if rows)
    get_run_logger().info("%d files; gained %s", len(report.files), gained or "nothing")
    return report


@flow(name="derive", flow_run_name="derive-{root}", description=deriving.__doc__)
def derive(root: Path, since: date | None = None, until: date | None = None) -> DeriveReport:
    """Make every derived table, for the days [since, until) or all. Safe to run again."""
    fold_late(Lake(root))
    stretches = deriving.plan(Lake(root), since, until)
    most = math.ceil(len(stretches) / MOST_TASKS)
    made = 0
    with progress("derive") as tick:
        for table, group in groupby(stretches, key=lambda s: s.recipe.makes[0].name):
            for some in batched([s.name for s in group], most):
                tick(table, made, len(stretches))
                made += derive_stretches(table, some[0], some, root, since, until)
        if since is None and until is None:
            deriving.forget_unobserved(Lake(root), stretches)
        refresh_warehouse(root)
    report = deriving.summary(Lake(root), stretches, made)
    rows = ", ".join(f"{count} {table}" for table, count in report.rows.items())
    get_run_logger().info("%s to before %s: %s", report.since, report.until, rows)
    return report


@task(retries=2, retry_delay_seconds=5, cache_policy=NO_CACHE, persist_result=False)
def write_report(root: Path, week: str, as_of: datetime) -> reporting.Report:
    return reporting.weekly(root, week, as_of)


@flow(name="weekly", flow_run_name="weekly-{root}", description=reporting.__doc__)
def weekly(root: Path, week: str | None = None, as_of: datetime | None = None) -> list[str]:
    """Write one week's report, by default the latest closed one; return its headline."""
    as_of = as_of or scheduled()
    closed = reporting.last_closed_week(as_of, settings.load(root).week_close_hours)
    report = write_report(root, week or closed, as_of)
    link = f"[{report.paths['html']}]({report.paths['html'].resolve().as_uri()})"
    create_markdown_artifact(
        key=f"weekly-{report.week.lower()}",
        description=f"Weekly reliability report {report.week}",
        markdown=f"Full report: {link}\n\n{report.markdown}",
    )
    get_run_logger().info("%s: %s", report.week, "; ".join(report.headline))
    return report.headline


def scheduled() -> datetime:
    """The moment that this flow run is for."""
    return flow_run.get_scheduled_start_time().astimezone(UTC)


def batched(names: list[str], most: int) -> list[list[str]]:
    return [names[start : start + most] for start in range(0, len(names), most)]
