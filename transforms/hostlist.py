"""Slurm host lists: `gpu[001-003,7],rack[1-2]node[01-04]` to host names and back.

A bracket holds numbers and ranges; a range keeps the zero padding of its first number. Several
brackets in one word multiply. What cannot be read is an error, never a guess: half a list would
make a job look smaller than it was.
"""

import re
from collections.abc import Iterable
from itertools import product

import polars as pl

MAX_HOSTS = 1_000_000
"""A list that names more is taken for damage, not for a machine: it must not fill the memory."""

_WORD = re.compile(r"(?:[^\[\],\s]|\[[0-9,-]*\])+")
_PART = re.compile(r"\[([^\]]*)\]|([^\[]+)")
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_PLAIN = r"^([^\[\],\s]*)(?:\[([0-9,-]+)\])?$"
_PLAIN_RANGE = r"^([0-9]{1,9})(?:-([0-9]{1,9}))?$"
_TAIL = re.compile(r"(.*?)([0-9]{1,18})", re.DOTALL)


class HostlistError(ValueError):
    """A text is not a host list."""


def expand(text: str) -> list[str]:
    """Name every host of a list, in its order, each once. Raises HostlistError on anything else."""
    hosts: list[str] = []
    position = 0
    while True:
        if not (word := _WORD.match(text, position)):
            raise HostlistError(f"no host name at character {position + 1} of {_shown(text)}")
        hosts += _expand_word(word[0], MAX_HOSTS - len(hosts))
        position = word.end()
        if position == len(text):
            return list(dict.fromkeys(hosts))
        if text[position] != ",":
            raise HostlistError(f"stray {text[position]!r} in {_shown(text)}")
        position += 1


def compress(hosts: Iterable[str]) -> str:
    """Write hosts as the scheduler would, runs of numbers in brackets; `expand` undoes it."""
    ranges: dict[str, list[tuple[str, str]]] = {}
    names = set(hosts)
    numbered = {name: (tail[1], tail[2]) for name in names if (tail := _TAIL.fullmatch(name))}
    for prefix, digits in sorted(numbered.values(), key=lambda p: (p[0], len(p[1]), p[1])):
        spans = ranges.setdefault(prefix, [])
        if spans and digits == str(int(spans[-1][1]) + 1).zfill(len(spans[-1][0])):
            spans[-1] = (spans[-1][0], digits)
        else:
            spans.append((digits, digits))
    words = [(name, name) for name in names - numbered.keys()]
    for prefix, spans in ranges.items():
        inside = ",".join(low if low == high else f"{low}-{high}" for low, high in spans)
        is_alone = len(spans) == 1 and spans[0][0] == spans[0][1]
        words.append((prefix, prefix + (inside if is_alone else f"[{inside}]")))
    return ",".join(word for _, word in sorted(words))


def expand_each(texts: pl.Series) -> pl.DataFrame:
    """Expand a column: `hosts` (list) and `fault` (why not, else null), row by row.

    Every distinct list is read once, so that a million jobs on five hundred lists are quick.
    """
    distinct = texts.drop_nulls().unique()
    plain = _expand_plain(distinct)
    hosts: list[list[str] | None] = []
    faults: list[str | None] = []
    odd = distinct.filter(~distinct.is_in(plain["text"].implode()))
    for text in odd:
        try:
            hosts.append(expand(text))
            faults.append(None)
        except HostlistError as error:
            hosts.append(None)
            faults.append(str(error))
    schema = pl.Schema(
        [("text", pl.String()), ("hosts", pl.List(pl.String)), ("fault", pl.String())]
    )
    others = pl.DataFrame({"text": odd, "hosts": hosts, "fault": faults}, schema=schema)
    known = pl.concat(
        [plain.with_columns(fault=pl.lit(None, pl.String)).select(schema.names()), others]
    )
    asked = texts.rename("text").to_frame()
    return asked.join(known, on="text", how="left", maintain_order="left").drop("text")


def _expand_plain(texts: pl.Series) -> pl.DataFrame:
    """The lists of one word with at most one bracket, at its end, whole columns at once.

    Nearly all lists are so; what is not, or is not sound, is left to `expand`.
    """
    parts = texts.rename("text").to_frame().with_row_index("list").with_columns(
        pl.col("text").str.extract_groups(_PLAIN).struct.rename_fields(["stem", "inside"])
        .struct.unnest()
    )  # fmt: skip
    alone = parts.filter((pl.col("stem") != "") & pl.col("inside").is_null())
    lists = parts.filter(pl.col("inside").is_not_null())
    items = lists.select(
        "list", "stem", pl.col("inside").str.split(",").alias("item")
    ).explode("item", empty_as_null=True)  # fmt: skip
    said = items["item"].str.extract_groups(_PLAIN_RANGE).struct
    low, high = said.field("1"), said.field("2")
    items = items.with_columns(
        low=low.cast(pl.Int64),
        high=high.fill_null(low).cast(pl.Int64),
        width=low.str.len_chars(),
    ).with_columns(count=pl.col("high") - pl.col("low") + 1)
    sums = items.group_by("list").agg(
        ((pl.col("count").fill_null(0) > 0).all() & (pl.col("count").sum() <= MAX_HOSTS)).alias(
            "is_sound"
        ),
        (pl.len() > 1).alias("several"),
    )
    sound = items.join(sums.filter("is_sound"), on="list", maintain_order="left")
    numbers = sound.with_columns(
        number=pl.int_ranges("low", pl.col("high") + 1)
    ).explode("number", empty_as_null=True)  # fmt: skip
    named = numbers.select(
        "list",
        "several",
        hosts=pl.col("stem") + pl.col("number").cast(pl.String).str.zfill(pl.col("width")),
    )
    lists = (
        named.group_by("list", maintain_order=True)
        .agg("hosts", pl.col("several").first())
        .join(lists.select("list", "text"), on="list", maintain_order="left")
    )
    once = pl.when("several").then(pl.col("hosts").list.unique(maintain_order=True))
    return pl.concat(
        [
            alone.select("text", pl.concat_list("stem").alias("hosts")),
            lists.select("text", once.otherwise("hosts").alias("hosts")),
        ]
    )


def _expand_word(word: str, room: int) -> list[str]:
    choices: list[list[str]] = []
    size = 1
    for inside, plain in _PART.findall(word):
        choices.append([plain] if plain else _numbers(inside, room))
        size *= len(choices[-1])
        if size > room:
            raise HostlistError(f"more than {MAX_HOSTS:,} hosts in {_shown(word)}")
    return ["".join(parts) for parts in product(*choices)]


def _numbers(inside: str, room: int) -> list[str]:
    numbers: list[str] = []
    for item in inside.split(","):
        if not (found := _RANGE.fullmatch(item)):
            raise HostlistError(f"no number or range: {_shown(item)} in [{_shown(inside)}]")
        low, high = found[1], found[2] or found[1]
        count = int(high) - int(low) + 1
        if count < 1:
            raise HostlistError(f"range {item} runs backwards")
        if len(numbers) + count > room:
            raise HostlistError(f"more than {MAX_HOSTS:,} hosts in [{_shown(inside)}]")
        numbers += [str(number).zfill(len(low)) for number in range(int(low), int(high) + 1)]
    return numbers


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
