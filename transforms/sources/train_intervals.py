"""Logs that print every so many steps: where the steps lie, and the pauses among them.

A line says which step ended at its stamp and how long one took. It tells the steps since the line
before it if there is room for them, else its own alone: a log may lack lines. Pauses are saves and
evaluations that the log named since, by step and perhaps by length; what the steps leave of the
time is theirs, in even shares where they told no length.
"""

from dataclasses import dataclass, field

import polars as pl

from transforms.sources.train_rows import MOST_STEPS, SECOND_US, Attempt, Told

SLACK_US = 2 * SECOND_US
"""Stamps of whole seconds put two lines up to this nearer than the steps between them took."""
LONGEST_US = 86_400 * SECOND_US
"""No step takes longer than a day."""


FEWEST = 16
"""Lines of steps in a row, with nothing between them, that are told at once."""


def plain_stretches(lines: pl.DataFrame) -> pl.DataFrame:
    """Mark the lines that do nothing but go on with the step of the line before them.

    lines  every line of a log that says anything, in order; of a step line step, at, took
           (microseconds) and is_sound, else null
    Adds before, before_at, count and began of the line's stretch, and `plain`: a number common to
    the lines of a run of at least FEWEST, null outside of one.
    """
    step, at, took = (pl.col(name) for name in ("step", "at", "took"))
    before = pl.when(pl.col("is_sound").shift(1)).then(step.shift(1))
    apart = step - before
    goes_on = (
        pl.col("is_sound")
        & apart.is_between(1, MOST_STEPS)
        & (at >= at.shift(1))
        & took.is_between(0, LONGEST_US)
    ).fill_null(False)
    marked = lines.with_columns(goes_on.alias("goes_on"), apart.alias("apart"))
    has_room = pl.col("apart") * took <= at - at.shift(1) + SLACK_US
    marked = marked.with_columns(
        count=pl.when("goes_on").then(pl.when(has_room).then("apart").otherwise(1)),
        before=before,
        before_at=at.shift(1),
        run=pl.col("goes_on").rle_id(),
    )
    is_long = pl.col("goes_on") & (pl.len().over("run") >= FEWEST)
    return marked.with_columns(
        began=pl.max_horizontal("before_at", at - pl.col("count") * took),
        plain=pl.when(is_long).then("run"),
    ).drop("goes_on", "apart", "run")


@dataclass
class Pause:
    """A save or an evaluation after `step` (-1: not known yet); instants and length in microseconds where told."""

    line_no: int
    kind: str
    step: int
    at: int | None = None
    took: int | None = None
    is_async: bool = False
    is_done: bool = False
    began: int = 0
    ended: int | None = None
    durable_at: int | None = None


@dataclass
class Interval:
    """The last line's step and stamp, and what happened since."""

    step: int | None = None
    at: int | None = None
    every: int = 1  # steps from one line to the next, for a line that has none before it
    took: int = 0
    pauses: list[Pause] = field(default_factory=list)
    waiting: list[Pause] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)

    def start(self, step: int, at: int | None) -> None:
        """Training goes on from `step`."""
        self.step, self.at = step, at
        self.pauses.clear()

    def pause(self, pause: Pause) -> None:
        """A save or an evaluation begins; one told twice is one."""
        if any(
            (p.kind, p.step, p.step < 0) == (pause.kind, pause.step, False) for p in self.pauses
        ):
            return
        pause.took = self.untold.pop(pause.kind, None)
        self.pauses.append(pause)

    def timed(self, kind: str, took: int) -> None:
        """A timer tells how long the last pause of its kind took; it may come before its line."""
        open_ = [p for p in self.pauses if p.kind == kind and p.took is None]
        if open_:
            open_[-1].took = took
        else:
            self.untold[kind] = took

    def saved(self, step: int, at: int | None, *, is_async: bool) -> None:
        """A save was scheduled (training goes on) or is over."""
        for save in [
            p for p in (*self.waiting, *self.pauses) if (p.kind, p.step) == ("save", step)
        ]:
            if is_async:
                save.is_async = True
            elif not save.is_done:
                save.is_done = True
                if at is not None and save.is_async:
                    save.durable_at = at
            if at is not None and save.at is not None and save.took is None:
                save.took = max(at - save.at, 0)

    def tell(
        self,
        told: Told,
        who: Attempt,
        line_no: int,
        step: int,
        at: int,
        took: int,
        tokens: int | None = None,
    ) -> bool:
        """Tell the steps up to `step`; false if they were told before or cannot be true."""
        if (step, at) == (self.step, self.at) or not 0 <= took <= LONGEST_US:
            return False
        is_next = self.step is not None and step > self.step and (self.at is None or at >= self.at)
        if not is_next:
            self.start(step - (self.every if step % self.every == 0 else 1), None)
        before = self.step or 0
        count = step - before
        if not told.has_room(count):
            return False
        if self.at is not None and count * took > at - self.at + SLACK_US:
            count = 1
        self._walk(told, who, line_no, step - count, count, at, took, tokens)
        self.step, self.at, self.took = step, at, took
        return True

    def tell_plain(self, told: Told, who: Attempt, run: pl.DataFrame) -> bool:
        """Tell a run of `plain_stretches` that begins right after the last line; false if it cannot be."""
        follows = run.select("before", "before_at").row(0) == (self.step, self.at)
        if not follows or self.pauses or not told.has_room(int(run["count"].sum())):
            return False
        told.stretches(
            who,
            run.select(
                "line_no", pl.col("step") - pl.col("count") + 1, "count", "began", ended="at"
            ),
        )
        self.step, self.at, self.took = run.select("step", "at", "took").row(-1)
        return True

    def _walk(
        self,
        told: Told,
        who: Attempt,
        line_no: int,
        before: int,
        count: int,
        at: int,
        took: int,
        tokens: int | None,
    ) -> None:
        """Steps and pauses one after the other, from the last line's stamp to this one's."""
        position = at - count * took if self.at is None else self.at
        left = max(at - position - count * took, 0)
        silent = [p for p in self.pauses if p.took is None]
        rest = max(left - sum(p.took for p in self.pauses if p.took is not None), 0)
        share = rest // len(silent) if silent else 0
        made = 0
        for pause in sorted(self.pauses, key=lambda p: p.step):
            steps = min(max(pause.step - before, made), count) - made
            ended = min(position + steps * took, at)
            told.steps(who, line_no, before + made + 1, steps, position, ended, tokens)
            made += steps
            pause.began = min(pause.at if pause.at is not None else ended, at)
            length = pause.took if pause.took is not None else share
            pause.ended = min(pause.began + length, at)
            position = max(ended, pause.ended)
            self._over(told, who, pause)
        self.pauses.clear()
        began = max(position, at - (count - made) * took)
        told.steps(who, line_no, before + made + 1, count - made, began, at, tokens)

    def safe_by(self, at: int) -> None:
        """A stamp: what was reported saved is safe by then."""
        for save in self.waiting:
            if save.is_done and save.durable_at is None:
                save.durable_at = at

    def close(self, told: Told, who: Attempt) -> None:
        """The log ends, or another attempt begins: tell what was still open."""
        for pause in self.pauses:
            if pause.at is None and self.at is None:
                continue
            pause.step = pause.step if pause.step >= 0 else self.step or 0
            since = max(pause.step - (self.step or 0), 0) * self.took
            pause.began = pause.at if pause.at is not None else (self.at or 0) + since
            pause.ended = None if pause.took is None else pause.began + pause.took
            self._over(told, who, pause)
        self.pauses.clear()
        for save in self.waiting:
            told.checkpoint(
                who, save.line_no, "save", save.step, save.began, save.ended,
                durable_at=save.durable_at,
            )  # fmt: skip
        self.waiting.clear()

    def _over(self, told: Told, who: Attempt, pause: Pause) -> None:
        if pause.kind == "eval":
            told.mark(who, pause.line_no, "eval", pause.began, pause.ended)
        else:
            # One that blocks is safe when it lets go, if it was reported saved.
            if pause.is_done and not pause.is_async:
                pause.durable_at = pause.ended
            self.waiting.append(pause)
