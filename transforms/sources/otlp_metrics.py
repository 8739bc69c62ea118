"""OpenTelemetry metrics as OTLP/JSON (the collector's file exporter) to samples.

    {"resourceMetrics":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"gpu-0417"}}]},
     "scopeMetrics":[{"metrics":[{"name":"DCGM_FI_DEV_GPU_TEMP","gauge":{"dataPoints":[
      {"attributes":[{"key":"gpu","value":{"intValue":"0"}}],"timeUnixNano":"1772446504781000000","asDouble":41}]}}]}]}]}

A file holds one request or one a line; a record is one data point. 64-bit numbers are texts. The
attributes of the resource and of the point are its labels, dots read as underscores; `host.name`
and `k8s.node.name` name the node. A sum that starts anew with every point (delta temporality) is
no counter and is refused; histograms and summaries are counted as unknown.
"""

import re
from collections.abc import Iterator
from typing import Any

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.json_cursor import clean
from transforms.sources.json_records import records
from transforms.sources.series_samples import Samples, microseconds, number_of, told
from transforms.sources.text import decode
from transforms.tables import samples as tables

DELTA = "a sum with delta temporality is no counter: export it as cumulative"
_DELTA = (1, "1", "AGGREGATION_TEMPORALITY_DELTA")
_NO_VALUE = 1
"""The flag of a point that says that its series has gone."""
_NAMES = {
    "host.name": "nodename",
    "k8s.node.name": "node",
    "k8s.cluster.name": "cluster",
    "service.instance.id": "instance",
}
_OTHERS = ("histogram", "exponentialHistogram", "summary")


def parse(data: bytes, origin: Origin) -> Parsed:
    """Every data point of every request."""
    found, number = Samples(), 0
    for record in records(decode(data)):
        if record.fault or not isinstance(record.value.get("resourceMetrics"), list):
            number += 1
            found.refuse(number, record.fault or "no resourceMetrics", record.text)
            continue
        for labels, metric in _metrics(record.value):
            number = _metric(found, number, labels, metric)
    return told(found, origin)


def _metrics(request: dict[str, Any]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    for resource in _objects(request, "resourceMetrics"):
        about = resource.get("resource")
        labels = _labels(about if isinstance(about, dict) else {})
        for scope in _objects(resource, "scopeMetrics") + _objects(
            resource, "instrumentationLibraryMetrics"
        ):
            for metric in _objects(scope, "metrics"):
                yield labels, metric


def _metric(found: Samples, number: int, labels: dict[str, str], metric: dict[str, Any]) -> int:
    """Hold the points of one metric; return the number of the last."""
    name = clean(str(metric.get("name") or ""))
    for kind in _OTHERS:
        if isinstance(body := metric.get(kind), dict):
            found.set_aside(name, len(_objects(body, "dataPoints")))
    for kind in ("gauge", "sum"):
        body = metric.get(kind)
        if not isinstance(body, dict):
            continue
        is_delta = kind == "sum" and body.get("aggregationTemporality") in _DELTA
        for point in _objects(body, "dataPoints"):
            number += 1
            if not name or is_delta:
                found.refuse(number, DELTA if name else "a metric without a name", str(point)[:300])
                continue
            at = microseconds(point.get("timeUnixNano"), 1_000_000_000)
            value = number_of(point.get("asDouble", point.get("asInt", "no value")))
            if point.get("flags") == _NO_VALUE:
                value = float("nan")
            found.point(number, name, labels | _labels(point), at, value)
    return number


def _objects(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    held = holder.get(name)
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def _labels(holder: dict[str, Any]) -> dict[str, str]:
    labels = {}
    for attribute in _objects(holder, "attributes"):
        key, value = attribute.get("key"), attribute.get("value")
        if isinstance(key, str) and isinstance(value, dict) and len(value) == 1:
            (text,) = value.values()
            if isinstance(text, str | int | float):
                label = _NAMES.get(key, key.replace(".", "_"))
                labels[clean(label)] = clean(str(text))
    return labels


def sniff(head: str, name: str) -> int:
    """Surely, by the request's own words."""
    return 2 if re.match(r'\ufeff?\s*\{\s*"resourceMetrics"\s*:', head) else 0


SOURCE = Source(
    name="otlp_metrics",
    title="OpenTelemetry metrics as OTLP/JSON, one request or one a line",
    example='{"resourceMetrics":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"gpu-0417"}}]},"scopeMetrics":[{"metrics":[{"name":"node_load1","gauge":{"dataPoints":[{"timeUnixNano":"1772446504781000000","asDouble":0.25}]}}]}]}]}',
    makes=tables.ALL,
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
