"""Every format that can be read. A new one is one file here and one line below."""

from transforms.sources import (
    goodput_lab,
    gpud,
    infiniband_sysfs,
    inventory,
    ipmi_sel,
    kernel_log,
    kubernetes,
    ml_goodput,
    nhc,
    nvidia_smi,
    nvsentinel,
    perfquery,
    prometheus_text,
    slurm_ctld,
    slurm_events,
    slurm_json,
    slurm_sacct,
    train_log,
)
from transforms.sources.base import Source

SOURCES: tuple[Source, ...] = (
    slurm_sacct.SOURCE,
    slurm_json.SOURCE,
    slurm_events.SOURCE,
    slurm_ctld.SOURCE,
    kernel_log.SOURCE,
    kubernetes.EVENTS_SOURCE,
    train_log.SOURCE,
    ml_goodput.SOURCE,
    goodput_lab.SOURCE,
    inventory.NODES_SOURCE,
    inventory.GPUS_SOURCE,
    prometheus_text.SOURCE,
    nvidia_smi.SOURCE,
    infiniband_sysfs.SOURCE,
    perfquery.SOURCE,
    gpud.SOURCE,
    ipmi_sel.SOURCE,
    nvsentinel.SOURCE,
    nhc.SOURCE,
)
BY_NAME: dict[str, Source] = {source.name: source for source in SOURCES}
