"""The weekly reliability report: the week's questions asked, drawn up, and kept with its moment.

A report that is made again and says something else keeps the earlier answer beside it, in
`as-of-<moment>/`: later records may discard steps that counted when the first one was read.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl

from flows import studying, warehouse
from flows.atomic import publish_bytes
from flows.errors import CallError, DataError
from flows.lake import Lake

Format = Literal["html", "md", "json"]
FORMATS: tuple[Format, ...] = ("html", "md", "json")
WEEK = timedelta(days=7)
LOOK_BACK = timedelta(days=180)
"""How far back suspects are read: 90 days of exposure, and where they end for a node long out."""
TELLING = ("exposure", "incidents", "interruptions", "run_time", "heard_hourly")
"""Tables with something to report: a lake of kernel logs alone has incidents, and no exposure."""
OBSERVED_DAYS = " UNION ".join(f"SELECT day FROM {name}" for name in TELLING) + " ORDER BY day"


class WeekError(CallError):
    """A week cannot be reported: it is misspelt, or nothing was derived for it."""


@dataclass(frozen=True)
class Report:
    """Where a week's report lies, its headline, and its text for those who show it elsewhere."""

    week: str
    paths: dict[Format, Path]
    headline: list[str]
    markdown: str


def weekly(root: Path, week: str, as_of: datetime, formats: Sequence[Format] = FORMATS) -> Report:
    """Write the report of one ISO week, such as 2026-W12, under `reports/<week>/`."""
    from transforms.report import render  # charts take a second to import

    since, until = days_of(week)
    if not any(since <= day < until for day in derived_days(root)):
        known = ", ".join(weeks(root)) or "none: run `faultledger derive`"
        raise WeekError(f"nothing was derived for {week}. Weeks with data are {known}.")
    drawn = render(
        answers(root, since, until),
        since,
        until,
        title=f"Reliability report {week}",
        as_of=f"{as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
    )
    summary = {"week": week, **drawn.summary, "as_of": as_of.astimezone(UTC).isoformat()}
    texts = {
        "html": drawn.html,
        "md": drawn.markdown,
        "json": json.dumps(summary, default=str, indent=1, ensure_ascii=False) + "\n",
    }
    lake = Lake(root)
    folder = lake.report(week)
    with lake.lock(f"report-{week}"):
        _keep_earlier(lake, folder, summary)
        for kind in formats:
            publish_bytes(folder / f"report.{kind}", lake.staging, texts[kind].encode())
    paths = {kind: folder / f"report.{kind}" for kind in formats}
    return Report(week, paths, drawn.headline, drawn.markdown)


def answers(root: Path, since: date, until: date) -> dict[str, Any]:
    """Ask every question of the report, the headline once more for the week before, and the study."""
    from transforms.report import QUESTIONS

    before = {"since": since - (until - since), "until": since}
    with warehouse.open_warehouse(root) as connection:

        def ask(name: str, **days: date) -> Any:
            return warehouse.run_file(connection, warehouse.question(name), days)

        frames = {name: ask(name, since=since, until=until) for name in QUESTIONS}
        frames |= {"week_headline_before": ask("week_headline", **before)}
    return frames | {"week_suspects": suspects(root, until)}


def suspects(root: Path, until: date) -> pl.DataFrame:
    """What the days before `until` say of each node (`faultledger suspects`), on the allocated clock
    where jobs are known; no rows where the lake cannot tell."""
    from transforms.studies import Asked

    for clock in ("allocated", "in_service"):
        try:
            asked = Asked(since=until - LOOK_BACK, until=until, clock=clock)
            return studying.answer(root, "suspects", asked)
        except (CallError, DataError):
            continue
    return pl.DataFrame()


def derived_days(root: Path) -> list[date]:
    return warehouse.query(root, OBSERVED_DAYS)["day"].to_list()


def weeks(root: Path, is_whole: bool = False) -> list[str]:
    """ISO weeks with derived days, or only those of which all seven were."""
    counts: dict[str, int] = {}
    for day in derived_days(root):
        counts[week_of(day)] = counts.get(week_of(day), 0) + 1
    return [week for week, days in counts.items() if days == 7 or not is_whole]


def week_of(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def days_of(week: str) -> tuple[date, date]:
    """Monday of an ISO week and the Monday after."""
    try:
        year, number = week.upper().split("-W")
        monday = date.fromisocalendar(int(year), int(number), 1)
    except ValueError as error:
        raise WeekError(f"{week!r} is no ISO week. Write it like 2026-W12.") from error
    return monday, monday + WEEK


def last_closed_week(now: datetime, close_hours: int) -> str:
    """The latest week whose end lies `close_hours` back: late records have had their time."""
    return week_of((now - timedelta(hours=close_hours)).date() - WEEK)


def _keep_earlier(lake: Lake, folder: Path, summary: dict[str, object]) -> None:
    path = folder / "report.json"
    try:
        earlier = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return
    now = json.loads(json.dumps(summary, default=str))
    if {**earlier, "as_of": ""} == {**now, "as_of": ""}:
        return
    stamp = str(earlier["as_of"]).replace(":", "").replace("+0000", "Z")
    for old in _reports(folder):
        publish_bytes(folder / f"as-of-{stamp}" / old.name, lake.staging, old.read_bytes())


def _reports(folder: Path) -> Iterator[Path]:
    yield from (path for kind in FORMATS if (path := folder / f"report.{kind}").is_file())
