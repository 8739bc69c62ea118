"""`nvidia-smi -q` as text, one query or many, to GPU samples, boards and slots.

    GPU 00000000:00:06.0
        Temperature
            GPU Current Temp                               : 59 C

A heading's place is its indent. Each value is the one that the XML form has at the path that
`smi_text_paths` gives, and is read as that one is: same units, same words, same refusals. A section
that was asked for alone (`-d ECC`) names no board: query all of it.
"""

import re

from transforms.sources.base import Origin, Parsed, Source
from transforms.sources.nvidia_smi_xml import read_queries
from transforms.sources.smi_text_paths import PASSED, PATHS
from transforms.sources.smi_xml_documents import Gpu, Query
from transforms.sources.text import decode
from transforms.tables.observed import GPUS
from transforms.tables.samples import GPU_SAMPLES

_BEGIN = re.compile(r"^=+NVSMI LOG=+\s*$")
_GPU = re.compile(r"^GPU ([0-9A-Fa-f:.]{7,20})\s*$")
_LINE = re.compile(r"^( {4,40})(\S.{0,200}?)(?:\s+: (.{0,300}))?$")
_HEAD = re.compile(r"^(Timestamp|Attached GPUs)\s+: (.*\S)\s*$")
_MIG = "MIG Devices/MIG Device"


def parse(data: bytes, origin: Origin) -> Parsed:
    """Values and boards of every GPU; a last line without its end is refused."""
    text = decode(data)
    queries, bad = _queries(text)
    last = text.count("\n") + 1
    for gpu in (gpu for query in queries[-1:] for gpu in query.gpus[-1:]):
        if gpu.leaves and gpu.leaves[-1][0] == last:
            gpu.leaves.pop()
            bad.append((last, "the last line has no line end: it may be torn"))
    return read_queries(queries, bad, text, origin)


def _queries(text: str) -> tuple[list[Query], list[tuple[int, str]]]:
    """The queries of a text, and the lines that are no part of one."""
    found: list[Query] = []
    outside: list[tuple[int, str]] = []
    path: list[tuple[int, str]] = []
    migs = 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if _BEGIN.match(line):
            found.append(Query(number))
        elif not line.strip():
            continue
        elif not found:
            outside.append((number, "stands before the first query"))
        elif head := _HEAD.match(line):
            if head[1] == "Timestamp":
                found[-1].stamp = head[2]
            else:
                found[-1].attached = head[2]
        elif gpu := _GPU.match(line):
            found[-1].gpus.append(Gpu(number, gpu[1], is_whole=True))
            path, migs = [], 0
        elif found[-1].gpus and (part := _LINE.match(line)):
            depth = len(part[1])
            path = [step for step in path if step[0] < depth] + [(depth, part[2].rstrip(": "))]
            here = "/".join(name for _, name in path)
            migs += here == _MIG and part[3] is None
            if part[3] is not None and not (here not in PATHS and here.startswith(PASSED)):
                place = PATHS.get(here) or here.lower().replace(" ", "_")
                found[-1].gpus[-1].leaves.append((number, place, part[3].strip(), migs))
        elif " : " not in line:
            outside.append((number, "no line of a query"))
    return found, outside


def sniff(head: str, name: str) -> int:
    """Surely, by the report's own title."""
    return 2 if re.search(r"^=+NVSMI LOG=+\s*$", head, re.MULTILINE) else 0


SOURCE = Source(
    name="nvidia_smi_text",
    title="nvidia-smi -q as text, one query or many",
    example="        GPU Current Temp                               : 59 C",
    makes=(GPUS, GPU_SAMPLES),
    sniff=sniff,
    parse=parse,
    is_bulk=True,
)
