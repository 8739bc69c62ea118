"""Progress of long work: a line that moves on a terminal, nothing in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Tick = Callable[[str, int, int], None]


@contextmanager
def progress(verb: str, console: Console | None = None) -> Iterator[Tick]:
    """Give a function to call with what is being done, how many are done, and of how many."""
    console = console or Console(stderr=True)
    columns = (
        TextColumn(f"{verb}: {{task.description}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        line = shown.add_task("", total=None)

        def tick(label: str, done: int, whole: int) -> None:
            shown.update(line, description=label, completed=done, total=whole)

        yield tick
