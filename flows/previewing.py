"""What a mapping makes of a file, shown before anything is written."""

from pathlib import Path

import polars as pl

from flows import holding, landing, mapping, output, settings
from flows.errors import RefusedError
from flows.output import tell
from flows.reading import LARGEST, Options, origin_of
from transforms.contract import Table

ROWS = 10
REASONS = 10
FILES = 3
WIDEST = 40


def preview(paths: list[Path], root: Path, options: Options) -> None:
    """Show the first rows, the refused records and what each column became, file by file."""
    assert options.mapping is not None
    header = mapping.read(options.mapping)
    said = settings.load(root)
    found = [f for f in landing.walk(paths) if f.size and not f.trouble]
    for one in found[:FILES]:
        held = holding.hold(one)
        try:
            data = held.text().read_all(LARGEST)
            through = mapping.look(header, data, origin_of(held, options, said))
        except RefusedError:
            continue  # the report above says why
        finally:
            held.close()
        tell()
        tell(f"{one.name} through {options.mapping}")
        _show(header.table, through)
    if len(found) > FILES:
        tell(f"... and {len(found) - FILES:,} more files.")


def _show(table: Table | None, through: mapping.Through) -> None:
    if table is None:
        tell("  set aside: its records are counted and give no rows")
        return
    rows = through.parsed.frames.get(table.name, table.empty())
    _indented(f"{rows.height:,} rows of {table.name}", output.table(rows.head(ROWS), WIDEST))
    refused = through.parsed.rejects
    if refused.height:
        counted = refused.group_by("reason").agg(
            pl.len().alias("records"), pl.col("line_no").min(), pl.col("text").first()
        )
        told = counted.sort("records", "reason", descending=[True, False]).head(REASONS)
        chosen = told.select("records", "reason", first_line="line_no", first_text="text")
        _indented(f"{refused.height:,} records refused", output.table(chosen, 2 * WIDEST))
    _indented("columns", output.table(_columns(table, rows, through.types), 2 * WIDEST))


def _columns(table: Table, rows: pl.DataFrame, types: dict[str, str]) -> pl.DataFrame:
    """One row a column of the table: its type, how much of it is filled, and where that is from."""
    told = []
    for name, dtype in table.dtypes.items():
        values = rows[name]
        filled = values.len() - values.null_count()
        share = f"{100 * filled / rows.height:.0f} % of {rows.height:,}" if rows.height else ""
        told.append((name, output.type_name(dtype), share, _from(name, values, types)))
    schema = ["column", "type", "filled", "from"]
    return pl.DataFrame(told, schema=schema, orient="row")


def _from(name: str, values: pl.Series, types: dict[str, str]) -> str:
    if name == "file":
        return "the file's name"
    if name not in types:
        blank = (
            "nothing: empty" if values.len() and values.null_count() < values.len() else "nothing"
        )
        return "the call, or the lake's settings" if name in ("cluster", "node") else blank
    if values.len() > 1 and values.n_unique() == 1:
        return f"SELECT, always {output.cell(values[0]) or 'null'}"
    return f"SELECT, {types[name]}"


def _indented(title: str, text: str) -> None:
    tell(f"  {title}")
    for line in text.rstrip("\n").split("\n"):
        tell(f"    {line}")
