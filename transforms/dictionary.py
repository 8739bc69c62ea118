"""The data dictionary as Markdown, for the README and `faultledger tables`."""

from collections.abc import Iterable

from transforms.contract import Table


def overview(tables: Iterable[Table]) -> str:
    """One line a table: its room and what one row is; keys in bold, then the other columns."""
    lines = ["| table | one row per | columns (**key**) |", "|---|---|---|"]
    for table in tables:
        names = [f"**{n}**" if n in table.key else n for n in table.dtypes]
        shown = ", ".join(sorted(names, key=lambda n: not n.startswith("**")))
        if table.partition == "hour":  # one column a metric: too many to list
            shown = ", ".join(f"**{n}**" for n in table.key) + ", and one column per metric"
        lines.append(f"| {table.room}.`{table.name}` | {table.grain} | {shown} |")
    return "\n".join(lines)


def details(table: Table) -> str:
    """Every column of one table with its type and meaning."""
    lines = [f"{table.room}.{table.name}: one row per {table.grain}", ""]
    lines += ["| column | type | meaning |", "|---|---|---|"]
    for name, dtype in table.dtypes.items():
        text = "Enum" if str(dtype).startswith("Enum") else str(dtype)
        key = " (key)" if name in table.key else ""
        lines.append(f"| {name}{key} | {text} | {table.meanings[name]} |")
    return "\n".join(lines)
