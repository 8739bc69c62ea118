"""Answers of Prometheus' HTTP API (`query` and `query_range`) to GPU, node and link samples.

    {"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"node_load1",
     "instance":"gpu-0417:9100"},"values":[[1772446504.781,"0.25"]]}]}}

A file holds one answer or several. A record is one sample; of an answer without any, the answer.
Times are seconds. A query that computes (`rate(...)`, `sum by ...`) gives series without a name, or
under the name of something they no longer are: ask for the metrics themselves. `line_no` counts
series. Of a file that was cut short, the series before the cut stay.
"""

import json
import re
from typing import Any

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.json_cursor import Cursor, clean
from transforms.sources.json_records import records
from transforms.sources.series_samples import Samples, Told, pairs, texts_of, told
from transforms.sources.text import decode
from transforms.tables import samples as tables

NO_NAME = "series without a name: ask for a metric itself, not for what is computed from it"
_RESULT = re.compile(r'"result"\s*:\s*\[')
_ANSWER = re.compile(r'"resultType"\s*:\s*"(?:matrix|vector|scalar|string)"')


def parse(data: bytes, origin: Origin) -> Parsed:
    """Every sample of every series of every answer."""
    found, number = Samples(), 0
    for record in records(decode(data)):
        answer = record.value
        if record.fault:
            number = _broken(found, number, record.text, record.fault)
        elif answer.get("status") == "error":
            number += 1
            why = clean(str(answer.get("error") or answer.get("errorType") or "no reason given"))
            found.refuse(number, f"the query failed: {why[:200]}", record.text)
        else:
            number = _answer(found, number, answer, record.text)
    return told(found, origin)


def _answer(found: Samples, number: int, answer: dict[str, Any], text: str) -> int:
    held = answer.get("data")
    kind = held.get("resultType") if isinstance(held, dict) else None
    result = held.get("result") if isinstance(held, dict) else None
    if kind not in ("matrix", "vector") or not isinstance(result, list):
        found.refuse(number + 1, "no answer of series: a matrix or a vector is read", text)
        return number + 1
    for series in result:
        number += 1
        _series(found, number, series)
    return number


def _series(found: Samples, number: int, series: object) -> None:
    text = clean(json.dumps(series)[:300])
    labels = texts_of(series.get("metric")) if isinstance(series, dict) else None
    if labels is None or not isinstance(series, dict):
        found.refuse(number, "no series: an object with its metric and values", text)
        return
    values = series.get("values", [series["value"]] if "value" in series else [])
    if not isinstance(values, list):
        found.refuse(number, "values are no list of [time, value]", text)
        return
    name = labels.pop("__name__", "")
    histograms = series.get("histograms", [series["histogram"]] if "histogram" in series else [])
    found.set_aside(
        name or "(native histogram)", len(histograms) if isinstance(histograms, list) else 1
    )
    at, numbers, strange = pairs(values)
    found.refused += [(number, "no sample: [time, value] is read", text)] * strange
    if not name:
        found.refused += [(number, NO_NAME, text)] * len(numbers)
        return
    found.series.append(Told(number, name, labels, at, numbers))


def _broken(found: Samples, number: int, text: str, fault: str) -> int:
    """Read what series stand whole before the break; the rest is one refusal."""
    if begin := _RESULT.search(text):
        cursor = Cursor(text[begin.end() :])
        try:
            while not cursor.took("]"):
                series = cursor.value()
                number += 1
                _series(found, number, series)
                cursor.took(",")
            text = cursor.said[cursor.at :]
        except (ValueError, RecursionError):
            text = cursor.said[cursor.at :]
    found.refuse(number + 1, fault, clean(text))
    return number + 1


def sniff(head: str, name: str) -> int:
    """Surely, by the answer's own words."""
    start = head.lstrip("\ufeff \t\r\n")
    if not start.startswith("{"):
        return 0
    if _ANSWER.search(head) and '"result"' in head:
        return 2
    return 2 if re.match(r'\{\s*"status"\s*:\s*"error"\s*,\s*"errorType"', start) else 0


SOURCE = Source(
    name="prometheus_json",
    title="Prometheus HTTP API: answers to query and query_range",
    example='{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"node_load1","instance":"gpu-0417:9100"},"values":[[1772446504.781,"0.25"]]}]}}',
    makes=tables.ALL,
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
