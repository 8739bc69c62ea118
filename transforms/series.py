"""What a Prometheus series measures, and on what: its metric's claim and its labels' names.

    DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1f02...",GPU_I_ID="3",Hostname="gpu-0417"}

A file has few series and many samples, so labels are read once per series, exactly.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from transforms.metrics import claims

_LABEL = re.compile(
    r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|\Z)', re.S
)
_ESCAPE = re.compile(r'\\([\\"n])')
BARE_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.I)
_PORT = re.compile(r":\d+$")
NODE_LABELS = (
    *("Hostname", "hostname", "node", "nodename", "node_name", "kubernetes_node", "instance"),
)
UUID_LABELS = ("UUID", "uuid", "gpu_uuid")
SLOT_LABELS = ("gpu", "minor_number", "index", "gpu_id", "card")
NOWHERE = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0")

LONGEST_LABELS = 65_536
"""Characters between the braces of one series; a name of that length would fill every row."""
NODE_NAMER = "node_uname_info"
SLOT_NAMER = "nvidia_smi_gpu_info"
NO_LABELS = "labels cannot be read"
NO_GPU = "names no GPU: neither uuid nor index among its labels"
NO_PORT = "names no port: no device among its labels"


@dataclass(frozen=True, slots=True)
class Series:
    """One series. `role` is metric, unknown, name (its labels name things) or unreadable."""

    role: str
    metric: str | None = None
    times: float | None = None
    over: float | None = None
    blanks: tuple[float, ...] = ()
    is_dcgm: bool = False
    cluster: str | None = None
    node: str | None = None
    uuid: str | None = None
    index: str | None = None
    gpu_instance: str = ""
    link: str = ""
    problem: str | None = None


def read_all(heads: Iterable[tuple[str, str | None]]) -> list[Series]:
    """Read series from their names and label texts; most metrics of a thing bear the same."""
    read = cache(read_labels)
    return [series(name, label_text, read) for name, label_text in heads]


def series(
    name: str,
    label_text: str | None,
    read: Callable[[str], dict[str, str] | None] | None = None,
) -> Series:
    """Read one series from its sample name and the text between its braces."""
    if label_text and len(label_text) > LONGEST_LABELS:
        return Series("unreadable", problem=too_long(label_text))
    labels = (read or read_labels)(label_text or "")
    if labels is None:
        return Series("unreadable", problem=NO_LABELS)
    return labelled(name, labels)


def too_long(label_text: str) -> str:
    return f"labels of {len(label_text):,} characters: longer than {LONGEST_LABELS:,}"


class Place(NamedTuple):
    """All that labels may say of where a series belongs, whatever its metric; None is not said."""

    cluster: str | None = None
    node: str | None = None
    nodename: str | None = None
    uuid: str | None = None
    slot: str | None = None
    instance: str | None = None
    device: str | None = None
    port: str | None = None


def place(label_text: str) -> Place | None:
    """Read a label text for all metrics at once; None where it cannot be read."""
    labels = read_labels(label_text)
    if labels is None:
        return None
    return Place(
        labels.get("cluster"),
        _node(labels),
        labels.get("nodename"),
        _uuid(labels),
        _first(labels, SLOT_LABELS),
        labels.get("GPU_I_ID"),
        labels.get("device"),
        labels.get("port"),
    )


def labelled(name: str, labels: dict[str, str]) -> Series:
    """Read one series from its sample name and its labels."""
    if name == NODE_NAMER:
        return Series("name", node=labels.get("nodename"))
    if name == SLOT_NAMER:
        return Series("name", uuid=_uuid(labels), index=_first(labels, SLOT_LABELS))
    for claim in claims(name):
        metric = claim.metric
        if metric.where and labels.get(metric.where[0]) != metric.where[1]:
            continue
        found = Series(
            "metric",
            metric.name,
            claim.times,
            claim.over,
            metric.blanks,
            name.startswith("DCGM_"),
            labels.get("cluster"),
            _node(labels),
        )
        if metric.table == "gpu_samples":
            return _on_gpu(found, labels)
        if metric.table == "link_samples":
            return _on_link(found, labels)
        return found
    return Series("unknown")


def read_labels(text: str) -> dict[str, str] | None:
    """Read `a="x",b="y",` into a dict; None where the text is not labels."""
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        if not (match := _LABEL.match(text, at)):
            return labels if not text[at:].strip(" \t") else None
        if match[1] in labels:
            return None
        value = match[2]
        if "\\" in value:
            value = _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], value)
        labels[match[1]] = value
        at = match.end()
    return labels


def gpu_uuid(text: str) -> str:
    """Spell a GPU's uuid as the driver does; some exporters strip its GPU- prefix."""
    return f"GPU-{text.lower()}" if BARE_UUID.fullmatch(text) else text


def _first(labels: dict[str, str], names: tuple[str, ...]) -> str | None:
    for name in names:
        if found := labels.get(name):
            return found
    return None


def _uuid(labels: dict[str, str]) -> str | None:
    found = _first(labels, UUID_LABELS)
    return gpu_uuid(found) if found else None


def _node(labels: dict[str, str]) -> str | None:
    """The host that the labels name; `instance` is an address whose port is the exporter's."""
    for name in NODE_LABELS:
        host = labels.get(name, "")
        if name == "instance":
            host = _PORT.sub("", host)
            host = "" if host in NOWHERE else host
        if host:
            return host
    return None


def _on_gpu(found: Series, labels: dict[str, str]) -> Series:
    uuid, index = _uuid(labels), _first(labels, SLOT_LABELS)
    if not uuid and not index:
        return Series("unreadable", problem=NO_GPU)
    instance = labels.get("GPU_I_ID", "")
    return replace(found, uuid=uuid, index=index, gpu_instance=instance)


def _on_link(found: Series, labels: dict[str, str]) -> Series:
    device, port = labels.get("device"), labels.get("port")
    if not device:
        return Series("unreadable", problem=NO_PORT)
    return replace(found, link=f"{device}/{port}" if port else device)
