"""What the words of a Blackwell NVLink 5 record (Xid 144 to 150) say: which unit, how bad, what next.

    149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 09 (0x025525c6 0x00000000 0x00000000 ...)

The first word in the brackets names the unit in its low bits, in one of two layouts, and the
sub-code in bits 20 to 25; the second word is the unit's status. A record is as bad as the worst
bit of its status that the vendor lists. Where bits and the word Fatal or Nonfatal disagree the
bits win: the word is the driver's summary, the bits are what it summed up. Where bits are not
listed, or leave it open, the word decides.

Facts are those of NVIDIA's decode sheet for Xid 144 to 150 (methods 2.3).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

CODES = tuple(range(144, 151))

SEVERITIES = ("non_fatal", "fatal_conditional", "link_fatal_uncertain", "link_fatal", "fatal")
"""From mild to bad. The vendor leaves the two in the middle open."""

VERDICTS = pl.Schema(
    {
        "unit": pl.String,
        "sub_code": pl.Int32,
        "link": pl.Int32,
        "severity": pl.String,
        "prior": pl.String,
        "action": pl.String,
        "next_step": pl.String,
        "counts": pl.String,
    }
)
"""What `decoded` says of a record; null what it does not know."""


class Unit(NamedTuple):
    """A part of the link hardware: its names, and its number in both layouts of the first word."""

    code: int
    names: tuple[str, ...]
    low_10_bits: int
    low_7_bits: int


class Rule(NamedTuple):
    """What one sub-code or status means; () holds for every status."""

    unit: str
    sub_codes: tuple[int, ...]
    statuses: tuple[int, ...]
    severity: str
    owner: str
    action: str
    next_step: str


class Verdict(NamedTuple):
    """What is known of one record, in the columns of `VERDICTS`."""

    unit: str
    sub_code: int
    link: int | None
    severity: str
    prior: str
    action: str
    next_step: str
    counts: str | None


UNITS = (
    Unit(144, ("SAW_MVB",), 0x021, 1),
    Unit(145, ("RLW_CTRL",), 0x062, 3),
    Unit(145, ("RLW_REMAP",), 0x082, 4),
    Unit(145, ("RLW_RSPCOL",), 0x0A2, 5),
    Unit(145, ("RLW_RXPIPE",), 0x0C2, 6),
    Unit(145, ("RLW_SRC_TRACK",), 0x0E2, 7),
    Unit(145, ("RLW_TAGSTATE",), 0x102, 8),
    Unit(146, ("TLW_CTRL",), 0x123, 9),
    Unit(146, ("TLW_RX_PIPE0", "TLW_RX"), 0x143, 10),
    Unit(146, ("TLW_RX_PIPE1",), 0x143, 11),
    Unit(146, ("TLW_TX_PIPE0", "TLW_TX"), 0x163, 12),
    Unit(146, ("TLW_TX_PIPE1",), 0x163, 13),
    Unit(147, ("TREX",), 0x184, 14),
    Unit(148, ("NVLPW_CTRL", "NVLPW"), 0x005, 15),
    Unit(149, ("NETIR_INT", "NETIR"), 0x006, 24),
    Unit(149, ("NETIR_BER_EVENT",), 0x226, 19),
    Unit(149, ("NETIR_LINK_EVT", "NETIR_LINK_DOWN"), 0x1C6, 17),
    Unit(149, ("NETIR_MFDE_EVENT",), 0x246, 20),
    Unit(150, ("MSE_WATCHDOG",), 0x000, 0),
)

_SPARE = 1 << 31  # raised by software, not by the unit
_PIPES = ("TLW_CTRL", "TLW_RX_PIPE0", "TLW_RX_PIPE1", "TLW_TX_PIPE0", "TLW_TX_PIPE1")
_SOFT = ("RLW_CTRL", "RLW_REMAP", "RLW_RSPCOL", "RLW_RXPIPE", "RLW_SRC_TRACK", "RLW_TAGSTATE")
_NOW, _VENDOR = "reset GPU", "contact vendor"
_LINK, _EITHER = "NETIR_LINK_EVT", "hardware or software"

# fmt: off
RULES: tuple[Rule, ...] = (
    Rule("SAW_MVB", (0,), (0x1, 0x8), "non_fatal", "hardware", "none", _VENDOR),
    Rule("SAW_MVB", (0,), (0x2, 0x10), "fatal", "hardware", _NOW, _VENDOR),
    Rule("SAW_MVB", (0,), (0x4, 0x20), "non_fatal", "hardware", "none", "none"),
    *(Rule(unit, (0,), (_SPARE,), "non_fatal", "software", "none", _VENDOR) for unit in (*_SOFT, *_PIPES)),
    Rule("RLW_REMAP", (0,), (0x1, 0x2), "non_fatal", "software", "follow Xid 154", _VENDOR),
    Rule("RLW_REMAP", (0,), (0x4, 0x8, 0x10, 0x20), "non_fatal", "software", "follow Xid 154", "NVLink workflow"),
    Rule("RLW_REMAP", (0,), (0x40, 0x80), "fatal", "hardware", _NOW, _VENDOR),
    Rule("RLW_REMAP", (0,), (0x100, 0x200), "non_fatal", "hardware", "none", "none"),
    Rule("RLW_RSPCOL", (0,), (0x1,), "non_fatal", "hardware", "none", "none"),
    Rule("RLW_RSPCOL", (0,), (0x2,), "fatal", "hardware", _NOW, _VENDOR),
    Rule("RLW_RXPIPE", (0,), (0x8,), "non_fatal", _EITHER, "none", _VENDOR),
    Rule("RLW_SRC_TRACK", (0,), (0x1, 0x10, 0x20), "fatal", "hardware", _NOW, _VENDOR),
    Rule("RLW_SRC_TRACK", (0,), (0x2,), "non_fatal", "hardware", "none", "none"),
    Rule("RLW_SRC_TRACK", (0,), (0x4, 0x8), "non_fatal", _EITHER, "follow Xid 154", "none"),
    Rule("RLW_TAGSTATE", (0,), (0x1, 0x10000), "non_fatal", "hardware", "none", "none"),
    Rule("RLW_TAGSTATE", (0,), (0x2, 0x20000, 0x100000), "fatal", "hardware", _NOW, _VENDOR),
    *(Rule(unit, (0,), (0x1,), "non_fatal", "hardware", "none", "none") for unit in _PIPES),
    *(Rule(unit, (0,), (0x2,), "non_fatal", "hardware", "none", _VENDOR) for unit in _PIPES),
    *(Rule(unit, (0,), (0x4,), "fatal", "hardware", _NOW, _VENDOR) for unit in _PIPES),
    Rule("TREX", (0,), (0x1, _SPARE), "non_fatal", "software", "none", _VENDOR),
    Rule("NVLPW_CTRL", (0,), (_SPARE,), "non_fatal", "software", "none", _VENDOR),
    Rule("NETIR_INT", (0,), (), "link_fatal", _EITHER, _NOW, "report when alone"),
    Rule("NETIR_BER_EVENT", (0,), (), "non_fatal", "hardware", "none", "check signal and cables"),
    Rule(_LINK, (0,), (), "link_fatal", _EITHER, _NOW, "report when alone"),
    Rule(_LINK, (1,), (), "link_fatal", _EITHER, _NOW, "report when more than one a day"),
    Rule(_LINK, (2,), (), "link_fatal", _EITHER, _NOW, "check signal"),
    Rule(_LINK, (4, 10), (), "link_fatal", "hardware", _NOW, "check signal"),
    Rule(_LINK, (15, 17, 22), (), "link_fatal", "software", _NOW, "check software and user"),
    Rule(_LINK, (16, 18), (), "link_fatal", "software", _NOW, "check software, user and signal"),
    Rule(_LINK, (21, 32, 33, 34, 36, 37), (), "link_fatal", _EITHER, _NOW, "check peer"),
    Rule(_LINK, (35,), (), "link_fatal", "hardware", _NOW, "check peer"),
    Rule(_LINK, (38,), (), "link_fatal", _EITHER, "none", "check software and user"),
    Rule(_LINK, (40,), (), "fatal", "software", "none", "check host"),
    Rule(_LINK, (42, 43), (), "link_fatal_uncertain", "hardware", _NOW, "check signal and cables"),
    Rule("NETIR_MFDE_EVENT", (0,), (0x1, 0x4, 0x5, 0x7), "fatal_conditional", _EITHER, _NOW, _VENDOR),
    Rule("NETIR_MFDE_EVENT", (0,), (0x3,), "non_fatal", "unknown", "none", "none"),
    Rule("MSE_WATCHDOG", (0,), (), "fatal", "firmware", _NOW, _VENDOR),
)
# fmt: on

_PRIORS = {"hardware": "hardware", "software": "system_software"}
_COUNTS = {"fatal": "yes", "link_fatal": "yes", "non_fatal": "corroborate"}
_WHOLE_STATUS = ("NETIR_MFDE_EVENT",)  # its status is a number, not a set of bits
_WORDS = re.compile(r"\((0x[0-9a-f]{1,8}) (0x[0-9a-f]{1,8})\b", re.IGNORECASE)
_NAMES = re.compile(r"\b[A-Z][A-Z0-9_]+\b")
_LINK_NO = re.compile(r"\bLink (\d{1,3})\b", re.IGNORECASE)
_BY_NAME = {(unit.code, name): unit for unit in UNITS for name in unit.names}


def decode(code: int, detail: str) -> Verdict | None:
    """Decode one record's detail; None where its words are missing or not the vendor's.

    `counts` is None where the vendor leaves it open: then the word Fatal decides.
    """
    words = _WORDS.search(detail)
    if words is None:
        return None
    info, status = (int(word, 16) for word in words.groups())
    sub_code = info >> 20 & 0x3F
    link = _LINK_NO.search(detail)
    for unit in _units(code, detail, info):
        hits = [rule for rule in RULES if _fits(rule, unit.names[0], sub_code, status)]
        if hits:
            worst = max(hits, key=lambda rule: SEVERITIES.index(rule.severity))
            counts = _COUNTS.get(worst.severity)
            return Verdict(
                unit.names[0],
                sub_code,
                int(link[1]) if link else None,
                worst.severity,
                _PRIORS.get(worst.owner, "ambiguous"),
                worst.action,
                worst.next_step,
                "precursor" if worst.unit == "NETIR_BER_EVENT" else counts,
            )
    return None


def decoded(records: pl.DataFrame) -> pl.DataFrame:
    """`VERDICTS` of each record, in its place: needs kind, code and detail; nulls where unknown."""
    is_ours = (pl.col("kind") == "xid") & pl.col("code").is_in(CODES)
    asked = records.select(pl.when(is_ours).then("code").alias("code"), "detail")
    lines = asked.filter(pl.col("code").is_not_null()).unique()
    told = [(code, detail, decode(code, detail or "")) for code, detail in lines.iter_rows()]
    answers = pl.DataFrame(
        [(code, detail, *verdict) for code, detail, verdict in told if verdict],
        schema={"code": asked.schema["code"], "detail": pl.String, **VERDICTS},
        orient="row",
    )
    return asked.join(answers, on=["code", "detail"], how="left", maintain_order="left").select(
        VERDICTS.names()
    )


def _units(code: int, detail: str, info: int) -> Iterator[Unit]:
    """The units it can be: the one that the line names, else by either layout of the low bits."""
    named = [_BY_NAME[code, name] for name in _NAMES.findall(detail) if (code, name) in _BY_NAME]
    if named:
        yield named[0]
        return
    for unit in UNITS:
        if unit.code == code and info & 0x3FF == unit.low_10_bits:
            yield unit
    for unit in UNITS:
        if unit.code == code and info & 0x7F == unit.low_7_bits:
            yield unit


def _fits(rule: Rule, unit: str, sub_code: int, status: int) -> bool:
    if rule.unit != unit or sub_code not in rule.sub_codes:
        return False
    if unit in _WHOLE_STATUS:
        return status in rule.statuses
    return not rule.statuses or any(status & bit for bit in rule.statuses)
