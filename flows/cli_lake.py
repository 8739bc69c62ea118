"""The commands that keep the lake itself going and in shape."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

Lake = Annotated[
    Path, Parameter(name="--lake", env_var="FAULTLEDGER_LAKE", help="The lake's folder.")
]


def compact(*, lake: Lake = Path("lake")) -> int:
    """Fold samples that came late into the files of their hours. `derive` does so as well.

    Example: `faultledger compact --lake /srv/lake`
    """
    from flows import verbs_lake

    return verbs_lake.compact(lake)


def retain(
    *,
    lake: Lake = Path("lake"),
    dry_run: Annotated[bool, Parameter(help="Say what would go; drop nothing.")] = False,
    as_of: Annotated[str | None, Parameter(help="The present moment, for a trial.")] = None,
) -> int:
    """Drop samples and rollups older than `[retention]` in settings.toml allows; without it nothing.

    Example: `faultledger retain --dry-run`
    """
    from flows import verbs_lake
    from flows.cli import _now

    return verbs_lake.retain(lake, _now(as_of), dry_run)


def schedule(
    inbox: Annotated[list[Path], Parameter(help="Folders to ingest.")],
    /,
    *,
    lake: Lake = Path("lake"),
) -> int:
    """Serve the flows: ingest and derive every hour, report when a week closes.

    Example: `faultledger schedule /var/log/slurm --lake /srv/lake`
    """
    from flows.demo import be_discreet

    be_discreet()
    from flows import schedule as schedules

    schedules.run(lake, inbox)
    return 0


def register(app: App) -> None:
    for command in (compact, retain, schedule):
        app.command(command)
