"""Sample tables: one column per metric, built from the one table of metrics."""

import dataframely as dy

from transforms.contract import Table, instant
from transforms.metrics import METRICS
from transforms.tables.observed import CLUSTER

_KEYS: dict[str, dict[str, dy.Column]] = {
    "gpu_samples": {
        "gpu": dy.String(primary_key=True, description="GPU uuid, else node/index"),
        "gpu_instance": dy.String(
            primary_key=True, description="MIG instance id; '' for the whole GPU"
        ),
        "slot": dy.UInt16(nullable=True, description="index on the node"),
    },
    "node_samples": {},
    "link_samples": {
        "link": dy.String(primary_key=True, description="device and port, e.g. mlx5_0/1 or eth0"),
    },
}
_GRAINS = {
    "gpu_samples": "GPU (or MIG instance) and instant",
    "node_samples": "node and instant",
    "link_samples": "fabric or network port and instant",
}


def _table(name: str) -> Table:
    columns: dict[str, dy.Column] = {
        "cluster": dy.String(primary_key=True, description=CLUSTER),
        "node": dy.String(
            primary_key=True, description="host name; '' where the scrape does not say"
        ),
        **_KEYS[name],
        "observed_at": instant("sampled at", key=True),
    }
    for metric in METRICS:
        if metric.table == name:
            columns[metric.name] = dy.Float64(
                nullable=True, description=f"{metric.meaning} ({metric.unit}; {metric.kind})"
            )
    schema = type(name.title().replace("_", ""), (dy.Schema,), columns)
    return Table(
        schema=schema,
        name=name,
        room="observed",
        grain=_GRAINS[name],
        day="observed_at",
        partition="hour",
    )


GPU_SAMPLES = _table("gpu_samples")
NODE_SAMPLES = _table("node_samples")
LINK_SAMPLES = _table("link_samples")
ALL = (GPU_SAMPLES, NODE_SAMPLES, LINK_SAMPLES)
