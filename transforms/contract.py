"""A table's promise, and what it says when the promise is broken.

A `Table` wraps a dataframely schema with what a lake needs beside types: which room it lives
in, what one row is, which column names its partition, and which two columns make an interval.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import polars as pl

from transforms.lean import without

with without("sqlalchemy", "pydantic", "pydantic_core"):  # a tenth of a second for no table here
    import dataframely as dy

UTC = pl.Datetime("us", "UTC")

Room = Literal["observed", "derived"]
Partition = Literal["day", "hour", "none"]


class ContractError(ValueError):
    """A frame does not have the shape its table promises."""


def instant(description: str, *, nullable: bool = False, key: bool = False) -> dy.Datetime:
    """A column of instants: microseconds, UTC."""
    return dy.Datetime(
        nullable=nullable, primary_key=key, time_unit="us", time_zone="UTC", description=description
    )


@cache
def _empty(schema: type[dy.Schema]) -> pl.DataFrame:
    """Made once: it takes ten milliseconds, and every partition that is written asks for it."""
    return pl.DataFrame(schema.create_empty())


@cache
def _dtypes(schema: type[dy.Schema]) -> pl.Schema:
    return _empty(schema).schema


@lru_cache(maxsize=64)
def _column_rules(schema: type[dy.Schema], there: tuple[str, ...]) -> list[pl.Expr] | None:
    """The rules of the columns that are there; None where one is missing that no row may lack."""
    columns = schema.columns()
    if any(not column.nullable for name, column in columns.items() if name not in there):
        return None
    return [
        rule.all().alias(f"{name}|{kind}")
        for name in there
        if name in columns
        for kind, rule in columns[name].validation_rules(pl.col(name)).items()
    ]


@dataclass(frozen=True)
class Table:
    """One lake table. `grain` finishes the sentence "one row per ...".

    day       the column whose UTC date names the partition; None keeps the table in one file
    interval  (began, ended) of tables whose rows last; an ended of null is still open
    prefers   columns that decide between two versions of one key: filled beats null, in order
    grows     columns of which, next, the larger value is the later version, in order
    """

    schema: type[dy.Schema]
    name: str
    room: Room
    grain: str
    day: str | None
    interval: tuple[str, str] | None = None
    prefers: tuple[str, ...] = ()
    grows: tuple[str, ...] = ()
    partition: Partition = "day"

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.schema.primary_key())

    @property
    def is_sampled(self) -> bool:
        """Whether it holds what devices measured, hour by hour; rollups are hourly as well."""
        return self.room == "observed" and self.partition == "hour"

    @property
    def dtypes(self) -> pl.Schema:
        return _dtypes(self.schema)  # one object for all who ask: nobody changes it

    @property
    def meanings(self) -> dict[str, str]:
        """Column name to its meaning, with the unit where it has one."""
        return {name: column.description or "" for name, column in self.schema.columns().items()}

    def empty(self) -> pl.DataFrame:
        return _empty(self.schema).clone()

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with exactly this table's columns, in order, or say all that differs."""
        found, promised = frame.schema, self.dtypes
        if found == promised:  # in this order
            return frame
        missing = [f"missing {n} ({t})" for n, t in promised.items() if n not in found]
        extra = [f"unexpected {n}" for n in found if n not in promised]
        wrong = [
            f"{n} is {found[n]}, promised {t}"
            for n, t in promised.items()
            if n in found and found[n] != t
        ]
        if faults := missing + wrong + extra:
            raise ContractError(
                f"{self.name} (one row per {self.grain}) does not keep its contract: "
                f"{'; '.join(faults)}. The contract is in transforms/tables/{self.room}.py."
            )
        return frame.select(promised.names())

    def broken_rules(self, frame: pl.DataFrame) -> dict[str, int]:
        """Count the rows of a conforming `frame` that break each row rule (nulls, bounds, keys)."""
        _, failures = self.schema.filter(frame)
        return dict(failures.counts())

    def widen(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`frame` in the table's shape: columns that it lacks are null."""
        here = set(frame.columns)
        absent = [pl.lit(None, t).alias(n) for n, t in self.dtypes.items() if n not in here]
        return self.conform(frame.with_columns(absent))

    def keeps_column_rules(self, frame: pl.DataFrame) -> bool:
        """Whether each column that `frame` has keeps its own rules; keys and other columns apart.

        Of a wide table that is sparsely filled this takes a fraction of what `broken_rules` does.
        """
        rules = _column_rules(self.schema, tuple(frame.columns))
        return rules is not None and (not rules or all(frame.select(rules).row(0)))

    def fold(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Keep one row a key, sorted by key, whatever the order of the rows.

        Of two versions of a key the better informed one wins whole: filled `prefers` columns
        first, then the larger `grows` columns, then the later `ended`, then more filled columns,
        then the smaller row in plain sort order. Winning whole rows by a total order makes folding associative, so files may
        arrive in any order.
        """
        if frame.is_empty():
            return frame
        # Nearly all rows have a key of their own: only the others need the whole order.
        is_repeated = frame.select(self.key).is_duplicated()
        single = frame.filter(~is_repeated)
        if single.height < frame.height:
            single = pl.concat([single, self._best(frame.filter(is_repeated))])
        return single.sort(self.key, nulls_last=True)

    def _best(self, frame: pl.DataFrame) -> pl.DataFrame:
        order: list[tuple[pl.Expr, bool]] = [
            (pl.col(name).is_not_null(), True) for name in self.prefers
        ]
        order += [(pl.col(name), True) for name in self.grows]
        if self.interval:
            order.append((pl.col(self.interval[1]), True))
        order.append(
            (pl.sum_horizontal(pl.all().is_not_null().cast(pl.Int32)), True),
        )
        plain = [
            pl.col(n).list.join("\x1f") if t == pl.List(pl.String) else pl.col(n)
            for n, t in self.dtypes.items()
            if n not in self.key and n in frame.columns
        ]
        keys = [pl.col(name) for name in self.key]
        by = keys + [e for e, _ in order] + plain
        descending = [False] * len(keys) + [d for _, d in order] + [False] * len(plain)
        return frame.sort(by, descending=descending, nulls_last=True).unique(
            subset=list(self.key), keep="first", maintain_order=True
        )
