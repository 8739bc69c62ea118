"""A folder that is one input: the counters of InfiniBand devices as the kernel shows them.

    mlx5_0/ports/1/counters/symbol_error      a file with one number
    mlx5_0/ports/1/counters/symbol_error:0    the line that it becomes, sorted among its like

Thousands of files of one number each are no thousands of inputs: a copy of /sys/class/infiniband
is read as one text, named after its folder, whether it lies on a disk or in an archive.
"""

import re
from collections.abc import Iterable
from pathlib import Path

PORT = re.compile(r"[^/]+/ports/\d+/(?:(?:counters|hw_counters)/)?[^/]+")
FACTS = {"fw_ver", "hca_type", "board_id", "hw_rev", "node_guid", "node_desc", "sys_image_guid"}
LONGEST_VALUE = 4096


def devices(folder: Path) -> list[Path]:
    """The folders in `folder` that are devices with counters of their ports; links count too."""
    try:
        inside = sorted(folder.iterdir())
        return [one for one in inside if any(one.glob("ports/[0-9]*/*counters"))]
    except OSError:
        return []


def parts(folder: Path) -> list[Path]:
    """Every file of the tree: facts of a device, states and counters of its ports."""
    found: list[Path] = []
    for device in devices(folder):
        found += (device / name for name in FACTS)
        for pattern in ("ports/[0-9]*/*", "ports/[0-9]*/*counters/*"):
            found += device.glob(pattern)
    return sorted(path for path in found if path.is_file())


def split(name: str) -> tuple[str, str] | None:
    """(folder of the tree, path below it) of an archive's member that belongs to one, else none."""
    steps = name.split("/")
    for back in (5, 4, 2):
        tail = "/".join(steps[-back:])
        is_fact = back == 2 and len(steps) >= 2 and steps[-1] in FACTS
        if len(steps) >= back and (is_fact or (back > 2 and PORT.fullmatch(tail))):
            return "/".join(steps[:-back]), tail
    return None


def has_ports(told: Iterable[str]) -> bool:
    return any(PORT.fullmatch(path) for path in told)


def bundle(values: Iterable[tuple[str, bytes]]) -> bytes:
    """One line a file, `path:value`, sorted; what is empty or no line of text says nothing."""
    lines = []
    for path, value in values:
        said = value[:LONGEST_VALUE].strip()
        if said and b"\n" not in said:
            lines.append(path.encode("utf-8", "replace") + b":" + said + b"\n")
    return b"".join(sorted(lines))


def read_tree(folder: Path) -> bytes:
    """The tree at `folder` as one text; a counter that its device refuses to show is left out."""
    values = []
    for path in parts(folder):
        try:
            with path.open("rb") as file:
                values.append((path.relative_to(folder).as_posix(), file.read(LONGEST_VALUE)))
        except OSError:
            continue  # sysfs lists counters that some devices answer with an error
    return bundle(values)
