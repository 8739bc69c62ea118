"""The skin: files, clock, network, DuckDB and Prefect around the pure transforms."""

import gc
from importlib.metadata import version

__version__ = version("faultledger")

# What imports make lives as long as the process: to look through it again for every 700 objects
# made takes a fifth of a start.
gc.set_threshold(50_000, 20, 100)
