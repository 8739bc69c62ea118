"""A survey of the InfiniBand fabric: `ibnetdiscover -p`, one port a line, or without -p in blocks.

    CA   134  1 0x7cfe9003003b4bde 4x EDR - SW  1719 10 0x7cfe9003009ce5b0 ( 'o0001 HCA-1' - 'leaf-01' )
    SW  2052 37 0x506b4b03005c2740 4x ???                                    'leaf-02'

Each link is told from both its ends; with -p a port with nothing at its other end is told too. The
time of the survey is the file's own, unless it tells its own. Blocks: `ibnet_blocks`.
"""

import re

import polars as pl

from transforms.contract import UTC
from transforms.sources import ibnet_blocks
from transforms.sources.base import Origin, Parsed, Source, refuse_faulty, rejects
from transforms.sources.text import numbered_lines
from transforms.tables.observed import FABRIC_LINKS

_END = r"(?<{0}kind>CA|SW|RT) +(?<{0}lid>\d+) +(?<{0}port>\d+) +(?<{0}guid>0x[0-9a-fA-F]{{1,16}})"
LINKED = (
    rf"^\s*{_END.format('')} +(?<width>\S+) (?<speed>\S+) +- +{_END.format('peer_')}"
    r" +\( +'(?<words>[^']*)' +- +'(?<peer_words>[^']*)' +\)\s*$"
)
ALONE = rf"^\s*{_END.format('')} +(?<width>\S+) (?<speed>\S+) +'(?<words>[^']*)'\s*$"
KINDS = {"CA": "host", "SW": "switch", "RT": "router"}
NAMELESS = r"^(?i)(?:MT\d+|ConnectX|Mellanox|Quantum)\b"


def parse(data: bytes, origin: Origin) -> Parsed:
    """Each line is one port, or is refused; of blocks, headers and comments are ignored."""
    lines = numbered_lines(data).filter(pl.col("line").str.strip_chars() != "")
    if lines["line"].str.contains(ibnet_blocks.HEADER).any():
        read, at = ibnet_blocks.links(lines), ibnet_blocks.surveyed_at(lines, origin)
    else:
        read, at = _ports(lines), pl.lit(origin.modified).cast(UTC)
    words, peer = pl.col("words").str.strip_chars(), pl.col("peer_words").str.strip_chars()
    port, peer_port = (pl.col(name).cast(pl.UInt16, strict=False) for name in ("port", "peer_port"))
    is_outside = (port.is_null() & pl.col("port").is_not_null()) | (
        peer_port.is_null() & pl.col("peer_port").is_not_null()
    )
    rows = read.select(
        "line_no",
        pl.when(pl.col("trouble").is_not_null())
        .then("trouble")
        .when(is_outside)
        .then(pl.lit("port number out of range"))
        .alias("fault"),
        cluster=pl.lit(origin.cluster),
        observed_at=at,
        guid=pl.col("guid").str.to_lowercase(),
        port=port,
        kind=pl.col("kind").replace_strict(KINDS, default=None, return_dtype=pl.String),
        node=_node(words),
        device=pl.when(pl.col("kind") == "CA").then(_device(words)).otherwise(pl.lit("")),
        lid=pl.col("lid").cast(pl.UInt32, strict=False),
        width="width",
        speed=pl.when(pl.col("speed") != "???").then("speed"),
        peer_guid=pl.col("peer_guid").str.to_lowercase(),
        peer_port=peer_port,
        peer_node=_node(peer),
        file=pl.lit(origin.file),
    ).cast({"kind": FABRIC_LINKS.dtypes["kind"]})
    texts = dict(lines.iter_rows())
    good, refused = refuse_faulty(FABRIC_LINKS, rows, texts.__getitem__)
    return Parsed(
        frames={FABRIC_LINKS.name: good},
        rejects=rejects(refused),
        records=lines.height,
        accepted=read.height - len(refused),
        rejected=len(refused),
        ignored=lines.height - read.height,
    )


def _ports(lines: pl.DataFrame) -> pl.DataFrame:
    """What each line of `ibnetdiscover -p` tells of its port, as texts, and its `trouble`."""
    linked = lines.with_columns(pl.col("line").str.extract_groups(LINKED).alias("told"))
    alone = pl.col("line").str.extract_groups(ALONE)
    read = linked.unnest("told").with_columns(alone.alias("alone"))
    read = read.with_columns(
        pl.coalesce(name, pl.col("alone").struct.field(name)).alias(name)
        for name in ("kind", "lid", "port", "guid", "width", "speed", "words")
    )
    trouble = pl.when(pl.col("kind").is_null()).then(pl.lit("not one port of `ibnetdiscover -p`"))
    return read.with_columns(trouble.alias("trouble"))


def _node(words: pl.Expr) -> pl.Expr:
    """The host or switch: the first word of a description, '' for a maker's default text."""
    name = words.str.replace(r"^MF\d+;", "").str.extract(r"^([^:\s]*)")
    return pl.when(words.str.contains(NAMELESS)).then(pl.lit("")).otherwise(name)


def _device(words: pl.Expr) -> pl.Expr:
    named = words.str.extract(r"^\S+\s+(.*)$").fill_null("")
    return pl.when(words.str.contains(NAMELESS)).then(pl.lit("")).otherwise(named)


def sniff(head: str, name: str) -> int:
    """Surely, if a line is one port with its lid, number and guid, or begins a block."""
    forms = [form.replace("?<", "?P<") for form in (LINKED, ALONE, ibnet_blocks.HEADER)]
    # Line by line: a search through a head of nothing but newlines takes the square of its length.
    return 2 if any(re.search(form, line) for line in head.splitlines() for form in forms) else 0


SOURCE = Source(
    name="ibnetdiscover",
    title="Survey of the InfiniBand fabric: ibnetdiscover, with -p or without",
    example="CA   134  1 0x7cfe9003003b4bde 4x EDR - SW  1719 10 0x7cfe9003009ce5b0 ( 'o0001 HCA-1' - 'leaf-01' )",
    makes=(FABRIC_LINKS,),
    sniff=sniff,
    parse=parse,
)
