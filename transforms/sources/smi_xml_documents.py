"""`nvidia-smi -q -x` as documents: queries, their GPUs, and the leaves of each with its line.

Only what stands inside <nvidia_smi_log> is given to the parser: no document type is ever read, so
there are no entities to expand and nothing outside to fetch. Reading a document stops where it is
no longer well formed; the GPUs that were whole until then stay.
"""

import re
from dataclasses import dataclass, field
from xml.parsers import expat

_ROOT = "<nvidia_smi_log"
_START = re.compile(
    rf"(?:<\?xml[^>]*\?>\s*)?(?:<!DOCTYPE\s+nvidia_smi_log[^>\[]*>\s*)?{_ROOT}(?=[\s>/])"
)
_END = "</nvidia_smi_log>"
_DEEPEST = 32
MISSING = (
    r"(?i)^(?:|\[.*\]|n/a|err!|unknown error|not supported|none|requested functionality has been "
    r"deprecated|gpu requires reset|gpu is lost|insufficient permissions|function not found)$"
)
"""What the tool writes where it has no value. None is also a word for "no action"."""


@dataclass
class Gpu:
    """One <gpu> element: its bus address, where it stands, and its leaves by path."""

    line_no: int
    bus: str
    is_whole: bool = False
    leaves: list[tuple[int, str, str, int]] = field(default_factory=list)  # line, path, text, MIG

    def said(self, path: str) -> str | None:
        for _, found, text, _ in self.leaves:
            if found == path and not re.match(MISSING, text):
                return text
        return None


@dataclass
class Query:
    """One document: its time, its GPUs, and why reading stopped before its end."""

    line_no: int
    stamp: str | None = None
    attached: str | None = None
    gpus: list[Gpu] = field(default_factory=list)
    trouble: tuple[int, str] | None = None


def documents(text: str) -> tuple[list[Query], list[tuple[int, str]]]:
    """The documents of a file, and what stands outside of them."""
    found: list[Query] = []
    outside: list[tuple[int, str]] = []
    starts = [(match.start(), match.end() - len(_ROOT)) for match in _START.finditer(text)]
    begins = [begin for begin, _ in starts] + [len(text)]
    _tell_outside(text, 0, begins[0], outside)
    for (_, root), stop in zip(starts, begins[1:], strict=True):
        end = text.find(_END, root, stop)
        end = stop if end < 0 else end + len(_END)
        found.append(_query(text[root:end], text.count("\n", 0, root) + 1))
        _tell_outside(text, end, stop, outside)
    return found, outside


def _tell_outside(text: str, begin: int, end: int, outside: list[tuple[int, str]]) -> None:
    rest = text[begin:end].lstrip()
    if rest:
        line_no = text.count("\n", 0, end - len(rest)) + 1
        why = "declares entities" if "<!ENTITY" in rest else "is no part of a query"
        outside.append((line_no, f"text outside <nvidia_smi_log> {why}"))


def _query(body: str, first_line: int) -> Query:
    """Read one document up to where it stops being well formed."""
    query = Query(first_line)
    path: list[str] = []
    texts: list[list[str]] = []
    parents: list[bool] = []
    migs = 0
    parser = expat.ParserCreate()

    def line() -> int:
        return first_line + parser.CurrentLineNumber - 1

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal migs
        if len(path) > _DEEPEST:
            raise expat.ExpatError("nested too deep")
        if parents:
            parents[-1] = True
        path.append(name)
        texts.append([])
        parents.append(False)
        if path[1:] == ["gpu"]:
            query.gpus.append(Gpu(line(), attributes.get("id", "")))
        migs += path[2:] == ["mig_devices", "mig_device"]

    def end(name: str) -> None:
        said = " ".join("".join(texts.pop()).split())
        is_leaf = not parents.pop()
        if path[1:] == ["timestamp"]:
            query.stamp = said
        elif path[1:] == ["attached_gpus"]:
            query.attached = said
        elif path[1:] == ["gpu"] and query.gpus:
            query.gpus[-1].is_whole = True
        elif len(path) > 2 and path[1] == "gpu" and is_leaf and query.gpus:
            query.gpus[-1].leaves.append((line(), "/".join(path[2:]), said, migs))
        path.pop()

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda said: texts[-1].append(said) if texts else None
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, UnicodeError) as error:
        why = str(error).partition(": line")[0]
        query.trouble = (line(), f"not read from here on: {why}")
    query.gpus = [gpu for gpu in query.gpus if gpu.is_whole]
    return query
