"""What every record means: one row per kind of kernel record and code, and one verdict per event.

`meaning()` is the table to look things up in. `explain()` is the verdict on events: it joins that
table and then listens to the rest of the line, because some records say only there how bad they
are (a corrected or an uncorrected machine check, the status words of NVLink 5), an Xid 45 names
there the error it cleans up after, and an Xid 154 what the driver asks for.

Reasons that people and schedulers give for taking a node out are read by `classify_reasons`.
"""

from typing import NamedTuple

import polars as pl

from transforms.codes import (
    HOST,
    LOSS,
    NETWORK,
    NOISE,
    PCIE,
    PRECURSOR,
    STORAGE,
    SXIDS,
    USER,
    XIDS,
    Meaning,
)
from transforms.nvlink5 import decoded
from transforms.reasons import REASON_KINDS, REASONS_VERSION, RULES, classify_reasons
from transforms.tables.observed import KERNEL_KINDS

__all__ = [
    "REASONS_VERSION",
    "REASON_KINDS",
    "RULES",
    "classify_reasons",
    "explain",
    "kinds_frame",
    "meaning",
    "previous_xid",
    "recovery_action",
    "sxid_frame",
    "xid_frame",
]

RECOVERY_ACTIONS = ("none", "reset GPU", "reboot node", "drain P2P", "drain and reset")
"""What an Xid 154 can ask for, by the number in its payload (methods 2.3)."""

UNKNOWN_CODE = -1
"""Stands in `meaning()` for every number of that kind that nobody here knows."""

_DIMM, _CPU, _DISK, _OS = "DIMM", "CPU / MCE", "NVMe / local disk", "OS / driver / kernel"
_AER, _FS = "AER, width/speed downgrade", "filesystem mount, metadata, bandwidth"

# fmt: off
KINDS: dict[str, Meaning] = {
    # kind: codes, name, class, component, severity, counts, prior, action, rank, summary
    "lost": Meaning((0,), "off the bus", "GPU", "lost", "node_reboot", "yes", "hardware", "reboot node", LOSS, "the driver lost a GPU"),
    "mce": Meaning((0,), "machine check", "Host", _CPU, "unspecified", "corroborate", "hardware", "contact vendor", HOST, "the processor reports an error"),
    "edac": Meaning((0,), "memory controller", "Host", _DIMM, "unspecified", "corroborate", "hardware", "replace DIMM", HOST, "host memory reports an error"),
    "aer": Meaning((0,), "PCIe error", "PCIe", _AER, "unspecified", "corroborate", "hardware", "reseat or replace", PCIE, "a PCIe device or port reports an error"),
    "link_down": Meaning((0,), "link down", "Network", "NIC", "unspecified", "corroborate", "ambiguous", "check cable and port", NETWORK, "a network interface lost its link"),
    "link_up": Meaning((0,), "link up", "Network", "NIC", "info", "no", "informational", "none", NOISE, "a network interface has its link again"),
    "nvme": Meaning((0,), "disk error", "Host", _DISK, "unspecified", "corroborate", "hardware", "replace drive", HOST, "a local drive reports an error"),
    "fs": Meaning((0,), "file system", "Storage", _FS, "unspecified", "corroborate", "ambiguous", "check storage", STORAGE, "a file system stopped serving, or lost its server"),
    "oom": Meaning((0,), "out of memory", "Software (user)", "host out of memory", "app", "no_user", "user_app", "restart program", USER, "the kernel killed a process for memory"),
    "panic": Meaning((0,), "kernel stuck", "Host", _OS, "node_reboot", "yes", "ambiguous", "reboot node", HOST, "the kernel panicked or a processor got stuck"),
    "segfault": Meaning((0,), "segfault", "Software (user)", "program error", "app", "no_user", "ambiguous", "restart program", USER, "a process touched an address it has not got"),
    "signal": Meaning((0,), "telemetry sign", "Unknown", "telemetry sign", "info", "precursor", "ambiguous", "watch", PRECURSOR, "telemetry left its normal range"),
}
# fmt: on


class _Refinement(NamedTuple):
    """What a detail says about a kind; None keeps what the code said. First match wins."""

    kind: str
    pattern: str
    counts: str | None = None
    rank: int | None = None
    klass: str | None = None
    component: str | None = None


# fmt: off
_REFINEMENTS = (
    # A bank's status starts with valid, overflow, uncorrected, enabled: the first digit tells.
    _Refinement("mce", r"(?i)bank \d+: (?:0x)?[2367abef][0-9a-f]{15}\b|severity: (?:fatal|recoverable)|fatal machine check", "yes"),
    _Refinement("mce", r"(?i)bank \d+: |events logged|severity: (?:corrected|info)|temperature|throttl", "precursor", PRECURSOR),
    _Refinement("edac", r"\bUE\b|(?i:uncorrect)", "yes"),
    _Refinement("edac", r"\bCE\b|(?i:correct)", "precursor", PRECURSOR),
    # Corrected says it all: an "Advisory Non-Fatal" error is a corrected one.
    _Refinement("aer", r"(?i)^corrected error", "precursor", PRECURSOR),
    _Refinement("aer", r"(?i)\(fatal\)|uncorrect\w* fatal|recovery failed|link down", "yes"),
    _Refinement("aer", r"(?i)non-?fatal", "corroborate"),
    _Refinement("aer", r"(?i)\bcorrect", "precursor", PRECURSOR),
    _Refinement("nvme", r"(?i)removing|controller is down|not ready|device gone|dead", "yes"),
    _Refinement("fs", r"(?i)^(?:ext4|xfs|btrfs).*(?:read-?only|shut ?down)", "yes", HOST, "Host", _DISK),
    _Refinement("fs", r"(?i)^(?:ext4|xfs|btrfs)", "corroborate", HOST, "Host", _DISK),
    # A task that waits, often for storage, is no dead kernel.
    _Refinement("panic", r"(?i)blocked for more than|\bstall", "corroborate"),
    _Refinement("xid", r"(?i)\bBER_?EVENT|_BER_", "precursor", PRECURSOR),
)
# fmt: on
NUMBERED = ("xid", "sxid")
"""Kinds of kernel record that carry a number of the vendor's."""
_NON_FATAL = r"(?i)\bnon[-_ ]?fatal\b"
_RECOVERY = r"(?i)recovery action changed .*?\bto 0x([0-9a-f]{1,2})\b(?: \(([^)]*)\))?"
_COLUMNS = (
    "kind",
    "code",
    "name",
    "class",
    "component",
    "severity",
    "counts",
    "prior",
    "action",
    "rank",
    "summary",
)


def xid_frame() -> pl.DataFrame:
    """Every Xid: code, name, class, component, severity, counts, prior, action, rank, summary."""
    return _frame("xid", XIDS)


def sxid_frame() -> pl.DataFrame:
    """Every SXid, in the columns of `xid_frame`; `severity` is the Fabric Manager guide's class."""
    return _frame("sxid", SXIDS)


def kinds_frame() -> pl.DataFrame:
    """The kinds of kernel record that carry no number (their code is 0), in the same columns."""
    return pl.concat([_frame(kind, (meaning,)) for kind, meaning in KINDS.items()])


def meaning() -> pl.DataFrame:
    """Every (kind, code), plus code -1 of Xid and SXid for numbers not in the catalogue.

    `severity_hint` is the level of methods 2.10 that the code alone supports, before anyone knows
    whether a run was interrupted: S3 breaks a part, S4 degrades, S5 warns or says nothing.
    """
    unknown = (UNKNOWN_CODE,)
    stranger = Meaning(unknown, "unknown", "GPU", "unknown code", "unspecified", "corroborate", "ambiguous", "look it up", USER, "not in the catalogue")  # fmt: skip
    switch = stranger._replace(klass="NVLink", component="link / switch")
    return pl.concat(
        [
            xid_frame(),
            _frame("xid", (stranger,)),
            sxid_frame(),
            _frame("sxid", (switch,)),
            kinds_frame(),
        ]
    ).with_columns(_severity_hint())


def previous_xid(detail: pl.Expr) -> pl.Expr:
    """The Xid that a clean-up record names: `Ch 00000001 caused by previous Xid 149` is 149."""
    return detail.str.extract(r"(?i)caused by previous xid (\d{1,5})").cast(pl.Int32)


def recovery_action(detail: pl.Expr) -> pl.Expr:
    """What an Xid 154 asks for now, in the words of `RECOVERY_ACTIONS`; null where not told.

    `GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)` is reboot node. A
    number that nobody here knows keeps the driver's own words.
    """
    payload = detail.str.extract_groups(_RECOVERY)
    number = payload.struct.field("1").str.to_integer(base=16, strict=False)
    known = number.replace_strict(
        dict(enumerate(RECOVERY_ACTIONS)), default=None, return_dtype=pl.String
    )
    return pl.coalesce(known, payload.struct.field("2").str.to_lowercase())


def may_foretell(events: pl.DataFrame) -> pl.DataFrame:
    """Those of `events` that `explain` can call a precursor: a cheap look before the thorough one."""
    hint = meaning().filter(pl.col("counts").is_in(["precursor", "by_subcode"]))
    kinds = [kind for kind in hint["kind"].unique() if kind not in NUMBERED]
    kind = pl.col("kind").cast(pl.String)
    said = [
        (kind == r.kind) & pl.col("detail").str.contains(r.pattern)
        for r in _REFINEMENTS
        if r.counts == "precursor"
    ]
    # A clean-up record takes the meaning of the one that it follows.
    alike = [(kind == "xid") & (pl.col("code") == 45), kind.is_in(kinds), *said]
    alike += [
        (kind == one) & pl.col("code").is_in(hint.filter(pl.col("kind") == one)["code"].to_list())
        for one in NUMBERED
    ]
    return events.filter(pl.any_horizontal(alike))


def explain(events: pl.DataFrame) -> pl.DataFrame:
    """Say what each kernel event means: `events` plus the columns of `meaning()`.

    Needs kind, code and detail; keeps every row, and their order. `cause_code` is the code to
    choose a root cause by: the record's own, or for an Xid 45 the one it says it follows, whose
    class, rank and counting rule the row then takes. `counts` is settled by the detail where it
    can be: a by_subcode record by its decoded words (`nvlink5`), which give its severity, prior
    and action too; without them one that says fatal is "yes", any other is "corroborate". The
    action of an Xid 154 is what it asks for.
    """
    follows = pl.when((pl.col("kind") == "xid") & (pl.col("code") == 45)).then(
        previous_xid(pl.col("detail"))
    )
    table = meaning()
    known = table.select("kind", "code").with_columns(is_known=True)
    named = (
        events.with_columns(pl.coalesce(follows, "code").alias("cause_code"))
        .join(
            known,
            left_on=["kind", "cause_code"],
            right_on=["kind", "code"],
            how="left",
            maintain_order="left",
        )
        .with_columns(
            pl.when(pl.col("is_known").is_not_null())
            .then("cause_code")
            .when(pl.col("kind").cast(pl.String).is_in(NUMBERED))
            .then(UNKNOWN_CODE)
            .otherwise(0)
            .cast(pl.Int32)
            .alias("_code")
        )
        .drop("is_known")
        .join(
            table,
            left_on=["kind", "_code"],
            right_on=["kind", "code"],
            how="left",
            maintain_order="left",
        )
        .drop("_code")
    )
    return _listen_to_detail(named)


def _listen_to_detail(named: pl.DataFrame) -> pl.DataFrame:
    """Let the rest of the line overrule what the code alone said."""
    detail, kind = pl.col("detail"), pl.col("kind").cast(pl.String)
    says_fatal = detail.str.contains(r"(?i)\bfatal\b") & ~detail.str.contains(_NON_FATAL)
    bits = decoded(named.select("kind", "code", "detail"))
    settled = (
        pl.when(pl.col("counts") != "by_subcode")
        .then("counts")
        .when(bits["counts"].is_not_null())
        .then(bits["counts"])
        .when(says_fatal)
        .then(pl.lit("yes"))
        .otherwise(pl.lit("corroborate"))
    )
    hits = [
        pl.when((kind == r.kind) & detail.str.contains(r.pattern)).then(pl.lit(number))
        for number, r in enumerate(_REFINEMENTS)
    ]
    first_hit = pl.coalesce(*hits, pl.lit(-1))

    def overruled(field: str, column: pl.Expr) -> pl.Expr:
        said = {i: v for i, r in enumerate(_REFINEMENTS) if (v := getattr(r, field)) is not None}
        return pl.coalesce(first_hit.replace_strict(said, default=None), column)

    rank = pl.when(bits["counts"] == "precursor").then(PRECURSOR).otherwise("rank")
    asks = pl.when((kind == "xid") & (pl.col("code") == 154)).then(recovery_action(detail))
    return named.with_columns(
        overruled("counts", settled).alias("counts"),
        overruled("rank", rank).cast(pl.Int32).alias("rank"),
        overruled("klass", pl.col("class")).alias("class"),
        overruled("component", pl.col("component")).alias("component"),
        pl.coalesce(bits["severity"], "severity").alias("severity"),
        pl.coalesce(bits["prior"], "prior").alias("prior"),
        pl.coalesce(bits["action"], asks, "action").alias("action"),
    ).with_columns(_severity_hint())


def _severity_hint() -> pl.Expr:
    levels = {"yes": "S3", "corroborate": "S4", "by_subcode": "S4"}
    return pl.col("counts").replace_strict(levels, default="S5").alias("severity_hint")


def _frame(kind: str, groups: tuple[Meaning, ...]) -> pl.DataFrame:
    rows = [(kind, code, *group[1:]) for group in groups for code in group.codes]
    types = {"kind": pl.Enum(KERNEL_KINDS), "code": pl.Int32, "rank": pl.Int32}
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row").cast(types).sort("code")  # type: ignore[arg-type]
