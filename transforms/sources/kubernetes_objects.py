"""Kubernetes objects out of whatever wrote them down, one at a time.

    kubectl get ... -o json        a List, an EventList, one object, or several in a row
    kubectl get --watch, exporters one object a line; {"type": "ADDED", "object": {...}} too
    cloud and collector logs       {"jsonPayload": {...}, "resource": ...}, {"body": {...}}

Objects are numbered from 1 in the order of the file. A list cut short keeps what stands before
the cut, a torn line costs that line alone.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from transforms.sources.base import TEXT_LIMIT
from transforms.sources.json_cursor import Cursor, clean, where_broken
from transforms.sources.text import decode

Refused = tuple[int, str, str]
Fields = dict[str, Any]


class UnreadableError(ValueError):
    """A field is of no kind that Kubernetes writes in its place."""


@dataclass(frozen=True)
class KubernetesObject:
    """One object; `change` is ADDED, MODIFIED or DELETED where a watch says so, else ''."""

    number: int
    kind: str
    said: Fields
    text: str
    cluster: str = ""
    change: str = ""

    @property
    def metadata(self) -> Fields:
        return part(self.said, "metadata")


def objects(data: bytes) -> tuple[list[KubernetesObject], list[Refused], int]:
    """The objects of a file, what was refused of it, and how many records say nothing."""
    found: list[KubernetesObject] = []
    bad: list[Refused] = []
    silent = number = 0
    for value, kind, text in _values(decode(data)):
        number += 1
        if isinstance(value, Exception):
            bad.append((number, kind, text))
            continue
        try:
            said, cluster, change = _unwrapped(value)
            if change == "ERROR":
                raise UnreadableError(f"the watch broke off: {word(said, 'message')}")
            kind = word(said, "kind") or kind or _kind_by_shape(said)
            if change == "BOOKMARK":
                silent += 1
            elif not kind:
                raise UnreadableError("no Kubernetes object: it has no kind")
            else:
                found.append(KubernetesObject(number, kind, said, text, cluster, change))
        except UnreadableError as error:
            bad.append((number, str(error), text))
    return found, bad, silent


def part(said: Fields, name: str) -> Fields:
    """An object inside an object; {} where it is absent."""
    found = said.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UnreadableError(f"{name}: not an object")
    return found


def parts(said: Fields, name: str) -> list[Fields]:
    """A list of objects; [] where it is absent."""
    found = said.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnreadableError(f"{name}: not a list of objects")
    return found


def word(said: Fields, name: str) -> str:
    """A text; '' where it is absent."""
    found = said.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise UnreadableError(f"{name}: not a text")
    return clean(found).strip()


def first_word(said: Fields, *names: str) -> str | None:
    """The first of several names (labels, say) under which there is a text."""
    return next((found for name in names if (found := word(said, name))), None)


def count(said: Fields, name: str) -> int | None:
    """A whole number that is not negative, plain or as a quantity in quotes; None where absent."""
    found = said.get(name)
    if isinstance(found, str) and re.fullmatch(r"\d{1,9}", found):
        found = int(found)
    if found is None:
        return None
    if type(found) is not int or not 0 <= found < 2**31:
        raise UnreadableError(f"{name}: not a count")
    return found


def moment(said: Fields, name: str) -> datetime | None:
    """An instant; None where it is absent or Go's zero time."""
    text = word(said, name)
    if not text or text.startswith("0001-01-01T00:00:00"):
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("no zone")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"{name}: no instant: {text[:40]}") from error


def latest(*instants: datetime | None) -> datetime | None:
    """The latest of the instants that are told."""
    return max((at for at in instants if at), default=None)


def earliest(*instants: datetime | None) -> datetime | None:
    """The earliest of the instants that are told."""
    return min((at for at in instants if at), default=None)


def _values(said: str) -> Iterator[tuple[Any, str, str]]:
    """Each value with the kind that its list tells, and its text; an error with its reason."""
    lines = [line for line in said.split("\n") if line.strip()]
    if 2 * sum(line.startswith("{") for line in lines) < len(lines):
        yield from _walked(said)
        return
    for line in lines:
        try:
            whole = json.loads(line, strict=False)
        except (ValueError, RecursionError):
            yield from _walked(line)
            continue
        if isinstance(whole, dict) and isinstance(items := whole.get("items"), list):
            kind = _kind_of_list(whole.get("kind"))
            yield from ((item, kind, line[:TEXT_LIMIT]) for item in items)
        else:
            yield whole, "", line[:TEXT_LIMIT]


def _walked(said: str) -> Iterator[tuple[Any, str, str]]:
    """The values of JSON texts that follow one another, the items of a list one by one."""
    cursor = Cursor(said)
    try:
        while not cursor.is_at_end:
            begin, has_items = cursor.at, False
            members: Fields = {}
            cursor.need("{")
            is_open = not cursor.took("}")
            while is_open:
                key = str(cursor.value())
                cursor.need(":")
                if key == "items" and cursor.took("["):
                    has_items, is_listing = True, not cursor.took("]")
                    while is_listing:
                        start, value = cursor.at, cursor.value()
                        kind = _kind_of_list(members.get("kind"))
                        yield value, kind, said[start : min(cursor.at, start + TEXT_LIMIT)]
                        if is_listing := not cursor.took("]"):
                            cursor.need(",")
                else:
                    members[key] = cursor.value()
                if is_open := not cursor.took("}"):
                    cursor.need(",")
            if not has_items:
                yield members, "", said[begin : min(cursor.at, begin + TEXT_LIMIT)]
    except (ValueError, RecursionError) as error:
        yield error, *where_broken(error, cursor)


def _kind_of_list(kind: Any) -> str:
    """Items of an EventList need not say that they are Events; those of a plain List do."""
    return clean(kind).removesuffix("List") if isinstance(kind, str) else ""


def _unwrapped(value: Any) -> tuple[Fields, str, str]:
    """The object out of its envelopes, with the cluster and the change that these tell."""
    cluster = change = ""
    for _ in range(4):
        if not isinstance(value, dict):
            raise UnreadableError("no Kubernetes object")
        labels = part(part(value, "resource"), "labels") if "jsonPayload" in value else {}
        cluster = word(labels, "cluster_name") or cluster
        if isinstance(value.get("object"), dict) and isinstance(value.get("type"), str):
            change, value = word(value, "type"), value["object"]
        elif isinstance(value.get("jsonPayload"), dict):
            value = value["jsonPayload"]
        elif isinstance(value.get("body"), dict):
            value = value["body"]
        else:
            break
    told = word(value, "clusterName") or word(part(value, "metadata"), "clusterName")
    return value, told or cluster, change


def _kind_by_shape(said: Fields) -> str:
    """Exporters leave the kind of events out; only events say what they are about."""
    return "Event" if {"involvedObject", "regarding"} & said.keys() else ""
