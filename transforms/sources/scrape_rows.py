"""Values that were read fast become rows; scrapes out of the ordinary are read once more, exactly.

Rows of all scrapes with the same layout are made together, one column at a time. A scrape that
holds a value its quantity cannot have, or that meets another one of its part in a cell, is given
to the exact reader, with the line numbers it has in its part.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from transforms.sources import scrape_loops
from transforms.sources.base import REJECT_SCHEMA, UNKNOWN_SCHEMA, Bulk, Origin, Parsed, Text
from transforms.sources.prometheus_text import parse
from transforms.sources.scrape_cells import Walked, drawn_of, frames_of
from transforms.sources.scrape_targets import Layout, Target

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
MARK = b"# scraped_at:"
NOTHING = Parsed({}, pl.DataFrame(schema=REJECT_SCHEMA), pl.DataFrame(schema=UNKNOWN_SCHEMA))


@dataclass
class Part:
    """A file or a piece of one, and what has become of it so far: scrapes read, bytes set aside.

    again  gives the bytes once more, where they were not kept
    """

    data: Text
    origin: Origin
    again: Callable[[], Text] | None = None
    at: int = 0
    slow: list[tuple[int, int]] = field(default_factory=list)
    walked: list[Walked] = field(default_factory=list)
    is_slow: bool = False

    def bring_back(self) -> Text:
        """The bytes, even where they were not kept."""
        if self.again:
            self.data, self.again = self.again(), None
        return self.data


def gathered(parts: Sequence[Part]) -> Bulk:
    """The rows of all parts together, and what each part is told of."""
    for part in parts:
        part.is_slow = part.is_slow or _is_crowded(part)
    of_layout: dict[Layout, list[Walked]] = {}
    for part in parts:
        for one in () if part.is_slow else part.walked:
            assert one.target.layout
            of_layout.setdefault(one.target.layout, []).append(one)
            one.places[one.places[:, 0] == scrape_loops.NO_TIME, 0] = _micros(part.origin)
    drawn = [drawn_of(layout, walked) for layout, walked in of_layout.items()]
    exact = [_exact(part) for part in parts]
    frames = [frame for one in drawn for frame in frames_of(one)]
    frames += [item for parsed in exact for item in parsed.frames.items()]
    told = [_told(part, parsed) for part, parsed in zip(parts, exact, strict=True)]
    return Bulk(frames, [parsed for parsed, _ in told], [rows for _, rows in told])


def _micros(origin: Origin) -> int:
    return round(origin.modified.timestamp() * 1e6)


# what must be read exactly


def _is_crowded(part: Part) -> bool:
    """Whether two scrapes of the part tell of one device at one instant."""
    if sum(len(one.places) for one in part.walked) < 2:
        return False
    times: dict[Target, list[Ints]] = {}
    for one in part.walked:
        times.setdefault(one.target, []).append(one.places[:, 0])
    whole = {target: np.concatenate(found) for target, found in times.items()}
    if any(len(np.unique(found)) < len(found) for found in whole.values()):
        return True
    owners: dict[tuple[object, ...], list[Target]] = {}
    for target in whole if len(whole) > 1 else ():
        for device in _things(target):
            owners.setdefault(device, []).append(target)
    pairs = {(a, b) for those in owners.values() for a in those[:1] for b in those[1:]}
    pairs |= {
        (a, b) for those in owners.values() for a in those[1:] for b in those[1:] if a is not b
    }
    return any(len(np.intersect1d(whole[a], whole[b])) for a, b in pairs)


def _things(target: Target) -> list[tuple[object, ...]]:
    return [
        (table, *row)
        for table, devices in target.devices.items()
        for row in devices.drop("slot", strict=False).iter_rows()
    ]


def _exact(part: Part) -> Parsed:
    """What the exact reader says of the scrapes that were not read fast."""
    slow = list(part.slow)
    for one in () if part.is_slow else part.walked:
        if not one.is_bad.any():
            continue
        slow += [(int(b), int(e)) for b, e in one.places[one.is_bad, 1:].tolist()]
    if not slow and not part.is_slow:
        return NOTHING
    data = part.bring_back()
    is_chained = any(b > 0 and not data.startswith(MARK, b) for b, _ in slow)
    if not part.is_slow and not is_chained:
        parsed = _parse_pieces(part, sorted(slow))
        if not _meet(part, parsed):
            return parsed
    part.is_slow = True
    for one in part.walked:
        one.is_bad[:] = True
    return parse(bytes(data), part.origin)


def _parse_pieces(part: Part, pieces: list[tuple[int, int]]) -> Parsed:
    parsed = parse(b"".join(part.data[begin:end] for begin, end in pieces), part.origin)
    if parsed.rejects.is_empty():
        return parsed
    first, here, line, at = [], [], 0, 0  # a piece's lines before it: in the part, in the text
    lines = 0
    for begin, end in pieces:
        line += part.data.count(b"\n", at, begin)
        first.append(line)
        here.append(lines)
        lines += part.data.count(b"\n", begin, end)
        at = begin
    number = parsed.rejects["line_no"].to_numpy().astype(np.int64)
    piece = np.searchsorted(np.array(here), number - 1, side="right") - 1
    number = number - np.array(here)[piece] + np.array(first)[piece]
    told = pl.Series("line_no", number, pl.UInt32)
    return replace(parsed, rejects=parsed.rejects.with_columns(told))


def _meet(part: Part, parsed: Parsed) -> bool:
    """Whether rows of the exact reader tell of a device and instant that were read fast as well."""
    for name, frame in parsed.frames.items():
        instants = frame["observed_at"].to_physical().to_numpy()
        for one in part.walked:
            if name not in one.target.devices:
                continue
            good = one.places[~one.is_bad, 0]
            common = frame.filter(np.isin(instants, good))
            devices = one.target.devices[name].drop("slot", strict=False)
            if common.height and common.join(devices, on=devices.columns, how="semi").height:
                return True
    return False


def _told(part: Part, exact: Parsed) -> tuple[Parsed, dict[str, int]]:
    """Counts of a part and its rows by table: those read fast and those read exactly."""
    rows = Counter({name: frame.height for name, frame in exact.frames.items()})
    unknown: Counter[str] = Counter()
    accepted = 0
    for one in part.walked:
        layout, scrapes = one.target.layout, int((~one.is_bad).sum())
        if not scrapes or part.is_slow or layout is None:
            continue
        accepted += scrapes * layout.accepted
        unknown.update({name: scrapes * count for name, count in layout.unknown.items()})
        rows.update({f.table: scrapes * f.slots.shape[1] for f in layout.fillings})
    ignored = unknown.total()
    if exact.unknown.height:
        unknown.update(dict(exact.unknown.iter_rows()))
    names = sorted(unknown.items())
    parsed = Parsed(
        {},
        exact.rejects,
        pl.DataFrame(names, schema=UNKNOWN_SCHEMA, orient="row") if names else NOTHING.unknown,
        exact.records + accepted + ignored,
        exact.accepted + accepted,
        exact.rejected,
        exact.ignored + ignored,
    )
    return parsed, dict(sorted(rows.items()))
