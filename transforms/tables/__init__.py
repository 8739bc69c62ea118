"""The data dictionary: every table of the lake, its grain, key, columns, units and row rules."""

from transforms.contract import Table
from transforms.tables import derived, hourly, observed, samples

OBSERVED: tuple[Table, ...] = (*observed.EVENTS, *samples.ALL, *observed.BOOKKEEPING)
DERIVED: tuple[Table, ...] = (*hourly.ALL, *derived.ALL)
ALL: tuple[Table, ...] = (*OBSERVED, *DERIVED)
BY_NAME: dict[str, Table] = {table.name: table for table in ALL}
