"""What a board's sensors read at one moment, to node_samples: shared by ipmitool and Redfish.

A record is one sensor. Temperatures, fans and the node's power are measured; of every sensor whose
state is told it counts whether that is past a limit, and one of power, a supply or a voltage can
make the power state worse. A sensor that says nothing of these is counted as unknown by its kind.
"""

import re
from dataclasses import dataclass

import polars as pl

from transforms import cells
from transforms.contract import UTC
from transforms.metrics import CLAIMS
from transforms.sources.base import Origin, Parsed, rejects
from transforms.sources.json_cursor import clean

OK, WARNING, CRITICAL = 0.0, 1.0, 2.0
_INLET = re.compile(r"\b(?:inlet|intake|ambient)\b|front[ _]?panel", re.IGNORECASE)
_POWERS = re.compile(r"psu|power|volt|\bvr\b|\bpsu?\d", re.IGNORECASE)
_WHOLE = re.compile(
    r"total[ _-]?(?:power|pwr)|pwr[ _-]?consumption|power[ _-]?(?:consumption|meter)|sys(?:tem)?[ _-]?power"
    r"|(?:server|system|chassis)[ _-]power",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sensor:
    """One sensor as its board tells it.

    kind   temperature (C), fan (rpm), power (W), or any other word
    value  None where the sensor gives none
    state  0 nominal, 1 warning, 2 critical; None where it is not told
    whole  its power is the whole node's
    fault  why the record is none
    """

    line_no: int
    text: str
    node: str
    name: str
    kind: str
    value: float | None
    state: float | None
    is_inlet: bool = False
    whole: bool = False
    fault: str | None = None


def is_inlet(name: str) -> bool:
    return _INLET.search(name) is not None


def is_whole(name: str) -> bool:
    """Whether a power sensor of this name is the node's, not one part's."""
    return _WHOLE.search(name) is not None


def _readings(sensor: Sensor) -> list[tuple[str, float]]:
    """What one sensor says, under the names of the table of metrics."""
    told: list[tuple[str, float]] = []
    value = sensor.value
    if value is not None and sensor.kind == "temperature":
        told.append(("board/temperature", value))
        if sensor.is_inlet:
            told.append(("board/inlet", value))
    if value is not None and sensor.kind == "fan":
        told += [("board/fan", value), ("board/stopped", float(value == 0))]
    if value is not None and sensor.kind == "power" and sensor.whole:
        told.append(("board/power", value))
    if sensor.state is not None:
        told.append(("board/past_limit", float(sensor.state > OK)))
        if sensor.kind in ("temperature", "fan"):
            told.append((f"board/{sensor.kind}_state", sensor.state))
        elif sensor.kind == "power" or _POWERS.search(sensor.name):
            told.append(("board/power_state", sensor.state))
    return told


def sampled(sensors: list[Sensor], origin: Origin) -> Parsed:
    """Every sensor as samples at the file's own time, refused, or counted as unknown."""
    rows: list[tuple[object, ...]] = []
    refused: list[tuple[int, str, str]] = []
    strange: dict[str, int] = {}
    for sensor in sensors:
        told = [] if sensor.fault else _readings(sensor)
        if sensor.fault:
            refused.append((sensor.line_no, sensor.fault, clean(sensor.text)))
        elif not told:
            kind = clean(sensor.kind) or "other"
            strange[f"board.{kind}"] = strange.get(f"board.{kind}", 0) + 1
        for name, value in told:
            metric = CLAIMS[name][0].metric.name
            node = clean(sensor.node) or origin.node
            rows.append((sensor.line_no, name, metric, value, sensor.line_no, node))
    schema = {name: cells.CELLS[name] for name in ("line_no", "source_name", "metric", "value", "series", "node")}  # fmt: skip
    settled = cells.settle(
        pl.DataFrame(rows, schema=schema, orient="row")
        .with_columns(
            cluster=pl.lit(origin.cluster),
            gpu=pl.lit(""),
            gpu_instance=pl.lit(""),
            slot=pl.lit(None, pl.UInt16),
            link=pl.lit(""),
            observed_at=pl.lit(origin.modified).cast(UTC),
        )
        .select(cells.CELLS.names())
    )
    texts = {sensor.line_no: clean(sensor.text) for sensor in sensors}
    wrong = settled.refused.unique("line_no", keep="first", maintain_order=True)
    refused += [(line_no, reason, texts[line_no]) for line_no, reason in wrong.iter_rows()]
    ignored = sum(strange.values())
    return Parsed(
        frames=settled.frames,
        rejects=rejects(sorted(refused)),
        unknown=pl.DataFrame(
            sorted(strange.items()), {"metric": pl.String, "samples": pl.Int64}, orient="row"
        ),
        records=len(sensors),
        accepted=len(sensors) - len(refused) - ignored,
        rejected=len(refused),
        ignored=ignored,
    )
