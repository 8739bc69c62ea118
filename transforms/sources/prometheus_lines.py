"""Lines of a Prometheus scrape split into their parts, as they stand.

DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1f02..."} 33 1773532800000
"""

import polars as pl

SAMPLE = (
    r"^[ \t]*([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*"  # name
    r'(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}[ \t]*|[ \t])[ \t]*'  # labels; quotes may hold braces
    r"([^\s#]\S*)(?:[ \t]+([^\s#]\S*))?"  # value, time stamp
    r"[ \t]*(?:# \{.*)?$"  # OpenMetrics exemplar
)
NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
INFINITE = r"^(?i)[+-]?inf(?:inity)?$"
NAN = r"^(?i)[+-]?nan$"


def split_lines(data: bytes) -> pl.DataFrame:
    """Every line with its number (`line_no`, `line`), without its line end."""
    lines = pl.Series("line", data.decode("utf-8", errors="replace").split("\n"), dtype=pl.String)
    return pl.DataFrame(lines.str.strip_suffix("\r")).select(
        pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("line_no"), "line"
    )


def tokens(lines: pl.DataFrame) -> pl.DataFrame:
    """Split sample lines into name, labels, raw value and stamp; say which cannot be split."""
    parts = pl.col("line").str.extract_groups(SAMPLE)
    split = lines.with_columns(
        parts.struct.rename_fields(["name", "labels", "raw", "stamp"]).alias("p")
    )
    split = split.unnest("p")
    raw, stamp = pl.col("raw"), pl.col("stamp")
    number = pl.when(raw.str.contains(NUMBER)).then(raw).cast(pl.Float64, strict=False)
    infinity = pl.when(raw.str.starts_with("-")).then(float("-inf")).otherwise(float("inf"))
    return split.with_columns(
        pl.when(raw.str.contains(INFINITE)).then(infinity).otherwise(number).alias("raw_value"),
        pl.when(stamp.str.contains(NUMBER))
        .then(stamp)
        .cast(pl.Float64, strict=False)
        .alias("time"),
        pl.when(pl.col("name").is_null())
        .then(pl.lit("not a sample: name{labels} value [time stamp]"))
        .when(~raw.str.contains(NUMBER) & ~raw.str.contains(INFINITE) & ~raw.str.contains(NAN))
        .then(pl.lit("value cannot be read"))
        .when(stamp.is_not_null() & ~stamp.str.contains(NUMBER))
        .then(pl.lit("time stamp cannot be read"))
        .alias("problem"),
    )
