"""What a node's board controller measures: power, temperatures, fans, and sensors past a limit.

Boards name their sensors as they please, so few questions can be asked of all: the hottest sensor,
the air that comes in, the power drawn, the fastest fan and those that stand still, and how many sensors stand past
a limit. `board/...` are the names that our own readers of Redfish and of ipmitool give; the others are those of ipmi_exporter, whose fans and power supplies have a state of their own
(0 nominal, 1 warning, 2 critical).
"""

from typing import Any

from transforms.metric_table.naming import Row

INF = float("inf")


def _board(
    name: str, unit: str, kind: str, meaning: str, names: str, low: float, high: float, **more: Any
) -> Row:
    columns = tuple((n, 1.0) for n in names.split())
    return (name, "node_samples", unit, kind, meaning, columns, low, {"high": high, **more})


_MAX: dict[str, Any] = {"reduce": "max"}
_SUM: dict[str, Any] = {"reduce": "sum"}

ROWS: tuple[Row, ...] = (
    _board(
        "board_power_w",
        "W",
        "gauge",
        "drawn by the node, by its board controller",
        "ipmi_dcmi_power_consumption_watts board/power",
        0.0,
        200_000.0,
        **_MAX,
    ),
    _board(
        "board_temp_max_c",
        "C",
        "gauge",
        "hottest sensor of the board",
        "ipmi_temperature_celsius board/temperature",
        -60.0,
        200.0,
        **_MAX,
    ),
    _board(
        "board_inlet_temp_c",
        "C",
        "gauge",
        "air that comes in, the warmest sensor",
        "board/inlet",
        -60.0,
        100.0,
        **_MAX,
    ),
    _board(
        "fan_fastest_rpm",
        "rpm",
        "gauge",
        "fastest fan",
        "ipmi_fan_speed_rpm board/fan",
        0.0,
        100_000.0,
        **_MAX,
    ),
    _board(
        "fans_stopped", "count", "gauge", "fans that stand still", "board/stopped", 0.0, INF, **_SUM
    ),
    _board(
        "fan_state_code",
        "code",
        "code",
        "worst fan: 0 nominal, 1 warning, 2 critical",
        "ipmi_fan_speed_state board/fan_state",
        0.0,
        2.0,
        **_MAX,
    ),
    _board(
        "board_temp_state_code",
        "code",
        "code",
        "worst temperature: 0 nominal, 1 warning, 2 critical",
        "ipmi_temperature_state board/temperature_state",
        0.0,
        2.0,
        **_MAX,
    ),
    _board(
        "board_power_state_code",
        "code",
        "code",
        "worst power supply or rail: 0 nominal, 1 warning, 2 critical",
        "ipmi_power_state ipmi_voltage_state board/power_state",
        0.0,
        2.0,
        **_MAX,
    ),
    _board(
        "sensors_past_limit",
        "count",
        "gauge",
        "sensors of the board past a limit of theirs",
        "board/past_limit",
        0.0,
        INF,
        **_SUM,
    ),
)
