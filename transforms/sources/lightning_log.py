"""Console logs of PyTorch Lightning 2: its bar, its saves and restores, beside stamped messages.

    Epoch 3:  45%|####5     | 45/100 [00:12<00:15,  3.53it/s, v_num=0, train_loss=0.1]

Lightning writes no times. Its bar (tqdm's or rich's) counts batches and whole seconds of an epoch, and
any line that a logger or launcher stamped tells what the bar's clock was by then: no state lies
after a stamp that follows it, nor before one that it follows. Bars that no stamp follows are
refused. A line that a bar overwrote is stamped by who read it whole: its stamp is that of its end.

A step is a batch: `accumulate_grad_batches` makes one step of the optimizer of several. Saves and
restores are told in batches too. Lightning 1 counted validation batches among the others, which is
refused. `metrics.csv` of CSVLogger is read where a column has times.
"""

import re

import polars as pl

from transforms.sources import lightning_csv
from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.console import STAMP, colourless, console_lines, stamped
from transforms.sources.console_run import ConsoleRun
from transforms.sources.lightning_bar import Bar
from transforms.sources.text import decode
from transforms.sources.train_rows import SECOND_US, Told
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

_TQDM = r"\s+(?:\d{1,3}%)?\|[^|]*\| (\d{1,12})/(\d{1,12}|\?) \[(?:(\d{1,4}):)?(\d{1,2}):(\d\d)<"
_RICH = r"\s+[━╸╺╴╶\s]+\s(\d{1,12})/(\d{1,12}|\?|--)\s+(\d{1,4}):(\d\d):(\d\d) •"
_TRAINS = (rf"^.*\bEpoch (\d{{1,9}}):{_TQDM}", rf"\bEpoch (\d{{1,9}})(?:/-?\d{{1,9}})?{_RICH}")
_CHECKS = (rf"^.*\b(Validation)[^:|]*:{_TQDM}", rf"\b(Validation){_RICH}")
_HEADS = r"GPU available: |\b[Ss]eed set to \d"
_MESSAGES = (
    r"Restoring states from the checkpoint path at|Saving latest checkpoint"
    r"|Restored all states from the checkpoint|, saving model to |`Trainer\.fit` stopped: "
)
_IS_STAMPED = rf"(?:^.{{0,40}}?|\]\W{{0,8}}){STAMP}"
_OWN = re.compile(
    r"Restoring states from the checkpoint path at|`Trainer\.fit` stopped: |GPU available: \w+.*, used: "
    r"|LOCAL_RANK: \d+ - CUDA_VISIBLE_DEVICES|Epoch \d+:? .*\d+/(?:\d+|\?).*\bv_num[=:]"
)
_OLD_BAR = r"it(?:/s)?, loss=[^,\]]*, v_num="
_HELD = re.compile(r"Restoring states from the checkpoint path at .*\bstep=(\d{1,15})\b")
_SAVES = re.compile(r"Saving latest checkpoint|, saving model to ")
_DONE = re.compile(r"`Trainer\.fit` stopped: `max_(epochs|steps|time)=")

NO_STAMP = "bar that no time stamp follows: let the launcher or a logger write times"
OLD_BAR = "bar of Lightning 1, which counts validation batches as steps"
NO_TOTAL = "bar without the number of batches in an epoch: nobody knows which step this is"
_HEAD = 1 << 16


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves and marks; see the module's docstring for the format."""
    if lightning_csv.is_metrics(decode(data[:_HEAD])):
        return lightning_csv.parse(data, origin)
    lines = console_lines(data)
    reader = _Reader(ConsoleRun(Told(origin), origin))
    for row in _read(lines, origin).iter_rows():
        reader.take(*row)
    reader.close(lines.height and lines["line_no"][-1])
    return Parsed(
        frames=reader.run.told.frames(),
        rejects=rejects(reader.refused),
        records=len(lines),
        accepted=reader.used,
        rejected=len(reader.refused),
        ignored=len(lines) - reader.used - len(reader.refused),
    )


def _read(lines: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """The pieces that say anything, taken apart: line_no, line, at, what, epoch, n, total, clock."""
    says = f"Epoch |Validation|{_HEADS}|{_MESSAGES}"
    ours = lines.filter(
        pl.col("line").str.contains(says) | pl.col("line").str.contains(_IS_STAMPED)
    )
    told = stamped(ours, origin, column="line").with_columns(
        is_first=(pl.col("line_no") != pl.col("line_no").shift(1)).fill_null(True),
        is_last=(pl.col("line_no") != pl.col("line_no").shift(-1)).fill_null(True),
    )
    # What reads a line to its end can stamp it only then.
    held = pl.when(pl.col("is_first") & ~pl.col("is_last")).then("at")
    late = pl.coalesce("at", held.first().over("line_no"))
    at = pl.when(pl.col("is_last")).then(late).when(~pl.col("is_first")).then(pl.col("at"))
    trains, checks = _states(told["line"], _TRAINS), _states(told["line"], _CHECKS)
    is_bar = pl.lit(trains["n"]).is_not_null()
    is_check = pl.lit(checks["n"]).is_not_null()
    what = (
        pl.when(is_bar & pl.col("line").str.contains(_OLD_BAR))
        .then(pl.lit("old"))
        .when(is_bar)
        .then(pl.lit("bar"))
        .when(is_check)
        .then(pl.lit("check"))
        .when(pl.col("line").str.contains(_HEADS))
        .then(pl.lit("head"))
        .when(pl.col("line").str.contains(_MESSAGES))
        .then(pl.lit("message"))
        .otherwise(pl.lit("stamp"))
    )
    both = {n: pl.coalesce(pl.lit(trains[n]), pl.lit(checks[n])) for n in ("n", "total", "clock")}
    return told.select(
        "line_no", "line", at.alias("at"), what.alias("what"), pl.lit(trains["epoch"]), **both
    )


def _states(lines: pl.Series, patterns: tuple[str, str]) -> pl.DataFrame:
    """Where a line holds a bar's state: epoch (of a training bar), n, total (null: unknown), clock."""
    tqdm, rich = (lines.str.extract_groups(p).struct.unnest() for p in patterns)
    parts = [
        pl.select(pl.coalesce(tqdm[name], rich[name])).to_series().cast(pl.Int64, strict=False)
        for name in ("1", "2", "3", "4", "5", "6")
    ]
    epoch, n, total, hours, minutes, seconds = parts
    clock = (hours.fill_null(0) * 3600 + minutes * 60 + seconds) * SECOND_US
    return pl.DataFrame({"epoch": epoch, "n": n, "total": total, "clock": clock})


class _Reader:
    """Goes through the pieces in the order of the file."""

    def __init__(self, run: ConsoleRun) -> None:
        self.run, self.bar = run, Bar(run)
        self.refused: list[tuple[int, str, str]] = []
        self.used = 0
        self._latest: int | None = None
        self._is_headed = False  # a process has begun since the last bar
        self._headed_at: int | None = None

    def take(
        self,
        line_no: int,
        line: str,
        at: int | None,
        what: str,
        epoch: int | None,
        n: int | None,
        total: int | None,
        clock: int | None,
    ) -> None:
        """One piece; its stamp, if any, was written after it."""
        if what == "old":
            self.refused.append((line_no, OLD_BAR, line))
        elif what == "bar" and epoch is not None and n is not None and clock is not None:
            if self._is_headed or epoch < self.bar.epoch:
                self._next_attempt(line_no)
            if self.bar.moves(line_no, line, epoch, n, total, clock):
                self.used += 1
            else:
                self.refused.append((line_no, NO_TOTAL, line))
        elif what == "check" and clock is not None:
            if n == total:
                self.bar.checks(line_no, line, clock)
            self.used += 1
        elif what == "head":
            # A trainer that only tests says so too: an attempt begins with its bar.
            self._is_headed, self._headed_at = self.bar.has_moved, None
            if not self.bar.has_moved:
                self.run.begin()
            self.used += 1
        if at is not None and (self._latest is None or at >= self._latest):
            self._stamp(line_no, at)
        if what == "message":
            says = self._message(line_no, line, at)  # may close an attempt, which counts too
            self.used += says

    def close(self, line_no: int = 0) -> None:
        """The log, or the attempt, is over; what no stamp followed is refused."""
        self.bar.tell(line_no)
        self.refused += [(e.line_no, NO_STAMP, e.line) for e in self.bar.held]
        self.used -= len(self.bar.held)
        self.run.close()

    def _next_attempt(self, line_no: int) -> None:
        self.close(line_no)
        self.run.begin()
        if self._headed_at is not None:
            self.run.seen(line_no, self._headed_at)
        self.bar, self._is_headed = Bar(self.run), False

    def _stamp(self, line_no: int, at: int) -> None:
        self._latest = at
        if self._is_headed:
            self._headed_at = at if self._headed_at is None else self._headed_at
        else:
            self.run.seen(line_no, at)
            self.bar.stamped(at)

    def _message(self, line_no: int, line: str, at: int | None) -> bool:
        """A message of Lightning; false if it says nothing that is told."""
        if "Restoring states from" in line:
            if self.bar.has_moved:
                self._next_attempt(line_no)
            held = _HELD.search(line)
            self.bar.resumes_at = int(held[1]) if held else None
            if at is not None:
                self.run.loads(line_no, at, None)
        elif "Restored all states from" in line:
            if at is not None:
                self.run.has_loaded(at)
        elif (
            when := at if at is not None else self.bar.shown_at()
        ) is None or not self.bar.has_moved:
            return False
        elif _SAVES.search(line) and self.bar.step is not None:
            self.bar.tell(line_no)
            self.run.told.checkpoint(self.run.who, line_no, "save", self.bar.step, when, when)
        elif done := _DONE.search(line):
            self.bar.tell(line_no)
            self.run.ends(line_no, "job_end" if done[1] == "time" else "finished", when)
        else:
            return False
        return True


def sniff(head: str, name: str) -> int:
    """Surely, if Lightning's own messages or its bar with a version are there, or its metrics."""
    if lightning_csv.is_metrics(head):
        return 2
    head = colourless(head)
    if "[NeMo " in head or "train_step_timing in s" in head:
        return 0
    return 2 if _OWN.search(head) else 0


SOURCE = Source(
    name="lightning_log",
    title="Console log of PyTorch Lightning 2 among time stamps, or metrics.csv with times",
    example="Epoch 3:  45%|####5     | 45/100 [00:12<00:15,  3.53it/s, v_num=0, train_loss=0.1]",
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
