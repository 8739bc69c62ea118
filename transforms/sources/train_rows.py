"""Rows of `steps`, `checkpoints` and `run_marks` as a log tells them, piece by piece.

Instants are whole microseconds since 1970 while a log is read. A log that tells many steps at once
tells when the first began and the last ended: between the two they are spread evenly.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from transforms.contract import UTC, Table
from transforms.sources.base import Origin
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

SECOND_US = 1_000_000
EARLIEST_US, LATEST_US = 315_532_800 * SECOND_US, 4_102_444_800 * SECOND_US
"""1980 and 2100: an instant outside is no instant."""
MOST_STEPS = 10_000_000
"""Steps that one file may tell: more come of a torn number, not of training."""
U32 = 2**32 - 1


@dataclass(frozen=True)
class Attempt:
    """Who wrote: the columns that name an attempt."""

    run: str
    job_id: str = ""
    restart: int = 0


@dataclass
class Told:
    """What a log said so far."""

    origin: Origin
    step_count: int = 0
    _steps: list[dict[str, object]] = field(default_factory=list)
    _stretches: list[pl.DataFrame] = field(default_factory=list)
    _checkpoints: list[dict[str, object]] = field(default_factory=list)
    _marks: list[dict[str, object]] = field(default_factory=list)

    def has_room(self, count: int) -> bool:
        """Whether `count` more steps are as many as one file may tell."""
        return self.step_count + count <= MOST_STEPS

    def steps(
        self,
        who: Attempt,
        line_no: int,
        first: int,
        count: int,
        began: int,
        ended: int,
        tokens: int | None = None,
    ) -> None:
        """Tell `count` completed steps, spread evenly; `tokens` are those of each."""
        self.step_count += count
        said = {"step": first, "count": count, "began": began, "ended": ended, "tokens": tokens}
        self._steps.append(self._cited(who, line_no) | said)

    def stretches(self, who: Attempt, stretches: pl.DataFrame) -> None:
        """Tell many stretches of steps at once: line_no, step, count, began, ended."""
        self.step_count += int(stretches["count"].sum())
        named = {n: pl.lit(v) for n, v in self._cited(who, 0).items() if n != "line_no"}
        self._stretches.append(stretches.with_columns(tokens=None, **named))

    def checkpoint(
        self,
        who: Attempt,
        line_no: int,
        kind: str,
        step: int,
        began: int,
        block_ended: int | None,
        *,
        durable_at: int | None = None,
        ok: bool = True,
    ) -> None:
        """Tell a save or a restore."""
        said = {
            "kind": kind, "step": step, "began": began, "block_ended": block_ended,
            "durable_at": durable_at, "ok": ok, "bytes": None,
        }  # fmt: skip
        self._checkpoints.append(self._cited(who, line_no) | said)

    def mark(
        self,
        who: Attempt,
        line_no: int,
        kind: str,
        began: int,
        ended: int | None,
        *,
        gpus: int | None = None,
        note: str | None = None,
    ) -> None:
        """Tell a mark."""
        # JSON can spell half characters; no table can hold them.
        clean = None if note is None else note.encode("utf-8", "replace").decode()
        said = {"kind": kind, "began": began, "ended": ended, "gpus": gpus, "note": clean}
        self._marks.append(self._cited(who, line_no) | said)

    def frames(self) -> dict[str, pl.DataFrame]:
        """All rows, as their tables promise them."""
        dtypes = {**_plain(STEPS), "count": pl.Int64()}
        steps = _columns(self._steps, dtypes)
        if self._stretches:
            many = (part.select(list(dtypes)).cast(dtypes) for part in self._stretches)  # type: ignore[arg-type]
            steps = pl.concat([steps, *many]).sort("line_no", maintain_order=True)
        return {
            STEPS.name: _promised(STEPS, _spread(steps)),
            CHECKPOINTS.name: _promised(
                CHECKPOINTS, _columns(self._checkpoints, _plain(CHECKPOINTS))
            ),
            RUN_MARKS.name: _promised(RUN_MARKS, _columns(self._marks, _plain(RUN_MARKS))),
        }

    def _cited(self, who: Attempt, line_no: int) -> dict[str, object]:
        return {
            "file": self.origin.file, "line_no": line_no, "cluster": self.origin.cluster,
            "run": who.run, "job_id": who.job_id, "restart": who.restart,
        }  # fmt: skip


def _spread(stretches: pl.DataFrame) -> pl.DataFrame:
    """One row a step: a stretch of `count` steps from `began` to `ended` becomes that many."""
    counts = stretches["count"].to_numpy()
    row = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
    began, length = (
        stretches["began"].to_numpy(),
        (stretches["ended"] - stretches["began"]).to_numpy(),
    )
    # Quotient and rest apart: length times count may not fit 64 bits.
    each, rest = length // np.maximum(counts, 1), length % np.maximum(counts, 1)
    edge = [began[row] + each[row] * n + rest[row] * n // counts[row] for n in (nth, nth + 1)]
    return stretches.drop("count")[row].with_columns(
        step=pl.col("step") + pl.Series(nth), began=pl.Series(edge[0]), ended=pl.Series(edge[1])
    )


def _plain(table: Table) -> dict[str, pl.DataType]:
    """The table's types, instants as whole numbers."""
    return {n: pl.Int64() if isinstance(t, pl.Datetime) else t for n, t in table.dtypes.items()}


def _columns(rows: list[dict[str, object]], dtypes: dict[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame(
        {n: pl.Series(n, [row[n] for row in rows], dtype=t) for n, t in dtypes.items()}
    )


def _promised(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    instants = [n for n, t in table.dtypes.items() if isinstance(t, pl.Datetime)]
    typed = frame.with_columns(pl.from_epoch(n, "us").cast(UTC) for n in instants)
    return table.conform(typed.select(table.dtypes.names()))
