"""Derived from samples: what each hour says of every device, node and fleet, and who was silent.

An hour's rows rest on the samples of that hour and, for what a counter rose by since, on those of
the hour before. Quantiles are of the raw samples: those of two devices or two hours cannot be put
together again, so nodes and fleets have their own. Counts, sums and time covered can be added.
"""

from typing import Any

import dataframely as dy

from transforms.contract import Table, instant

CLUSTER = "scheduler cluster; '' where the samples do not name it"
DEVICES: dict[str, dict[str, str]] = {
    "gpu": {
        "gpu": "GPU uuid, else node/index",
        "gpu_instance": "MIG instance id; '' for the whole GPU",
    },
    "link": {"link": "device and port"},
}


def _key(meaning: str) -> Any:
    return dy.String(primary_key=True, description=meaning)


def _number(meaning: str) -> Any:
    return dy.Float64(nullable=True, description=meaning)


def _levels(of: str) -> dict[str, Any]:
    return {
        "samples": dy.UInt64(description=f"samples with a value, {of}"),
        "lowest": _number("smallest value, in the metric's unit"),
        "mean": _number("mean of the samples; null for counters and codes"),
        "highest": _number("largest value"),
        "p50": _number("median of the samples; null for counters and codes"),
    }


_RISES: dict[str, Any] = {
    "increase": _number(
        "of a counter: what it rose by, resets counted from 0 (methods Q-1); null where no two samples tell"
    ),
    "covered_ms": dy.Int64(description="of a counter: time between the samples that tell it (ms)"),
    "resets": dy.UInt64(description="of a counter: times that it started anew"),
    "is_lower_bound": dy.Bool(
        description="of a counter: a reset or its largest value hides part of the increase"
    ),
}


def _of_a_device(kind: str) -> dict[str, Any]:
    return {
        "cluster": _key(CLUSTER),
        "metric": _key("metric, named as its column in the samples"),
        "node": _key("host name"),
        **{name: _key(meaning) for name, meaning in DEVICES[kind].items()},
        "hour_at": instant("begin of the UTC hour", key=True),
        **_levels("of the device"),
        "p99": _number("99th percentile of the samples; null for counters and codes"),
        "first": _number("first value of the hour"),
        "last": _number("last value of the hour"),
        "changes": dy.UInt32(description="times that the value changed within the hour"),
        **_RISES,
    }


_OF_A_NODE: dict[str, Any] = {
    "cluster": _key(CLUSTER),
    "metric": _key("metric of the node, or of its GPUs or links together"),
    "node": _key("host name"),
    "hour_at": instant("begin of the UTC hour", key=True),
    "devices": dy.UInt32(description="its GPUs or links with a sample; 1 for the node itself"),
    **_levels("of all its devices"),
    "p99": _number("99th percentile of all their samples; null for counters and codes"),
    **_RISES,
}
_OF_A_FLEET: dict[str, Any] = {
    "cluster": _key(CLUSTER),
    "metric": _key("metric of its GPUs, nodes or links"),
    "hour_at": instant("begin of the UTC hour", key=True),
    "devices": dy.UInt32(description="GPUs, nodes or links with a sample"),
    **_levels("of all devices; MIG instances are left out"),
    "p95": _number("95th percentile of all their samples; null for counters and codes"),
    "p99": _number("99th percentile of all their samples; null for counters and codes"),
    **_RISES,
}


class HeardHourly(dy.Schema):
    device_kind = dy.Enum(("node", "gpu", "link"), primary_key=True, description="what was heard")
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="host name")
    device = dy.String(primary_key=True, description="GPU or link; '' for the node itself")
    hour_at = instant("begin of the UTC hour", key=True)
    samples = dy.UInt32(description="instants at which it was sampled")
    first_at = instant("first of them")
    last_at = instant("last of them")
    interval_ms = dy.Int64(
        nullable=True, description="polling interval: median time between samples (ms)"
    )
    covered_ms = dy.Int64(
        description="part of the hour within two polling intervals of the sample before (ms)"
    )
    longest_gap_ms = dy.Int64(description="longest time between two samples of the hour (ms)")
    booted_at = instant("the node's last boot as it tells; null where not told", nullable=True)
    gap_ended_at = instant(
        "the sample that ended that; null where there was one sample", nullable=True
    )


SIGNAL_KINDS = (
    "ecc_corrected",
    "ecc_uncorrected",
    "row_remap",
    "row_remap_pending",
    "row_remap_failed",
    "page_retired",
    "reset_asked",
    "thermal_slowdown",
    "power_brake",
    "hw_slowdown",
    "pcie_replay",
    "nvlink_error",
    "nvlink_recovery",
    "fabric_unhealthy",
    "link_downed",
    "link_recovery",
    "link_inactive",
    "bit_errors",
    "dimm_corrected",
    "dimm_uncorrected",
    "disk_error",
    "file_system",
    "xid",
)


class SampleSignals(dy.Schema):
    kind = dy.Enum(SIGNAL_KINDS, primary_key=True, description="what the samples show")
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="host name")
    device = dy.String(primary_key=True, description="GPU or link; '' for the node itself")
    metric = dy.String(primary_key=True, description="metric that shows it")
    began = instant("first sample of this hour that shows it", key=True)
    hour_at = instant("begin of the UTC hour")
    since = instant(
        "the sample before `began`: it happened in between; null where none is near", nullable=True
    )
    ended = instant("last sample of this hour that shows it")
    times = dy.UInt32(description="samples that show it")
    amount = dy.Float64(
        description="what a counter rose by; of a state, the time it held from sample to sample (s)"
    )
    from_value = dy.Float64(nullable=True, description="value before `began`")
    to_value = dy.Float64(description="value at `ended`; the code of an Xid")
    is_continued = dy.Bool(
        description="it showed within 10 min before `began` as well: no new episode"
    )
    is_lower_bound = dy.Bool(description="a reset or the largest value hides part of it")
    note = dy.String(description="what this evidence cannot show; '' if nothing", nullable=False)


class Silences(dy.Schema):
    device_kind = dy.Enum(("node", "gpu"), primary_key=True, description="what fell silent")
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="host name")
    device = dy.String(primary_key=True, description="GPU; '' for the node itself")
    last_ok = instant("last sample before the silence", key=True)
    day = dy.Date(description="UTC day of last_ok")
    first_ok = instant(
        "first sample after it; null where none came by the end of the next day", nullable=True
    )
    interval_ms = dy.Int64(description="polling interval before it (ms)")
    lasted_min_ms = dy.Int64(
        nullable=True, description="at least so long: methods Q-3 (ms); null while it lasts"
    )
    lasted_max_ms = dy.Int64(nullable=True, description="at most so long (ms); null while it lasts")
    sort = dy.Enum(
        ("alone", "with its node", "many together"),
        description="alone: the rest of its node, or other nodes, went on; many together: the collector's outage, no evidence of any node",
    )
    silent_together = dy.UInt32(
        description="nodes of the cluster, or GPUs of the node, that fell silent within two intervals of it"
    )
    is_rebooted = dy.Bool(
        nullable=True, description="the node had booted in between; null where not told"
    )


_COUNTS: dict[str, Any] = {
    "gpus": dy.UInt16(description="whole GPUs sampled; those cut into MIG instances are left out"),
    "watched": dy.UInt16(
        description="of them told in utilisation and in power throughout, no gap longer than 10 min"
    ),
    "idle": dy.UInt16(description="of these without work and near idle power in every sample"),
}


class IdleHourly(dy.Schema):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="host name")
    hour_at = instant("begin of the UTC hour", key=True)
    gpus, watched, idle = _COUNTS.values()


class IdleSpells(dy.Schema):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="host name")
    began = instant("begin of the first of the hours", key=True)
    ended = instant("end of the last of them, no later than the day's")
    day = dy.Date(description="UTC day of began")
    gpus, watched, idle = _COUNTS.values()


def _table(schema: type[dy.Schema], name: str, grain: str, partition: str = "day") -> Table:
    return Table(
        schema=schema,
        name=name,
        room="derived",
        grain=grain,
        day="hour_at",
        partition=partition,  # type: ignore[arg-type]
    )


GPU_HOURLY = _table(
    type("GpuHourly", (dy.Schema,), _of_a_device("gpu")),
    "gpu_hourly",
    "GPU (or MIG instance), metric and hour with a sample",
    "hour",
)
LINK_HOURLY = _table(
    type("LinkHourly", (dy.Schema,), _of_a_device("link")),
    "link_hourly",
    "port, metric and hour with a sample",
    "hour",
)
NODE_HOURLY = _table(
    type("NodeHourly", (dy.Schema,), _OF_A_NODE),
    "node_hourly",
    "node, metric (its own, or of its GPUs or links together) and hour with a sample",
)
FLEET_HOURLY = _table(
    type("FleetHourly", (dy.Schema,), _OF_A_FLEET),
    "fleet_hourly",
    "cluster, metric and hour with a sample",
)
HEARD_HOURLY = _table(
    HeardHourly, "heard_hourly", "node, GPU or link and hour in which it was sampled"
)
SAMPLE_SIGNALS = _table(
    SampleSignals,
    "sample_signals",
    "device, metric and hour in which samples show trouble; each change to another Xid",
)
SILENCES = Table(
    schema=Silences,
    name="silences",
    room="derived",
    grain="node or GPU and time without a sample of more than two polling intervals",
    day="day",
)

IDLE_HOURLY = _table(
    IdleHourly, "idle_hourly", "node and hour in which any of its GPUs was watched throughout"
)
IDLE_SPELLS = Table(
    schema=IdleSpells,
    name="idle_spells",
    room="derived",
    grain="node and hours of a day, one after the other, in which as many of its GPUs were idle",
    day="day",
)

OF_SAMPLES = (GPU_HOURLY, NODE_HOURLY, LINK_HOURLY, FLEET_HOURLY, SAMPLE_SIGNALS)
ALL = (*OF_SAMPLES, HEARD_HOURLY, SILENCES, IDLE_HOURLY, IDLE_SPELLS)
