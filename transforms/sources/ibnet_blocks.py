"""What plain `ibnetdiscover` prints: a block for each switch and host, a line for each link of it.

    Switch  36 "S-ec0d9a0300ec8240"         # "leaf-01" enhanced port 0 lid 48 lmc 0
    [1]     "H-506b4b03003fa9b6"[1](506b4b03003fa9b6)   # "gpu-018 mlx5_0" lid 67 4xEDR

A host's block has its links with the lid of its own port first. Ports go by their own guid, as with
-p; those of a switch have the switch's. A survey that says when it was generated is dated by that,
a local time.
"""

import polars as pl

from transforms.contract import UTC
from transforms.sources.base import Origin
from transforms.sources.text import instants

_GUID = r"[0-9a-fA-F]{1,16}"
HEADER = r'^(?<block>Switch|Ca|Rt)\s+\d+\s+"[SHR]-(?<guid>_)"\s+#\s*"(?<words>[^"]*)"(?:.*\blid (?<lid>\d+)\b)?'
LINK = (
    r'^\[(?<port>\d+)\](?:\[ext \d+\])?(?:\((?<own>_)\))?\s+"[SHR]-(?<peer>_)"'
    r"\[(?<peer_port>\d+)\](?:\[ext \d+\])?(?:\((?<peer_own>_)\))?\s+#\s*"
    r'(?:lid (?<own_lid>\d+) lmc \d+\s+)?"(?<peer_words>[^"]*)" lid \d+ (?<width>\d+x)(?<speed>[A-Z]+\d*)\b'
)
HEADER, LINK = (form.replace("_)", f"{_GUID})") for form in (HEADER, LINK))
BETWEEN = r"^(?:#|(?:vendid|devid|sysimgguid|switchguid|caguid|rtguid)=|Non-Chassis Nodes|Chassis )"
_DATED = r"^# Topology file: generated on \w+ (\w+ +\d+ \d+:\d\d:\d\d \d{4})"
_BLOCKS = {"Switch": "SW", "Ca": "CA", "Rt": "RT"}

NO_LINK = "neither a switch, a host nor a link of `ibnetdiscover`"
NO_BLOCK = "link without the switch or host that it belongs to"


def links(lines: pl.DataFrame) -> pl.DataFrame:
    """The links and what could not be read, in the terms of `ibnetdiscover -p`.

    line_no, kind (CA, SW, RT), lid, port, guid, width, speed, words, peer_port, peer_guid,
    peer_words as texts, and `trouble`. Headers and comments give no row.
    """
    line = pl.col("line")
    told = lines.with_columns(
        line.str.extract_groups(HEADER).alias("of"), line.str.extract_groups(LINK).alias("link")
    ).unnest("of")
    is_header = pl.col("block").is_not_null()
    # A block is its header's alone: what one header leaves out is not the last one's.
    filled = told.with_columns(is_header.cum_sum().alias("nth")).with_columns(
        pl.col(name).first().over("nth") for name in ("block", "guid", "words", "lid")
    )
    rest = filled.filter(~told.select(is_header).to_series() & ~line.str.contains(BETWEEN))
    return rest.unnest("link").select(
        "line_no",
        trouble=pl.when(pl.col("port").is_null())
        .then(pl.lit(NO_LINK))
        .when(pl.col("block").is_null())
        .then(pl.lit(NO_BLOCK)),
        kind=pl.col("block").replace_strict(_BLOCKS, default=None, return_dtype=pl.String),
        lid=pl.coalesce("own_lid", "lid"),
        port="port",
        guid=_padded(pl.coalesce("own", "guid")),
        width="width",
        speed="speed",
        words="words",
        peer_port="peer_port",
        peer_guid=_padded(pl.coalesce("peer_own", "peer")),
        peer_words="peer_words",
    )


def surveyed_at(lines: pl.DataFrame, origin: Origin) -> pl.Expr:
    """When the survey says it was generated; else the file's own time."""
    told = lines["line"].str.extract(_DATED).drop_nulls().head(1)
    local = told.str.to_datetime("%b %e %H:%M:%S %Y", strict=False, time_unit="us")
    read = instants(local.dt.strftime("%Y-%m-%dT%H:%M:%S"), origin.zone)["at"].drop_nulls()
    return pl.lit(read[0] if len(read) else origin.modified).cast(UTC)


def _padded(guid: pl.Expr) -> pl.Expr:
    return pl.lit("0x") + guid.str.to_lowercase().str.zfill(16)
