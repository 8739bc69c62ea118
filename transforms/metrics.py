"""The one table of metrics: canonical name, unit, kind, range, and every name sources give it.

A quantity has one unit here, whatever its sources use: degrees Celsius, watts, joules, megahertz,
bytes, ratios of 0 to 1, seconds. A name that is not in the table is counted as unknown, never
guessed. Left unknown on purpose, because their unit or type is disputed between exporter
versions (methods Q-7: fail closed): DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL and
DCGM_FI_DEV_PCIE_{TX,RX}_THROUGHPUT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from transforms.metric_table import ROWS

Kind = Literal["gauge", "counter", "code"]

UNITS = {
    "C": "_c",
    "W": "_w",
    "J": "_j",
    "MHz": "_mhz",
    "bytes": "_bytes",
    "bytes/s": "_bytes_per_s",
    "ratio": "_ratio",
    "s": "_s",
    "count": "",
    "count/s": "_per_s",
    "flag": "",
    "code": "_code",
    "bits": "_bits",
    "rpm": "_rpm",
}
"""Unit to the ending of a metric's name. Counts and flags are named for what is counted."""


@dataclass(frozen=True)
class Metric:
    """One column of a sample table.

    names   maps each source's metric name to the factor that brings its value to `unit`
    low..high is the physically possible range in `unit`: a value outside is a reject
    where   (label, value) that a sample must carry; without it the sample is unknown
    reduce  how the samples of several series become one cell, e.g. the hottest sensor of a node;
            '' when a cell has one series and two that disagree are a contradiction
    blanks  raw values by which a source says that it has no value
    """

    name: str
    table: str
    unit: str
    kind: Kind
    meaning: str
    names: tuple[tuple[str, float], ...]
    low: float = float("-inf")
    high: float = float("inf")
    where: tuple[str, str] | None = None
    reduce: Literal["", "max", "sum"] = ""
    blanks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A metric's hold on one source name: the value in its unit is raw * times / over."""

    metric: Metric
    times: float
    over: float

    def convert(self, raw: float) -> float:
        return raw * self.times / self.over


METRICS: Sequence[Metric] = tuple(
    Metric(*row[:7], **row[7])  # type: ignore[arg-type]
    for row in ROWS
)
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def exact_factor(factor: float) -> tuple[float, float]:
    """Split a factor into (times, over), so that 1e-3 divides by 1000 and loses no digit."""
    return (factor, 1.0) if factor >= 1 else (1.0, float(round(1 / factor)))


def _claims() -> dict[str, tuple[Claim, ...]]:
    found: dict[str, tuple[Claim, ...]] = {}
    for metric in METRICS:
        for name, factor in metric.names:
            found[name] = (*found.get(name, ()), Claim(metric, *exact_factor(factor)))
    return found


CLAIMS: dict[str, tuple[Claim, ...]] = _claims()
"""Source name to the metrics that read it: several only where their `where` tells them apart."""


def claims(source_name: str) -> tuple[Claim, ...]:
    """The metrics that read `source_name`; OpenMetrics ends a counter's name in _total."""
    return CLAIMS.get(source_name) or CLAIMS.get(source_name.removesuffix("_total"), ())
