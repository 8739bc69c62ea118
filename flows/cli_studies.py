"""The commands that answer studies: rates, comparisons and what else `transforms.studies` holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from flows import output

if TYPE_CHECKING:
    from transforms.studies import Asked


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """What every study takes."""

    lake: Annotated[
        Path, Parameter(name="--lake", env_var="FAULTLEDGER_LAKE", help="The lake's folder.")
    ] = Path("lake")
    since: Annotated[date | None, Parameter(help="First UTC day; default: all.")] = None
    until: Annotated[date | None, Parameter(help="Day after the last one.")] = None
    clock: Annotated[str, Parameter(help="wall, in_service or allocated.")] = "in_service"
    definition: Annotated[str, Parameter(help="What is a failure.")] = "coalesced-180s"
    klass: Annotated[str, Parameter(name="--class", help="Count this class alone.")] = "all"
    level: Annotated[float, Parameter(help="Of the intervals.")] = 0.95
    format: output.Format = "table"
    out: Annotated[Path | None, Parameter(help="Write the answer to this file.")] = None


COMMON = Common()


def rates(
    by: Annotated[str, Parameter(help="Columns.")] = "cluster", *, common: Common = COMMON
) -> int:
    """Failure rates by place (cluster, provider, hall, rack, node), period (day, week, month) or
    kind (class, component), with intervals and whether they may be believed.

    Example: `faultledger rates hall,week --class GPU --since 2026-03-02`
    """
    return answer_study("rates", common, {"by": by})


def compare(
    first: Annotated[str, Parameter(help="hall=H1, or 2026-03-02..2026-03-09, or both.")],
    second: Annotated[str, Parameter(help="The same form.")],
    *,
    across_detectors: Annotated[
        bool, Parameter(negative="", help="Also where other detectors counted one side.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """Two places or two periods: the exact ratio of their rates (second over first).

    Example: `faultledger compare 2026-03-02..2026-03-09 2026-03-09..2026-03-16`
    """
    return answer_study(
        "compare",
        common,
        {"first": first, "second": second, "across_detectors": "yes" if across_detectors else "no"},
    )


def register(app: App) -> None:
    for command in (compare, rates):
        app.command(command)


def asked_of(name: str, common: Common, options: Mapping[str, str]) -> "Asked":
    """What the command line asks of a study, checked."""
    from flows.errors import CallError
    from transforms.studies import Asked, RefusalError

    try:
        return Asked(
            since=common.since,
            until=common.until,
            clock=common.clock,
            definition=common.definition,
            klass=common.klass,
            level=common.level,
            options=options,
        )
    except RefusalError as error:
        raise CallError(f"{name}: {error}.") from error


def answer_study(name: str, common: Common, options: Mapping[str, str]) -> int:
    from flows import studying

    asked = asked_of(name, common, options)
    output.show(studying.answer(common.lake, name, asked), common.format, common.out)
    return 0
