"""What each command does, and how it says so; the command line itself is in `flows/cli.py`."""

import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

from flows import losses, output, settings, warehouse
from flows.errors import CallError, DataError, RefusedError
from flows.output import tell
from flows.progress import progress
from flows.share import header, sql_files
from transforms.contract import ContractError

SHOWN = 5  # rows of a failed check


def ingest(
    paths: list[Path],
    root: Path,
    options: object,
    now: datetime,
    is_plain: bool,
    form: output.Format = "table",
) -> int:
    from flows import ingest as ingesting
    from flows import tally
    from flows.reading import Options

    options = cast(Options, options)
    if not (paths or options.is_again):
        raise CallError("no file or folder named. See `faultledger ingest --help`.")
    if not options.is_again and (cut_short := ingesting.unfinished(root)):
        tell(
            f"{cut_short} files wait to be read again: repeat the `ingest --again` that was cut short.",
            to=sys.stderr,
        )
    if is_plain:
        with progress("ingest") as tick:
            report = ingesting.ingest(paths, root, options, now, tick)
    else:
        _prepare_prefect()
        from flows import orchestrate

        report = orchestrate.ingest(paths, root, options, now)
    tally.show(report, form, options.is_dry_run)
    if options.is_dry_run and options.mapping and form == "table":
        from flows.previewing import preview

        preview(paths, root, options)
    return 0 if report.is_fine else 1


def draft(file: Path, into: str | None, out: Path | None) -> int:
    from flows import holding, landing, mapping
    from flows.reading import LARGEST

    found = next(iter(landing.walk([file])), None)
    if found is None or file.is_dir() or found.trouble:
        raise CallError(f"{file}: no file to read. Name one file of the kind.")
    if out and out.exists():
        raise CallError(f"{out}: is there already. Name a new file, or remove it.")
    held = holding.hold(found)
    try:
        name = str(out or Path(f"{file.name.split('.')[0]}.sql"))
        text = mapping.draft(held.text().read_all(LARGEST), str(file), into, name)
    except RefusedError as error:
        raise DataError(f"{file}: {error}") from error
    finally:
        held.close()
    if out is None:
        tell(text.rstrip("\n"))
        return 0
    out.write_text(text, encoding="utf-8")
    tell(f"{out}: a first mapping. See what it makes, then finish it:")
    tell(f"  faultledger ingest {file} --map {out} --dry-run")
    return 0


def derive(root: Path, since: date | None, until: date | None, is_plain: bool) -> int:
    from flows import derive as deriving

    try:
        if is_plain:
            with progress("derive") as tick:
                report = deriving.derive(root, since, until, tick)
        else:
            _prepare_prefect()
            from flows import orchestrate

            report = orchestrate.derive(root, since, until)
    except ContractError as error:
        raise DataError(str(error)) from error
    counts = sorted(report.rows.items())
    for line in output.columns(
        ["table", "rows"], [[n, f"{c:,}"] for n, c in counts], [False, True]
    ):
        tell(line)
    tell(
        f"{report.since} to before {report.until}: "
        f"{report.made} stretches made, {report.kept} were current."
    )
    return 0


def report(root: Path, week: str | None, formats: Sequence[str] | None, now: datetime) -> int:
    from flows import weekly

    if strange := sorted(set(formats or ()) - set(weekly.FORMATS)):
        raise CallError(f"no format {', '.join(strange)}: there are {', '.join(weekly.FORMATS)}.")
    last = (weekly.weeks(root, is_whole=True) or weekly.weeks(root) or [""])[-1]
    if not (week or last):
        raise DataError(f"{root}: nothing derived yet. Run `faultledger derive`.")
    chosen = cast(Sequence[weekly.Format], formats or weekly.FORMATS)
    made = weekly.weekly(root, week or last, now, chosen)
    tell(f"Week {made.week}")
    for line in made.headline:
        tell(f"  {line}")
    for path in made.paths.values():
        tell(str(path))
    return 0


def sql(
    root: Path, statement: str | None, form: output.Format, out: Path | None, is_sandbox: bool
) -> int:
    if statement is None and sys.stdin.isatty():
        return _prompt(root, form, is_sandbox)
    if statement is None:
        statement = sys.stdin.read()
    elif statement.endswith(".sql") and Path(statement).is_file():
        statement = Path(statement).read_text(encoding="utf-8")
    output.show(warehouse.query(root, statement, is_sandbox=is_sandbox), form, out)
    return 0


def _prompt(root: Path, form: output.Format, is_sandbox: bool) -> int:
    tell("End a statement with ; and leave with Ctrl-D. DESCRIBE shows a table's columns.")
    held = ""
    while True:
        try:
            held += input("sql> " if not held else "...> ") + "\n"
        except EOFError:
            return 0
        if held.rstrip().endswith(";"):
            try:
                output.show(warehouse.query(root, held, is_sandbox=is_sandbox), form)
            except CallError as error:
                tell(str(error))
            held = ""


def ask(root: Path, name: str | None, values: Mapping[str, str], form: output.Format) -> int:
    if name is None:
        told = [[path.stem, header(path).split("\n")[0]] for path in sql_files("questions")]
        for line in output.columns(["question", "what it answers"], told, [False, False]):
            tell(line)
        return 0
    name = name.replace("-", "_")
    given = {
        n.replace("-", "_"): text if n == "run" else _value(text) for n, text in values.items()
    }
    if name == losses.QUESTION:
        return losses.tell_losses(root, given, form)
    if not given.keys() & {"since", "until"}:
        given |= _last_week(root, name)
    output.show(warehouse.ask(root, name, given), form)
    return 0


def _last_week(root: Path, name: str) -> dict[str, object]:
    """$since and $until of a question nobody gave days for: the week that a report would be of."""
    from flows import weekly

    if "$since" not in warehouse.question(name).read_text(encoding="utf-8"):
        return {}
    weeks = weekly.weeks(root, is_whole=True) or weekly.weeks(root)
    return dict(zip(("since", "until"), weekly.days_of(weeks[-1]), strict=True)) if weeks else {}


def check(root: Path) -> int:
    found = warehouse.failed_checks(root)
    about = {path.stem: header(path).split("\n")[0] for path in sql_files("checks")}
    for name, rows in found.items():
        tell(f"{name}: {rows.height:,} rows. {about[name]}")
        shown = output.table(rows.head(SHOWN)).rstrip("\n").split("\n")
        for line in shown[: SHOWN + 2]:
            tell(f"  {line}")
        if rows.height > SHOWN:
            tell(f"  ... see all: faultledger sql {_path(name)}")
    tell(f"{len(about) - len(found)} of {len(about)} checks found nothing.")
    return 1 if found else 0


def simulate(out: Path, gpus: int, days: int, seed: int) -> int:
    from transforms.simulate import Scenario
    from transforms.simulate import simulate as imagine

    if out.exists() and any(out.iterdir()):
        raise CallError(f"{out}: not empty. Name a new folder.")
    try:
        scenario = Scenario.of(gpus, days, seed)
    except ValueError as error:
        raise CallError(str(error)) from error
    with progress("simulate") as tick:
        files = imagine(scenario, lambda stage: tick(stage, 0, 1))
    for name, data in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    size = sum(map(len, files.values())) / 1e6
    tell(f"{len(files)} files, {size:.1f} MB in {out}; what was planted is in {out / 'truth'}.")
    return 0


def sources() -> int:
    from flows import known

    for source in known.sources().values():
        tell(f"{source.name}: {source.title}")
        tell(f"    makes {', '.join(table.name for table in source.makes) or 'nothing: set aside'}")
        for line in source.example.splitlines():
            tell(f"    {line}")
    return 0


def tables(name: str | None) -> int:
    from transforms.tables import ALL, BY_NAME

    if name is None:
        told = [[t.name, t.room, f"one row per {t.grain}"] for t in ALL]
        lines = output.columns(["table", "room", "grain"], told, [False] * 3)
    elif name not in BY_NAME:
        raise CallError(f"no table {name}: there are {', '.join(sorted(BY_NAME))}.")
    else:
        table = BY_NAME[name]
        tell(f"{name} ({table.room}): one row per {table.grain}. Key: {', '.join(table.key)}.")
        told = [
            [column, output.type_name(dtype), table.meanings[column]]
            for column, dtype in table.dtypes.items()
        ]
        lines = output.columns(["column", "type", "meaning"], told, [False] * 3)
    for line in lines:
        tell(line)
    return 0


def instant(text: str | None, option: str) -> datetime | None:
    try:
        return None if text is None else settings.instant(text)
    except ValueError as error:
        raise CallError(f"{option} {text}: no instant. Write it like 2026-03-02T10:15Z.") from error


def zone(name: str | None) -> str | None:
    try:
        return name and ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:
        raise CallError(f"--zone {name}: no such zone. Write it like Europe/Berlin.") from error


def _prepare_prefect() -> None:
    from flows.demo import be_discreet

    be_discreet()


def _value(text: str) -> object:
    """A day where it reads as one, else a number, else the text."""
    for read in (date.fromisoformat, int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _path(check: str) -> Path:
    return next(path for path in sql_files("checks") if path.stem == check)
