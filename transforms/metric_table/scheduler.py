"""What Slurm has promised away of a node, by the exporters that ask it.

prometheus-slurm-exporter (vpenso 0.20 to 0.23 and its forks) gives memory as Slurm counts it, in
MiB; soperator's exporter gives bytes. Forks repeat a node for each of its partitions or types of
GPU: repeats agree, and those that do not are refused, since a sum would count twice.

A node's state is a label in both (`status`, `state_base`): it is no number, so such series stay
unknown and are counted; states come from the accounting's node events. Sums over partitions and
clusters, all that the Rivos exporter has, are no node's samples either.
"""

from transforms.metric_table.naming import ANY, MIB, Row


def _slurm(name: str, unit: str, meaning: str, names: str, soperator: str = "") -> Row:
    factor = MIB if unit == "bytes" else 1.0
    columns = [(f"slurm_node_{n}", factor) for n in names.split()]
    columns += [(f"slurm_node_{n}", 1.0) for n in soperator.split()]
    low, high = ANY
    return (name, "node_samples", unit, "gauge", meaning, tuple(columns), low, {"high": high})


ROWS: tuple[Row, ...] = (
    _slurm("slurm_cpus", "count", "CPUs that Slurm has", "cpu_total", "cpus_total"),
    _slurm("slurm_cpus_allocated", "count", "given to jobs", "cpu_alloc", "cpus_allocated"),
    _slurm("slurm_cpus_idle", "count", "free for jobs", "cpu_idle", "cpus_idle"),
    _slurm("slurm_cpus_other", "count", "neither: the node is out", "cpu_other"),
    _slurm("slurm_gpus", "count", "GPUs that Slurm has", "gpu_total"),
    _slurm("slurm_gpus_allocated", "count", "given to jobs", "gpu_alloc"),
    _slurm(
        "slurm_memory_bytes", "bytes", "memory that Slurm has", "mem_total", "memory_total_bytes"
    ),
    _slurm(
        "slurm_memory_allocated_bytes",
        "bytes",
        "given to jobs",
        "mem_alloc",
        "memory_allocated_bytes",
    ),
)
