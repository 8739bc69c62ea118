"""JSON objects in whatever arrangement a tool dumps them: a line each, one array, or side by side.

    {"a": 1}          [{"a": 1},        {
    {"a": 2}           {"a": 2}]          "a": 1
                                        } { "a": 2 }

A record is an object at the top or an element of a top array. Where the JSON breaks, one record is
refused and reading goes on at the next line that begins with a brace in its first column.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_DECODER = json.JSONDecoder(strict=False)
_BETWEEN = re.compile(r"[ \t\r\n,\[\]]*")
_LINE_OF_BRACE = re.compile(r"^\{", re.MULTILINE)


class Record(NamedTuple):
    """`value` is an object where `fault` is null.

    `line_no` counts records from 1: it is the line where each has one, and still tells records
    apart where a whole array is one line.
    """

    line_no: int
    value: dict[str, Any]
    text: str
    fault: str | None = None


def records(said: str) -> Iterator[Record]:
    """Every record in the order of the text; see the module for what is refused."""
    at, line_no = 0, 0
    while (at := _after_blanks(said, at)) < len(said):
        line_no += 1
        try:
            value, end = _DECODER.raw_decode(said, at)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else "nested beyond reason"
            found = _LINE_OF_BRACE.search(said, at + 1)
            end = found.start() if found else len(said)
            yield Record(line_no, {}, said[at:end].rstrip(), f"broken JSON: {why}")
        else:
            fault = None if isinstance(value, dict) else "no JSON object"
            yield Record(line_no, value if fault is None else {}, said[at:end], fault)
        at = end


def _after_blanks(said: str, at: int) -> int:
    found = _BETWEEN.match(said, at)
    return found.end() if found else at
