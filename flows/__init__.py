"""The skin: files, clock, network, DuckDB and Prefect around the pure transforms."""

import gc
import os
from importlib.metadata import version

__version__ = version("faultledger")

# OpenBLAS would start a thread for each processor with numpy, which wait for work by turning in
# circles: a twentieth of what an hour of samples costs. Nothing here multiplies large matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What imports make lives as long as the process: to look through it again for every 700 objects
# made takes a fifth of a start.
gc.set_threshold(50_000, 20, 100)
