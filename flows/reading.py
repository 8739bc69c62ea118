"""One file read and held to its promises: what it says, or why it is refused whole."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from flows import pieces, settings
from flows.errors import RefusedError
from flows.holding import Held
from flows.packing import Budget
from flows.spooling import Spool
from transforms.contract import Table
from transforms.sources.base import UNKNOWN_SCHEMA, Origin, Parsed, Source, rejects
from transforms.tables import BY_NAME

LARGEST = 2 * 1024**3  # bytes of text that are parsed in one go
COUNTS = ("records", "accepted", "rejected", "ignored")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # a clock before it was never set


@dataclass(frozen=True)
class Options:
    """What the caller knows that the files do not say."""

    source: str | None = None
    mapping: Path | None = None
    cluster: str = ""
    node: str = ""
    zone: str | None = None
    booted: datetime | None = None
    modified: datetime | None = None
    max_reject_share: float = 1.0
    is_dry_run: bool = False
    is_again: bool = False  # known bytes are read, and their rows replaced

    def told(self) -> str | None:
        """The caller's words that the rows of a file depend on, as the arrival keeps them."""
        said = {
            "cluster": self.cluster,
            "node": self.node,
            "zone": self.zone,
            "booted": self.booted and self.booted.isoformat(),
        }
        words = {name: word for name, word in said.items() if word}
        return json.dumps(words) if words else None


def recalled(row: Mapping[str, Any], options: Options) -> Options:
    """The caller's words at the first reading, where the present call says nothing else."""
    told: dict[str, str] = json.loads(row.get("told") or "{}")
    booted = told.get("booted")
    return replace(
        options,
        cluster=options.cluster or told.get("cluster", ""),
        node=options.node or told.get("node", ""),
        zone=options.zone or told.get("zone"),
        booted=options.booted or (datetime.fromisoformat(booted) if booted else None),
    )


@dataclass(frozen=True)
class Taken:
    """One file read and held to its promises, not yet in the lake."""

    held: Held
    source: str
    modified: datetime
    parsed: Parsed
    is_whole_refused: bool
    rows: Mapping[str, int] = field(default_factory=dict)
    spool: Spool | None = None  # of a large file, instead of the parsed frames
    told: str | None = None  # by the caller

    def close(self) -> None:
        self.held.close()
        if self.spool:
            self.spool.close()


def take(
    held: Held, source: Source, options: Options, said: settings.Settings, staging: Path | None
) -> Taken:
    """Read one file; what cannot be taken at all is a refusal with its reason.

    The rows of a large file are spooled below `staging`, if there is one, as far as its source
    can be read in pieces.
    """
    origin = origin_of(held, options, said)
    spool: Spool | None = None
    try:
        text = held.text()
        start = text.read(pieces.PIECE + 1)
        text.check()
        if len(start) > pieces.PIECE and source.pieces:
            spool = Spool.within(staging, source.settle) if staging else None
            parsed, rows = _parse_in_pieces(source, held, start, origin, spool)
        else:
            data = start + text.read_all(LARGEST - len(start))
            parsed = _kept(lambda: source.parse(data, origin))
            rows = {name: frame.height for name, frame in sorted(parsed.frames.items())}
        held.check()
        if parsed.rejected > options.max_reject_share * max(parsed.records, 1):
            raise RefusedError(
                f"{parsed.rejected} of {parsed.records} records refused, more than the allowed "
                f"share of {options.max_reject_share:g}: wrong source or broken file"
            )
    except RefusedError as error:
        if spool:
            spool.close()
        return refused(held, source.name, origin.modified, [(str(error), "")])
    except BaseException:
        if spool:
            spool.close()
        raise
    return Taken(held, source.name, origin.modified, parsed, False, rows, spool, options.told())


def _parse_in_pieces(
    source: Source, held: Held, start: bytes, origin: Origin, spool: Spool | None
) -> tuple[Parsed, dict[str, int]]:
    """Rejects and counts of all pieces, and of their rows, which go to the spool."""
    assert source.pieces
    reading = source.pieces(start, origin)
    for block in pieces.blocks(held.text(Budget(held.size))):
        if not reading.survey(block):
            break
    told: list[pl.DataFrame] = []
    unknown: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for piece in pieces.cut_up(held.text(), reading):
        parsed = _kept(lambda piece=piece: reading.parse(piece))  # type: ignore[misc]
        told.append(parsed.rejects)
        unknown.update(dict(parsed.unknown.iter_rows()))
        if len(unknown) > pieces.MOST_UNKNOWN:
            raise RefusedError(
                f"more than {pieces.MOST_UNKNOWN:,} names that nobody knows: "
                "wrong source or broken file"
            )
        counts.update({name: getattr(parsed, name) for name in COUNTS})
        if counts["rejected"] > pieces.MOST_REJECTS:
            raise RefusedError(
                f"more than {pieces.MOST_REJECTS:,} records refused: wrong source or broken file"
            )
        if spool:
            spool.add(parsed.frames)
        rows.update({name: frame.height for name, frame in parsed.frames.items()})
    whole = Parsed(
        {},
        pl.concat(told),
        pl.DataFrame(sorted(unknown.items()), schema=UNKNOWN_SCHEMA, orient="row"),
        *(counts[name] for name in COUNTS),
    )
    return whole, dict(sorted(rows.items()))


def refused(held: Held, source: str, modified: datetime, why: list[tuple[str, str]]) -> Taken:
    """A file of which nothing, or not all, could be taken: reasons, each with what it is about."""
    told = rejects([(0, reason, about) for reason, about in why])
    parsed = Parsed({}, rejects=told, records=len(why), rejected=len(why))
    return Taken(held, source, modified, parsed, True)


def origin_of(held: Held, options: Options, said: settings.Settings) -> Origin:
    """What is known of a file beside its bytes: the caller's word first, then the lake's."""
    changed = held.modified
    if said.observed_until:  # a copy made later bears the time of copying
        changed = min(changed, said.observed_until)
    return Origin(
        file=held.name,
        modified=options.modified or changed,
        cluster=options.cluster or said.cluster,
        node=options.node,
        zone=options.zone or said.zone,
        booted=options.booted,
    )


def own_time(member: datetime | None, archive: datetime) -> datetime:
    """A member's own time of change where its clock was set and not ahead of the archive's."""
    is_sound = member is not None and EARLIEST < member <= archive + timedelta(days=1)
    return member if is_sound and member is not None else archive


def _kept(parse: Callable[[], Parsed]) -> Parsed:
    """Parse, and hold the parser to its own promises: a fault of ours must not stop an ingest."""
    try:
        parsed = parse()
        if parsed.records != parsed.accepted + parsed.rejected + parsed.ignored:
            raise ValueError(
                f"{parsed.records} records, but {parsed.accepted} accepted, "
                f"{parsed.rejected} rejected and {parsed.ignored} ignored"
            )
        for name, frame in parsed.frames.items():
            broken = BY_NAME[name].broken_rules(BY_NAME[name].conform(frame))
            if faults := {rule: n for rule, n in broken.items() if n and rule != "primary_key"}:
                raise ValueError(f"rows of {name} break {faults}")
        for name, frame in parsed.frames.items():
            parsed = _refuse_unset_clocks(parsed, BY_NAME[name], frame)
    except RefusedError:  # a mapping's own word
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # whatever it is, it is ours
        reason = " ".join(str(error).split())[:300]
        raise RefusedError(f"parser fault: {type(error).__name__}: {reason}") from error
    return parsed


def _refuse_unset_clocks(parsed: Parsed, table: Table, frame: pl.DataFrame) -> Parsed:
    """Rows from before the year 2000 come from a clock that was never set: refuse them."""
    if table.day is None or not (early := frame.filter(pl.col(table.day) < EARLIEST)).height:
        return parsed
    if "line_no" not in early.columns:
        early = early.with_columns(line_no=pl.lit(0, pl.UInt32))
    reason = f"{table.name}.{table.day} lies before 2000: the clock was not set"
    counts = early.group_by("line_no").len().sort("line_no")
    refused = rejects([(line, reason, f"{rows} rows") for line, rows in counts.iter_rows()])
    moved = min(refused.height, parsed.accepted)
    return replace(
        parsed,
        frames={**parsed.frames, table.name: frame.filter(pl.col(table.day) >= EARLIEST)},
        rejects=pl.concat([parsed.rejects, refused]),
        accepted=parsed.accepted - moved,
        rejected=parsed.rejected + moved,
    )
