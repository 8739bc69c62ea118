"""The rows of the table of metrics, by what they are measured on."""

from transforms.metric_table import gpu_health, gpu_load, link, node, scheduler
from transforms.metric_table.naming import Row

ROWS: tuple[Row, ...] = (*gpu_load.ROWS, *gpu_health.ROWS, *node.ROWS, *scheduler.ROWS, *link.ROWS)
