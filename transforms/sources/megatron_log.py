"""Console logs of Megatron-LM and what is built on it: iterations, saves, loads, start-up.

     [2026-03-02 08:00:12] iteration       10/    1000 | consumed samples:          160 | elapsed time per iteration (ms): 1147.6 | learning rate: 0.000000E+00 |

An iteration line ends an interval of several iterations and tells how long one took; its steps are
spread evenly over that much time before it. What is left of the time since the line before is what
happened in between: a save or an evaluation, as long as its timer says (`save-checkpoint ...:
(min, max)`), or an even share of what is left. Those lines have no stamp of their own, so they are
placed after the iteration that they name. Saves that were scheduled (async) are safe by the next
stamp after `successfully saved`.

`using world size` and `[after megatron is initialized]` begin an attempt: a log to which a requeued
job appends holds several. Start-up lasts until `[before the start of training step]`, a load ends
at the next stamp. Stamps are local times.
"""

import re
from dataclasses import dataclass, field

import polars as pl

from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.console import (
    NO_STAMP,
    attempt_of,
    colourless,
    console_lines,
    holding,
    stamped,
)
from transforms.sources.console_run import IMPOSSIBLE
from transforms.sources.train_intervals import Interval, Pause, plain_stretches
from transforms.sources.train_rows import U32, Told
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

SAID = "told before"
_WORDS = (
    r"iteration\s+\d+/|saving checkpoint at iteration|successfully saved checkpoint from iteration"
    r"|scheduled an async checkpoint save at iteration|loading checkpoint from"
    r"|successfully loaded checkpoint|\] datetime: |(?:save-checkpoint|load-checkpoint|evaluate) ?\.*:"
    r"|validation loss at iteration|using world size:"
)
_NUMBER = r"(\d{1,15})\b"
_LINES = {
    "iteration": rf"\biteration\s+{_NUMBER}/\s*(\d{{1,15}}|infinity)\s*\|.*elapsed time per iteration \(ms\):\s*(\d{{1,12}}(?:\.\d+)?)\b",
    "save": rf"(?<!successfully )saving checkpoint at iteration\s+{_NUMBER}",
    "async": rf"scheduled an async checkpoint save at iteration\s+{_NUMBER}",
    "saved": rf"successfully saved checkpoint from iteration\s+{_NUMBER}",
    "loaded": rf"successfully loaded checkpoint .*at iteration\s+{_NUMBER}",
    "load": r"loading checkpoint from",
    "moment": r"\[([^\]]+)\] datetime: (\S.*)$",
    "timer": r"(save-checkpoint|load-checkpoint|evaluate) ?\.*: \(?(?:[\d.]+, )?(\d{1,12}(?:\.\d+)?)\)?",
    "eval": rf"validation loss at iteration\s+{_NUMBER}",
    "world": rf"using world size: {_NUMBER}",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _LINES.items()}
_TORN = re.compile(r"\biteration\s+\d+/\s*\S*\s*\|")


@dataclass
class _Log:
    """One file as it is read: the attempt, and what awaits a stamp."""

    told: Told
    origin: Origin
    restart: int = 0
    gpus: int | None = None
    interval: Interval = field(default_factory=Interval)
    first_at: int | None = None
    last_at: int | None = None
    is_headed: bool = False
    load: tuple[int, int | None] | None = None
    loaded: int | None = None
    took: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.who = attempt_of(self.origin, self.restart)

    def seen(self, line_no: int, at: int) -> None:
        """A stamp: the first of an attempt is its start, and what awaited one is settled."""
        if self.first_at is None and self.is_headed:
            self.told.mark(self.who, line_no, "job_start", at, at, gpus=self.gpus)
        self.first_at = at if self.first_at is None else self.first_at
        if self.load is not None and self.loaded is not None:
            load_line, began = self.load
            took = self.took.pop("load-checkpoint", None)
            if began is None:
                began = at - took if took is not None else (self.last_at or at)
            self.told.checkpoint(self.who, load_line, "restore", self.loaded, min(began, at), at)
            self.load = None
        self.interval.safe_by(at)
        self.last_at = at

    def begin_anew(self) -> None:
        """A process starts: another attempt, if the one before had trained."""
        if self.interval.step is not None:
            self.interval.close(self.told, self.who)
            self.restart += 1
            self.who = attempt_of(self.origin, self.restart)
            self.interval, self.first_at, self.last_at = Interval(), None, None
            self.load = self.loaded = self.gpus = None
            self.took = {}
        self.is_headed = True

    def take(self, line_no: int, kind: str, found: re.Match[str], at: int | None) -> str | None:
        """Read one line; give the reason if it is refused."""
        if kind == "iteration":
            if at is None:
                return NO_STAMP
            took = round(float(found[3]) * 1000)
            if found[2].isdigit() and int(found[1]) > int(found[2]):
                return "iteration beyond the last"
            step = int(found[1])
            if (step, at) == (self.interval.step, self.interval.at):
                return SAID
            if not self.interval.tell(self.told, self.who, line_no, step, at, took):
                return IMPOSSIBLE
            self.seen(line_no, at)
        elif kind == "moment":
            self._moment(line_no, found[1], at)
        elif kind in ("save", "eval"):
            self.interval.pause(Pause(line_no, kind, int(found[1]), at))
        elif kind in ("async", "saved"):
            self.interval.saved(int(found[1]), at, is_async=kind == "async")
        elif kind == "timer":
            self._timer(found[1], round(float(found[2]) * 1000))
        elif kind == "load":
            self.load = self.load or (line_no, at)
        elif kind == "loaded":
            self.loaded = int(found[1])
        elif kind == "world":
            self.begin_anew()
            self.gpus = int(found[1]) if 0 < int(found[1]) <= U32 else None
        if at is not None and kind not in ("iteration", "moment"):
            self.seen(line_no, at)
        return None

    def _moment(self, line_no: int, name: str, at: int | None) -> None:
        if name == "after megatron is initialized":
            self.begin_anew()
        if at is None:
            return
        first = self.first_at
        self.seen(line_no, at)
        if name == "before the start of training step":
            self.interval.start(self.loaded or 0, at)
            if first is not None:
                self.told.mark(self.who, line_no, "init", first, at)
        elif name == "after training is done":
            self.told.mark(self.who, line_no, "finished", at, at)
        elif name.startswith("exiting program"):
            self.told.mark(self.who, line_no, "job_end", at, at, note=name)

    def _timer(self, name: str, took: int) -> None:
        if name == "load-checkpoint":
            self.took[name] = took
        else:
            self.interval.timed("save" if name == "save-checkpoint" else "eval", took)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves, loads and marks; see the module's docstring for the format."""
    lines = console_lines(data)
    ours = stamped(holding(lines, _WORDS), origin)
    moments = ours.filter(pl.col("line").str.contains("] datetime: ", literal=True)).select(
        "line_no", "line"
    )
    late = stamped(moments.with_columns(head=pl.col("line")), origin)
    at_moment = dict(zip(late["line_no"], late["at"], strict=True))
    log = _Log(Told(origin), origin)
    log.interval.every = _every(ours)
    reader = _Reader(log, at_moment)
    ours = plain_stretches(_with_steps(ours)).with_row_index("row")
    runs = {
        run["row"][0]: run for run in ours.drop_nulls("plain").partition_by("plain") if len(run)
    }
    columns = ("line_no", "line", "at", "fault")
    for row, *line in ours.filter(pl.col("plain").is_null()).select("row", *columns).iter_rows():
        reader.read(*line)
        if (run := runs.get(row + 1)) is None:
            continue
        if log.interval.tell_plain(log.told, log.who, run):
            log.last_at = log.interval.at
            reader.used += len(run)
        else:
            for said in run.select(columns).iter_rows():
                reader.read(*said)
    log.interval.close(log.told, log.who)
    return Parsed(
        frames=log.told.frames(),
        rejects=rejects(reader.refused),
        records=len(lines),
        accepted=reader.used,
        rejected=len(reader.refused),
        ignored=len(lines) - reader.used - len(reader.refused),
    )


@dataclass
class _Reader:
    """Reads line after line into a log; `at_moment` has the stamps that stand in a message."""

    log: _Log
    at_moment: dict[int, int | None]
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    used: int = 0

    def read(self, line_no: int, line: str, at: int | None, fault: str | None) -> None:
        kind, found = next(
            ((k, m) for k, p in _PATTERNS.items() if (m := p.search(line))), ("", None)
        )
        if found is None:
            if _TORN.search(line):
                self.refused.append(
                    (line_no, "iteration line without its elapsed time per iteration", line)
                )
            return
        at = self.at_moment.get(line_no) if kind == "moment" else at
        try:
            trouble = self.log.take(line_no, kind, found, at)
        except (OverflowError, ValueError):  # 1e309 seconds, five thousand digits
            trouble = "a number beyond all measure"
        if trouble == NO_STAMP:
            trouble = fault
        if trouble is not None and trouble != SAID:
            self.refused.append((line_no, trouble, line))
        self.used += trouble is None


def _with_steps(ours: pl.DataFrame) -> pl.DataFrame:
    """Add step, took (microseconds) and is_sound of iteration lines, else null."""
    step, last, took = (pl.col("line").str.extract(_LINES["iteration"], nth) for nth in (1, 2, 3))
    read = ours.with_columns(
        step=step.cast(pl.Int64, strict=False),
        took=(took.cast(pl.Float64, strict=False) * 1000)
        .round(mode="half_to_even")
        .cast(pl.Int64, strict=False),
        last=last.cast(pl.Int64, strict=False),
    )
    is_within = pl.col("last").is_null() | (pl.col("step") <= pl.col("last"))
    is_sound = pl.col("at").is_not_null() & pl.col("took").is_not_null() & is_within
    return read.with_columns((pl.col("step").is_not_null() & is_sound).alias("is_sound"))


def _every(ours: pl.DataFrame) -> int:
    """The usual number of iterations from one line to the next."""
    numbers = ours["line"].str.extract(_LINES["iteration"], 1).cast(pl.Int64, strict=False)
    apart = numbers.drop_nulls().diff()
    usual = apart.filter(apart > 0).mode()
    return int(usual.min()) if len(usual) else 1  # type: ignore[arg-type]


def sniff(head: str, name: str) -> int:
    """Surely, if an iteration line is there; perhaps, where a start-up of Megatron is."""
    head = colourless(head)
    if re.search(_LINES["iteration"], head):
        return 2
    return int("[after megatron is initialized] datetime: " in head)


SOURCE = Source(
    name="megatron_log",
    title="Console log of Megatron-LM: iterations, saves, loads, start-up",
    example=" [2026-03-02 08:00:12] iteration       10/    1000 | consumed samples:          160 | elapsed time per iteration (ms): 1147.6 | learning rate: 0.000000E+00 |",
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
