"""VictoriaMetrics' `/api/v1/export`: a line a series (or a block of one), to samples.

    {"metric":{"__name__":"node_load1","instance":"gpu-0417:9100"},"values":[0.25,0.5],"timestamps":[1772446504781,1772446519781]}

Times are milliseconds. A value of null is one that was not there; infinities are words. A record is
one sample; a line that is no series is one record, and `line_no` is its line.
"""

import re
from typing import Any

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.json_records import records
from transforms.sources.series_samples import (
    Samples,
    Told,
    microseconds,
    number_of,
    texts_of,
    told,
)
from transforms.sources.text import decode
from transforms.tables import samples as tables

_LINE = re.compile(r'^[ \t]*\{"metric":\{.*"values":\[.*"timestamps":\[', re.MULTILINE)


def parse(data: bytes, origin: Origin) -> Parsed:
    """Every sample of every line."""
    found = Samples()
    for record in records(decode(data)):
        reason = record.fault or _take(found, record.line_no, record.value)
        if reason:
            found.refuse(record.line_no, reason, record.text)
    return told(found, origin)


def _take(found: Samples, number: int, line: dict[str, Any]) -> str | None:
    """Hold the samples of a line; the reason if it is no series."""
    labels = texts_of(line.get("metric"))
    values, stamps = line.get("values"), line.get("timestamps")
    if labels is None or not isinstance(values, list) or not isinstance(stamps, list):
        return "no series: metric, values and timestamps are promised"
    if len(values) != len(stamps):
        return f"{len(values)} values for {len(stamps)} time stamps"
    name = labels.pop("__name__", "")
    if not name:
        return "series without a name"
    at = [microseconds(stamp, 1000) for stamp in stamps]
    found.series.append(Told(number, name, labels, at, [number_of(value) for value in values]))
    return None


def sniff(head: str, name: str) -> int:
    """Surely, by a line's three parts; a first line may be longer than what is seen of it."""
    if _LINE.search(head):
        return 2
    return 2 if re.match(r'\s*\{"metric":\{"__name__":"[^"]+".{0,2000}?\},"values":\[', head) else 0


SOURCE = Source(
    name="victoria_export",
    title="VictoriaMetrics /api/v1/export: a JSON line a series",
    example='{"metric":{"__name__":"node_load1","instance":"gpu-0417:9100"},"values":[0.25,0.5],"timestamps":[1772446504781,1772446519781]}',
    makes=tables.ALL,
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
