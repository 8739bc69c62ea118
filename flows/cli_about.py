"""The commands that tell of the tool itself: what it reads, what it keeps, and a fleet to try it on."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter


def simulate(
    out: Annotated[Path, Parameter(help="A new or empty folder.")],
    /,
    *,
    gpus: Annotated[int, Parameter(help="About how many GPUs.")] = 384,
    days: Annotated[int, Parameter(help="How many days from 2026-03-02.")] = 14,
    seed: Annotated[int, Parameter(help="Another seed, another history.")] = 1,
) -> int:
    """Write a fleet's records in real formats, with the planted truth beside them.

    Example: `faultledger simulate --gpus 1024 --days 28 --seed 7 fleet`
    """
    from flows import verbs

    return verbs.simulate(out, gpus, days, seed)


def sources() -> int:
    """List what can be read, with a real line of each.

    Example: `faultledger sources`
    """
    from flows import verbs

    return verbs.sources()


def tables(name: str | None = None, /) -> int:
    """List the tables, or the columns of one with their units and meanings.

    Example: `faultledger tables gpu_time`
    """
    from flows import verbs

    return verbs.tables(name)


def register(app: App) -> None:
    for command in (simulate, sources, tables):
        app.command(command)
