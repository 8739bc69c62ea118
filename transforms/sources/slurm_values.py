"""Values in Slurm's JSON, in every shape that releases 22.05 to 25.11 gave them.

    "limit": 60        "limit": {"set": true, "infinite": false, "number": 60}
    "state": "IDLE"    "state": ["IDLE", "DRAIN"]

What is not there is null; what is there but of another kind raises UnreadableError.
"""

from typing import Any

from transforms.sources.json_cursor import clean

# Slurm's NO_VAL and INFINITE, 32 and 64 bits wide, and as releases before 24.11 print them signed.
_NO_NUMBER = frozenset((-1, -2, 2**32 - 1, 2**32 - 2, 2**64 - 1, 2**64 - 2))


class UnreadableError(ValueError):
    """A value is of no kind that any release writes in its place."""


def part(record: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of that name; an empty one where there is none."""
    found = record.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UnreadableError(f"{name}: not an object")
    return found


def words(record: dict[str, Any], name: str) -> str | None:
    """The text of that name."""
    if not isinstance(found := record.get(name), str | None):
        raise UnreadableError(f"{name}: not a text")
    return clean(found) if found else found


def listed(record: dict[str, Any], name: str) -> list[str]:
    """A word or a list of words as a list."""
    found = record.get(name)
    if not isinstance(found, list):
        return [word] if (word := words(record, name)) else []
    if not all(isinstance(word, str) for word in found):
        raise UnreadableError(f"{name}: not a list of words")
    return [clean(word) for word in found]


def number(record: dict[str, Any], name: str) -> int | None:
    """A count or time, plain or wrapped; null where it is not set or has no limit."""
    found = record.get(name)
    if isinstance(found, dict):
        is_told = found.get("set") is True and found.get("infinite") is not True
        found = found.get("number") if is_told else None
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if found is None or (type(found) is int and found in _NO_NUMBER):
        return None
    if type(found) is not int:
        raise UnreadableError(f"{name}: not a number")
    return found


def digits(record: dict[str, Any], name: str, is_zero_told: bool = True) -> str | None:
    """`number` as text."""
    found = number(record, name)
    return None if found is None or not (found or is_zero_told) else str(found)
