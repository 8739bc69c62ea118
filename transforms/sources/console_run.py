"""What console logs say of a run's life: when a process starts, begins to train, saves and ends.

One reader of lines feeds it, whatever the format. Attempts are counted within the file: a process
that starts after steps were made is the next one. Of many ranks that print the same lines only the
first that prints a step is listened to.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from re import Match, Pattern

import polars as pl

from transforms.sources.base import Origin, Parsed, rejects
from transforms.sources.console import attempt_of, console_lines, holding, stamped
from transforms.sources.train_intervals import Interval, Pause
from transforms.sources.train_rows import U32, Told

IMPOSSIBLE = "step that took longer than a day, or more steps at once than a log tells"
_VOICE = r"(\[rank\d+\]|\[default\d+\]|\[\d+,\d+\]<std\w+>|^\s*\d+: )"


@dataclass
class _Load:
    """A load of a checkpoint; its step may be known only once training goes on from it."""

    line_no: int
    began: int
    step: int | None
    ended: int | None = None


@dataclass
class ConsoleRun:
    """A run as far as its log was read; instants and lengths in microseconds."""

    told: Told
    origin: Origin
    restart: int = 0
    gpus: int | None = None
    interval: Interval = field(default_factory=Interval)
    first_at: int | None = None
    is_headed: bool = False
    trains: bool = False
    load: _Load | None = None

    def __post_init__(self) -> None:
        self.who = attempt_of(self.origin, self.restart)

    def begin(self) -> None:
        """A process starts: another attempt, if the one before had come to train."""
        if self.trains or self.interval.step is not None:
            self.close()
            self.restart += 1
            self.who = attempt_of(self.origin, self.restart)
            self.interval, self.first_at, self.gpus = Interval(), None, None
            self.trains, self.load = False, None
        self.is_headed = True

    def has_gpus(self, count: int) -> None:
        self.gpus = count if 0 < count <= U32 else self.gpus

    def seen(self, line_no: int, at: int) -> None:
        """A stamp: what was reported saved is safe by then, and a headed attempt has a start."""
        if self.first_at is None:
            self.first_at = at
        self.interval.safe_by(at)

    def starts_training(self, line_no: int, step: int, at: int) -> None:
        """Start-up is over; the steps after `step` begin."""
        if self.trains:
            return
        self.trains = True
        self._tell_load(step)
        self._starts_up(line_no, at)
        self.interval.start(step, at)

    def step(
        self, line_no: int, step: int, at: int, took: int, tokens: int | None = None
    ) -> bool | str:
        """A line of a step; false if it was told before, a reason if it cannot be."""
        if (step, at) == (self.interval.step, self.interval.at):
            return False
        if not self.interval.tell(self.told, self.who, line_no, step, at, took, tokens):
            return IMPOSSIBLE
        self._tell_load(step - 1)
        if not self.trains:
            self._starts_up(line_no, at - took)
        self.trains = True
        return True

    def _starts_up(self, line_no: int, until: int) -> None:
        if self.is_headed and self.first_at is not None and self.first_at <= until:
            began = self.first_at
            self.told.mark(self.who, line_no, "job_start", began, began, gpus=self.gpus)
            self.told.mark(self.who, line_no, "init", began, until)

    def saves(self, line_no: int, step: int, at: int) -> None:
        self.interval.pause(Pause(line_no, "save", step, at))

    def loads(self, line_no: int, at: int, step: int | None, ended: int | None = None) -> None:
        """A load begins, of the checkpoint of `step` or of what training goes on from."""
        self.load = _Load(line_no, at, step, ended)

    def has_loaded(self, at: int) -> None:
        """The load that began is over."""
        if self.load is not None:
            self.load.ended = max(at, self.load.began)

    def _tell_load(self, before: int | None) -> None:
        if self.load is not None:
            held = self.load.step if self.load.step is not None else before
            if held is not None and held >= 0:
                self.told.checkpoint(
                    self.who, self.load.line_no, "restore", held, self.load.began, self.load.ended
                )
            self.load = None

    def ends(self, line_no: int, kind: str, at: int) -> None:
        self.told.mark(self.who, line_no, kind, at, at)

    def close(self) -> None:
        """The log, or the attempt, is over: tell what is open."""
        self._tell_load(None)
        if not self.trains and self.is_headed and self.first_at is not None:
            at = self.first_at
            self.told.mark(self.who, 1, "job_start", at, at, gpus=self.gpus)
            self.told.mark(self.who, 1, "init", at, None)
        self.interval.close(self.told, self.who)


Take = Callable[[ConsoleRun, int, str, Match[str], int], bool | str]
"""Read one stamped line of a kind; false if it says nothing new, a reason if it is refused."""


def read_console(
    data: bytes,
    origin: Origin,
    words: str,
    patterns: dict[str, Pattern[str]],
    take: Take,
    *,
    is_torn: Callable[[str], str | None],
    needs_no_stamp: tuple[str, ...] = (),
) -> Parsed:
    """Read a console by its own `patterns`, tried in order on lines that hold any of `words`.

    A line without a readable stamp is refused, unless its kind needs none (it is taken at 0); a
    line that no pattern takes is refused if `is_torn` has a reason.
    """
    lines = console_lines(data)
    ours = stamped(holding(lines, words), origin).with_columns(
        voice=pl.col("line").str.extract(_VOICE, 1).fill_null("")
    )
    first = next((v for line, v in ours.select("line", "voice").iter_rows() if patterns["step"].search(line)), None)  # fmt: skip
    run = ConsoleRun(Told(origin), origin)
    refused: list[tuple[int, str, str]] = []
    used = 0
    for line_no, line, at, fault, voice in ours.select(
        "line_no", "line", "at", "fault", "voice"
    ).iter_rows():
        if first is not None and voice != first and voice != "":
            continue
        kind, found = next(
            ((k, m) for k, p in patterns.items() if (m := p.search(line))), ("", None)
        )
        if found is None:
            if (reason := is_torn(line)) is not None:
                refused.append((line_no, reason, line))
        elif at is None and kind not in needs_no_stamp:
            refused.append((line_no, fault, line))
        else:
            if at is not None:
                run.seen(line_no, at)
            try:
                taken = take(run, line_no, kind, found, at or 0)
            except (OverflowError, ValueError):  # 1e309 seconds, nan, five thousand digits
                taken = "a number beyond all measure"
            if isinstance(taken, str):
                refused.append((line_no, taken, line))
            else:
                used += taken
    run.close()
    return Parsed(
        frames=run.told.frames(),
        rejects=rejects(refused),
        records=len(lines),
        accepted=used,
        rejected=len(refused),
        ignored=len(lines) - used - len(refused),
    )
