"""The skin: files, clock, network, DuckDB and Prefect around the pure transforms."""

from importlib.metadata import version

__version__ = version("faultledger")
