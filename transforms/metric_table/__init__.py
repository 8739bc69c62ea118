"""The rows of the table of metrics, by what they are measured on."""

from collections.abc import Iterable, Mapping

from transforms.metric_table import amd, board, gpu_health, gpu_load, link, node, scheduler
from transforms.metric_table.naming import Row


def _named(rows: Iterable[Row], also: Mapping[str, tuple[str, float]]) -> tuple[Row, ...]:
    """The rows, with the further names that other sources give them."""
    return tuple(
        (
            *row[:5],
            (*row[5], *((n, f) for n, (metric, f) in also.items() if metric == row[0])),
            *row[6:],
        )
        for row in rows
    )


ROWS: tuple[Row, ...] = _named(
    (
        *gpu_load.ROWS,
        *gpu_health.ROWS,
        *amd.ROWS,
        *node.ROWS,
        *board.ROWS,
        *scheduler.ROWS,
        *link.ROWS,
    ),
    amd.ALSO,
)
