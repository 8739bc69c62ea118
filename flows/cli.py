"""faultledger: what failed, how often really, what it cost, and what to do this week."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from flows import (
    __version__,
    cli_about,
    cli_causes,
    cli_fleet,
    cli_lake,
    cli_lives,
    cli_machines,
    cli_nodes,
    cli_runs,
    cli_samples,
    cli_studies,
    output,
)
from flows.errors import CallError, DataError
from flows.output import tell

LAKE = Parameter(name="--lake", env_var="FAULTLEDGER_LAKE", help="The lake's folder.")
Lake = Annotated[Path, LAKE]
PLAIN = Parameter(
    negative="--flow",
    help="Without or as a Prefect flow run; by default a flow where PREFECT_API_URL is set.",
)
Plain = Annotated[bool | None, PLAIN]
AsOf = Annotated[str | None, Parameter(help="The present moment, for runs that can be repeated.")]
Day = Annotated[date | None, Parameter(help="UTC day, such as 2026-03-02.")]

app = App(name="faultledger", help=__doc__, version=__version__, help_format="markdown")


@app.command
def demo(*, lake: Path = Path("demo/lake")) -> int:
    """Take the sample data through the real flows to a finished report, in a fresh lake.

    Example: `faultledger demo`
    """
    from flows.demo import demo as run

    return run(lake, _now(None))


@app.command
def analyze(
    paths: Annotated[list[Path], Parameter(help="Files and folders.")],
    /,
    *,
    lake: Lake = Path("lake"),
    cluster: Annotated[str, Parameter(help="Cluster of files that name none.")] = "",
    node: Annotated[str, Parameter(help="Node of files that name none.")] = "",
    zone: Annotated[str | None, Parameter(help="Zone of times without an offset.")] = None,
    as_of: AsOf = None,
) -> int:
    """Ingest, derive and report in one go: what you have on disk, to the headline of its last week.

    Run it again with more files whenever you like: what the lake knows is not read twice.

    Example: `faultledger analyze /var/log/slurm kernel-logs/ train/*.ndjson --cluster alpha`
    """
    from flows import verbs
    from flows.analyze import analyze as run
    from flows.reading import Options

    options = Options(cluster=cluster, node=node, zone=verbs.zone(zone))
    return run(paths, lake, options, _now(as_of))


@app.command
def ingest(
    paths: Annotated[list[Path] | None, Parameter(help="Files and folders.")] = None,
    /,
    *,
    lake: Lake = Path("lake"),
    source: Annotated[str | None, Parameter(name="--as", help="Read all as this source.")] = None,
    mapping: Annotated[
        Path | None, Parameter(name="--map", help="Read all through this mapping (SQL).")
    ] = None,
    cluster: Annotated[str, Parameter(help="Cluster of files that name none.")] = "",
    node: Annotated[str, Parameter(help="Node of files that name none.")] = "",
    zone: Annotated[str | None, Parameter(help="Zone of times without an offset.")] = None,
    booted: Annotated[str | None, Parameter(help="When the node of a dmesg booted.")] = None,
    modified: Annotated[
        str | None, Parameter(help="The files' own time, if copying lost it.")
    ] = None,
    max_reject_share: Annotated[float, Parameter(help="Refuse a file worse than this.")] = 1.0,
    again: Annotated[bool, Parameter(help="Read known bytes anew, replacing their rows.")] = False,
    dry_run: Annotated[bool, Parameter(help="Say what would be read; write nothing.")] = False,
    format: Annotated[
        Literal["table", "csv", "json"], Parameter(help="csv and json list every file.")
    ] = "table",
    plain: Plain = None,
    as_of: AsOf = None,
) -> int:
    """Read files and folders of any known format. The same bytes twice change nothing.

    A format that nobody knows is read through a mapping: one SELECT, which `faultledger map` begins.

    Example: `faultledger ingest /var/log/slurm sacct.psv --cluster alpha`

    Example: `faultledger ingest tickets.csv --map tickets.sql --dry-run`

    Example: `faultledger ingest --again --map tickets.sql` (the mapping was corrected)
    """
    from flows import verbs
    from flows.reading import Options

    options = Options(
        source=source,
        mapping=mapping,
        cluster=cluster,
        node=node,
        zone=verbs.zone(zone),
        booted=verbs.instant(booted, "--booted"),
        modified=verbs.instant(modified, "--modified"),
        max_reject_share=max_reject_share,
        is_dry_run=dry_run,
        is_again=again,
    )
    is_plain = _is_plain(plain) or dry_run or again
    return verbs.ingest(paths or [], lake, options, _now(as_of), is_plain, format)


@app.command(name="map")
def draft(
    file: Annotated[Path, Parameter(help="A file of the kind.")],
    /,
    *,
    into: Annotated[str | None, Parameter(help="The table to fill; default: a guess.")] = None,
    out: Annotated[Path | None, Parameter(help="Write the mapping to this new file.")] = None,
) -> int:
    """Write a first mapping from a file's own columns, for you to finish; it runs as it is.

    Example: `faultledger map tickets.csv --into outages --out tickets.sql`

    Then: `faultledger ingest tickets.csv --map tickets.sql --dry-run`
    """
    from flows import verbs

    return verbs.draft(file, into, out)


@app.command
def derive(
    *, lake: Lake = Path("lake"), since: Day = None, until: Day = None, plain: Plain = None
) -> int:
    """Conclude incidents, exposure, interruptions and the ledger from what was observed.

    `--until` is the day after the last one.

    Example: `faultledger derive --since 2026-03-02 --until 2026-03-16`
    """
    from flows import verbs

    return verbs.derive(lake, since, until, _is_plain(plain))


@app.command
def report(
    *,
    lake: Lake = Path("lake"),
    week: Annotated[str | None, Parameter(help="ISO week; default: the last whole one.")] = None,
    format: Annotated[
        list[str] | None, Parameter(consume_multiple=True, help="Any of html, md, json.")
    ] = None,
    as_of: AsOf = None,
) -> int:
    """Write the weekly reliability report and print its headline.

    Example: `faultledger report --week 2026-W11 --format html md`
    """
    from flows import verbs

    return verbs.report(lake, week, format, _now(as_of))


@app.command
def sql(
    statement: Annotated[
        str | None, Parameter(help="SQL, or a .sql file; default: standard input, or a prompt.")
    ] = None,
    /,
    *,
    lake: Lake = Path("lake"),
    format: output.Format = "table",
    out: Annotated[Path | None, Parameter(help="Write the answer to this file.")] = None,
    sandbox: Annotated[bool, Parameter(help="See the lake's tables and nothing else.")] = False,
) -> int:
    """Run one SQL statement of DuckDB over the lake's tables and views.

    Example: `faultledger sql "SELECT node, count(*) FROM node_states GROUP BY ALL" --format csv`
    """
    from flows import verbs

    return verbs.sql(lake, statement, format, out, sandbox)


@app.command
def ask(
    name: Annotated[str | None, Parameter(help="The question; default: list them.")] = None,
    /,
    *,
    lake: Lake = Path("lake"),
    format: output.Format = "table",
    **values: Annotated[str, Parameter(help="A value for $NAME, such as --since 2026-03-02.")],
) -> int:
    """Answer a saved question of sql/questions.

    Example: `faultledger ask week_causes --since 2026-03-02 --until 2026-03-09`

    Example: `faultledger ask why-was-my-run-slow --run llm-70b`
    """
    from flows import verbs

    return verbs.ask(lake, name, values, format)


@app.command
def check(*, lake: Lake = Path("lake")) -> int:
    """Run the data-quality checks; end with 1 when one of them finds something.

    Example: `faultledger check`
    """
    from flows import verbs

    return verbs.check(lake)


cli_studies.register(app)
cli_causes.register(app)
cli_machines.register(app)
cli_lives.register(app)
cli_nodes.register(app)
cli_fleet.register(app)
cli_runs.register(app)
cli_samples.register(app)
cli_lake.register(app)
cli_about.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 fine, 1 the data has problems, 2 the call is wrong."""
    try:
        done: Any = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        return _fail(" ".join(str(error).split()), 2, "See `faultledger --help`.")
    except CallError as error:
        return _fail(str(error), 2)
    except DataError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:  # the reader of a pipe has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return done if isinstance(done, int) else 0


def _fail(message: str, code: int, advice: str = "") -> int:
    tell(" ".join(filter(None, [f"faultledger: {message}", advice])), to=sys.stderr)
    return code


def _now(as_of: str | None) -> datetime:
    from flows import verbs

    return verbs.instant(as_of, "--as-of") or datetime.now(UTC)


def _is_plain(plain: bool | None) -> bool:
    return "PREFECT_API_URL" not in os.environ if plain is None else plain
