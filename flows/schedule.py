"""The flows on their schedules: ingest an inbox every hour, derive after it, report once a week."""

from pathlib import Path
from typing import Any

from prefect import Flow, serve
from prefect.deployments.runner import EntrypointType, RunnerDeployment

from flows import orchestrate, settings

HOURS_A_DAY = 24


def deployments(root: Path, inbox: list[Path]) -> list[RunnerDeployment]:
    """What `faultledger schedule` serves.

    By module, never by file: a file entrypoint would put flows/ itself first on the import path.
    """
    lake = str(root.resolve())
    take = {"paths": [str(path.resolve()) for path in inbox], "root": lake}
    close = settings.load(root).week_close_hours
    return [
        _deployment(orchestrate.ingest, "hourly", "5 * * * *", take),
        _deployment(orchestrate.derive, "hourly", "20 * * * *", {"root": lake}),
        _deployment(orchestrate.weekly, "weekly", week_closes(close), {"root": lake}),
    ]


def _deployment(
    flow: Flow[..., Any], name: str, cron: str, parameters: dict[str, Any]
) -> RunnerDeployment:
    made = flow.to_deployment(
        name, cron=cron, parameters=parameters, entrypoint_type=EntrypointType.MODULE_PATH
    )
    assert isinstance(made, RunnerDeployment)  # a coroutine only inside an event loop
    return made


def week_closes(hours: int) -> str:
    """The cron line, in UTC, of the hour after Monday 00:00 plus `hours`, at half past."""
    days, hour = divmod(hours, HOURS_A_DAY)
    return f"30 {hour} * * {(1 + days) % 7}"


def run(root: Path, inbox: list[Path]) -> None:
    """Serve until interrupted."""
    serve(*deployments(root, inbox))
