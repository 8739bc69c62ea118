"""The skin: files, clock, network, DuckDB and Prefect around the pure transforms."""
