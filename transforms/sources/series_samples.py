"""Series that a metrics store hands out, their labels read and their samples told as numbers.

What is shared by the JSON forms: a series' name and labels resolve as those of a scrape do
(`transforms/series.py`), its values are checked and widened by `cells`, and every sample is
accounted for. Each series brings its own time stamps, so nothing is dated by the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from transforms import cells, contract
from transforms.series import Series, labelled
from transforms.sources.base import Origin, Parsed, rejects
from transforms.sources.json_cursor import clean

EARLIEST_S, LATEST_S = 946_684_800, 4_102_444_800  # 2000 to 2100
DCGM_BLANKS = (
    *(2147483632.0 + i for i in range(4)),
    *(140737488355328.0 + i for i in range(4)),
    9223372036854775808.0,
)
UNREAD = "value cannot be read"
OUT_OF_AGE = "time stamp is outside 2000 to 2100"
_WORDS = {"nan": float("nan"), "+inf": np.inf, "inf": np.inf, "-inf": -np.inf}


@dataclass
class Told:
    """One series as a store gave it: times in microseconds, values in the store's own unit."""

    number: int
    name: str
    labels: dict[str, str]
    at: list[int | None]
    values: list[float | None]


@dataclass
class Samples:
    """All that a file told so far; `refused` holds (number of the record, reason, text)."""

    series: list[Told] = field(default_factory=list)
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    named: int = 0
    _held: dict[tuple[str, ...], Told] = field(default_factory=dict)

    def point(
        self, number: int, name: str, labels: dict[str, str], at: int | None, value: float | None
    ) -> None:
        """Hold one point of a series that comes point by point."""
        key = (name, *(part for label in labels.items() for part in label))
        if key not in self._held:
            self._held[key] = Told(number, name, labels, [], [])
            self.series.append(self._held[key])
        self._held[key].at.append(at)
        self._held[key].values.append(value)

    def refuse(self, number: int, reason: str, text: str) -> None:
        self.refused.append((number, reason, text))

    def set_aside(self, name: str, samples: int) -> None:
        if samples:
            self.unknown[clean(name)] = self.unknown.get(clean(name), 0) + samples


def number_of(value: object) -> float | None:
    """A value as stores write it: a number, its text, a word; null is NaN. None if it is none."""
    if value is None:
        return float("nan")
    if isinstance(value, str) and "_" in value:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return float("inf")
    except (TypeError, ValueError):
        return _WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def microseconds(value: object, per_second: int) -> int | None:
    """A time stamp that counts `per_second` a second, as microseconds; None outside 2000 to 2100."""
    told = number_of(value)
    if told is None or not EARLIEST_S * per_second <= told < LATEST_S * per_second:
        return None
    if isinstance(value, int):
        return value * 1_000_000 // per_second
    if isinstance(value, str) and value.isdecimal():
        return int(value) * 1_000_000 // per_second
    return round(told * (1_000_000 / per_second))


def texts_of(labels: object) -> dict[str, str] | None:
    """Labels as texts, or None where they are none."""
    if not isinstance(labels, dict):
        return None
    return {clean(str(k)): clean(v if isinstance(v, str) else str(v)) for k, v in labels.items()}


def told(found: Samples, origin: Origin) -> Parsed:
    """The sample tables that the series fill; every sample accepted, refused or set aside."""
    frames = [pl.DataFrame(schema=cells.CELLS)]
    for index, one in enumerate(found.series):
        series = labelled(one.name, one.labels)
        if series.role == "unknown":
            found.set_aside(one.name, len(one.values))
        elif series.role == "name":
            found.named += len(one.values)
        elif series.problem:
            found.refused += [(one.number, series.problem, one.name)] * len(one.values)
        else:
            frames.append(_cells(index, one, series, origin, found))
    settled = cells.settle(pl.concat(frames))
    names = {one.number: one.name for one in found.series}
    refused = found.refused + [
        (number, reason, names.get(number, "")) for number, reason in settled.refused.iter_rows()
    ]
    known = sum(frame.height for frame in frames)
    unknown = sorted(found.unknown.items())
    accepted = known - settled.refused.height + found.named
    ignored = sum(found.unknown.values())
    return Parsed(
        frames=settled.frames,
        rejects=rejects(sorted(refused)),
        unknown=pl.DataFrame(
            unknown, schema={"metric": pl.String, "samples": pl.Int64}, orient="row"
        ),
        records=accepted + len(refused) + ignored,
        accepted=accepted,
        rejected=len(refused),
        ignored=ignored,
    )


def _cells(index: int, one: Told, series: Series, origin: Origin, found: Samples) -> pl.DataFrame:
    """The samples of one series in its metric's unit; those without a time are refused."""
    node = series.node or origin.node
    gpu = series.uuid or (f"{node}/{series.index}" if series.index is not None else "")
    slot = series.index if (series.index or "").isdecimal() else None
    blanks = [*series.blanks, *(DCGM_BLANKS if series.is_dcgm else ())]
    frame = pl.DataFrame({"at": one.at, "raw": one.values}, {"at": pl.Int64, "raw": pl.Float64})
    undated = frame["at"].is_null()
    unread = frame["raw"].is_null() & ~undated
    found.refused += [(one.number, OUT_OF_AGE, one.name)] * int(undated.sum())
    found.refused += [(one.number, UNREAD, one.name)] * int(unread.sum())
    frame = frame.filter(~undated & ~unread).with_columns(pl.col("raw").fill_nan(None))
    is_blank = pl.col("raw").is_in(blanks) if blanks else pl.lit(False)
    return frame.select(
        line_no=pl.lit(one.number),
        source_name=pl.lit(one.name),
        metric=pl.lit(series.metric),
        value=pl.when(~is_blank).then(pl.col("raw") * series.times / series.over),
        series=pl.lit(index),
        cluster=pl.lit(series.cluster or origin.cluster),
        node=pl.lit(node),
        gpu=pl.lit(gpu),
        gpu_instance=pl.lit(series.gpu_instance),
        slot=pl.lit(int(slot) if slot is not None and int(slot) < 2**16 else None),
        link=pl.lit(series.link),
        observed_at=pl.col("at").cast(contract.UTC),
    ).cast(cells.CELLS)


def pairs(values: Sequence[object]) -> tuple[list[int | None], list[float | None], int]:
    """`[[time in seconds, "value"], ...]` as times, values and the number that are no pair."""
    sound = [one for one in values if isinstance(one, list) and len(one) == 2]
    at = [microseconds(one[0], 1) for one in sound]
    return at, [number_of(one[1]) for one in sound], len(values) - len(sound)
