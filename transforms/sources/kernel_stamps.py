"""When a kernel log line was written, and by which host: every stamp form that tools print.

    [6781741.548768] NVRM: ...                              dmesg: seconds since boot
    6,3964,206764307,-;NVRM: ...                            /dev/kmsg: microseconds since boot
    [Sun Feb 23 16:24:18 2025] NVRM: ...                    dmesg -T: local time
    kern  :warn  : 2025-01-21T04:41:44,285060+00:00 ...     dmesg --time-format iso
    2026-03-02T10:15:04.120000+00:00 gpu-0417 kernel: ...   journalctl -o short-iso[-precise]
    Mon 2026-03-02 10:15:04 UTC gpu-0417 kernel: ...        journalctl -o short-full
    1772446504.120000 gpu-0417 kernel: ...                  journalctl -o short-unix
    Aug 17 06:18:06 gpu-0417 kernel: ...                    syslog (RFC 3164): no year, local
    <6>1 2026-03-02T10:15:04Z gpu-0417 kernel - - - ...     syslog (RFC 5424)
    kernel: NVRM: ...                                       no stamp at all

A year that the line does not say is the latest that puts it no more than a day after the file.
Seconds since boot become instants when the caller knows the boot; otherwise the file's last such
line is taken to be as old as the file, and a file that goes through several boots is chained
backwards, each boot ending no later than the next began.
"""

import re
from collections.abc import Callable
from datetime import UTC as UTC_ZONE
from datetime import datetime, timedelta

import polars as pl

from transforms.contract import UTC
from transforms.sources.base import Origin

_DATE, _TIME = r"(?P<date>\d{4}-\d\d-\d\d)", r"(?P<time>\d\d:\d\d:\d\d)"
_OFFSET = r"(?P<offset>Z|UTC|[+-]\d\d:?\d\d)"
_HOST = r"(?P<host>[^\s:\[]+) "
_REST = r"(?P<message>.*)$"
_MONTH_DAY = r"(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2})"
_UPTIME = r"^\[ *(?P<seconds>\d{1,10})\.(?P<fraction>\d{1,9})\](?:\[ *[TC]\d+\])? ?"
_KMSG = r"^\d{1,4},\d{1,20},(?P<uptime_us>\d{1,16}),[^;]{1,64};"
_PARAMS = r"(?:-|(?:\[(?:[^\]\\]|\\.)*\])+)"

# The first form that fits a line is its form.
_FORMS: dict[str, str] = {
    "rfc5424": rf"^1 (?:-|{_DATE}T{_TIME}(?:\.(?P<fraction>\d{{1,9}}))?{_OFFSET}) (?P<host>\S+) (?P<program>\S+) (?P<process>\S+) \S+ {_PARAMS} ?\x{{feff}}?{_REST}",
    "kmsg": rf"{_KMSG}{_REST}",
    "uptime": rf"{_UPTIME}(?:{_HOST}(?:kernel|systemd-networkd\[\d+\]): )?{_REST}",
    "ctime": rf"^\[[A-Z][a-z]{{2}} {_MONTH_DAY} {_TIME}(?:\.(?P<fraction>\d{{1,9}}))? (?P<year>\d{{4}})\] ?{_REST}",
    "dmesg_iso": rf"^{_DATE}T{_TIME},(?P<fraction>\d{{1,9}}){_OFFSET}?:? {_REST}",
    "iso": rf"^{_DATE}T{_TIME}(?:\.(?P<fraction>\d{{1,9}}))?{_OFFSET}? (?:{_HOST})?{_REST}",
    "full": rf"^[A-Z][a-z]{{2}} {_DATE} {_TIME}(?:\.(?P<fraction>\d{{1,9}}))? (?P<offset>UTC) {_HOST}{_REST}",
    "unix": rf"^(?P<epoch>\d{{9,10}})\.(?P<fraction>\d{{1,9}}) {_HOST}{_REST}",
    "rfc3164": rf"^{_MONTH_DAY} (?:(?P<year>\d{{4}}) )?{_TIME}(?:\.(?P<fraction>\d{{1,9}}))? (?:{_HOST})?{_REST}",
}
STAMPED = r"|".join(
    rf"(?:{prefix})"
    for prefix in (
        r"^\s*(?:<\d{1,3}>)?\[ *\d{1,10}\.\d{6}\]",
        r"^\s*\d{1,4},\d{1,20},\d{1,16},[^;]{1,64};",
        r"^\s*(?:<\d{1,3}>)?\[[A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \d{4}\]",
        r"^\s*<\d{1,3}>1 (?:-|\d{4}-\d\d-\d\dT)\S* \S+ \S+ \S+ \S+ [-\[]",
        r"^\s*[a-z0-9]{3,8} *:[a-z]+ *: ",
    )
)
"""Lines that only a kernel log or syslog holds."""
TICKS = re.compile(
    rb"\[ *\d{1,10}\.\d|\n[^\S\n]*(?:<\d{1,3}>)?(?:[a-z0-9]{3,8} *:[a-z]+ *: )?\d{1,4},\d+,\d+,"
)
"""What stands in every text with a line that tells time since boot, a line feed before it."""
SYSLOG = r"^\s*(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+|\d{9,10}\.\d+) \S+ \S+: "

# Facility and level that `dmesg -x` and raw buffers put in front.
_PREFIX = (
    r"^\s*(?:<\d{1,3}>)?(?:[a-z0-9]{3,8} *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: )?"
)
_LOOKS_STAMPED = r"^(?:[\[<\d]|.{0,40}(?:^|[ T])\d\d:\d\d:\d\d\b|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b)"
_KERNEL = r"^(?:[^\s:]+ )?kernel(?:\[\d+\])?: ?(?:\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?)?"
_OTHER_PROGRAM = r"^[\w./@+-]+\[\d+\]: "
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC_ZONE), datetime(2100, 1, 1, tzinfo=UTC_ZONE)
_SECOND = 1_000_000
_GROUPS = (
    *("date", "time", "fraction", "offset", "host", "program", "process", "message", "month"),
    *("day", "year", "seconds", "uptime_us", "epoch"),
)


def stamp(candidates: pl.DataFrame, lines: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """As `stamp_within`, with the boots found in `lines`, the whole file."""
    return stamp_within(candidates, lambda: Boots.of(lines).dated(origin), origin)


def stamp_within(
    candidates: pl.DataFrame, boots: Callable[[], pl.DataFrame], origin: Origin
) -> pl.DataFrame:
    """Add at, clock, node, message and trouble to `candidates` (line_no, line).

    `boots` gives `Boots.dated` of the whole file; it is asked only where needed. `trouble` says why a stamp cannot be
    read, else null; `message` is null where another program than the kernel speaks.
    """
    rest = candidates.with_columns(pl.col("line").str.replace(_PREFIX, "").alias("body"))
    parts: list[pl.DataFrame] = []
    for form, pattern in _FORMS.items():
        fits = rest.get_column("body").str.contains(pattern)
        if not fits.any():
            continue
        part = rest.filter(fits).with_columns(
            pl.col("body").str.extract_groups(pattern).alias("said"), pl.lit(form).alias("form")
        )
        parts.append(_complete(part.unnest("said")))
        rest = rest.filter(~fits)
    bare = rest.with_columns(pl.lit("bare").alias("form"), pl.col("body").alias("message"))
    said = pl.concat([*parts, _complete(bare)])
    return _settle(_instants(said, boots, origin), origin).sort("line_no")


def _complete(part: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None, pl.String).alias(n) for n in _GROUPS if n not in part.columns]
    return part.with_columns(missing).select("line_no", "line", "form", *_GROUPS)


def _instants(
    said: pl.DataFrame, boots: Callable[[], pl.DataFrame], origin: Origin
) -> pl.DataFrame:
    """Put the pieces of each stamp together as `at`, with the clock they stand on."""
    modified = pl.lit(origin.modified).cast(UTC)
    fraction = pl.col("fraction").fill_null("").str.pad_end(6, "0").str.slice(0, 6)
    micros = pl.duration(microseconds=fraction.cast(pl.Int64))
    told = pl.when(pl.col("date").is_not_null()).then(
        pl.concat_str("date", pl.lit(" "), "time")
    ).when(pl.col("year").is_not_null()).then(
        pl.concat_str("year", pl.lit(" "), "month", pl.lit(" "), "day", pl.lit(" "), "time")
    )  # fmt: skip
    local = pl.coalesce(
        told.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"),
        told.str.to_datetime("%Y %b %d %H:%M:%S", strict=False, time_unit="us"),
    )
    offset = pl.col("offset").str.replace(":", "").str.replace("^(?:Z|UTC)$", "+0000")
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    minutes = offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(3, 2).cast(pl.Int64)
    from_offset = local.dt.replace_time_zone("UTC") - pl.duration(minutes=sign * minutes)
    stamped = said.with_columns(
        pl.when(pl.col("offset").is_not_null())
        .then(from_offset)
        .otherwise(_in_zone(local, origin.zone))
        .alias("at")
    )
    since_epoch = pl.from_epoch(pl.col("epoch").cast(pl.Int64)).cast(UTC)
    stamped = stamped.with_columns(pl.coalesce("at", since_epoch).alias("at"))
    stamped = _with_years(stamped, origin).with_columns((pl.col("at") + micros).alias("at"))
    stamped = _with_boots(stamped, boots)
    no_stamp = (pl.col("form") == "bare") | (
        (pl.col("form") == "rfc5424") & pl.col("date").is_null()
    )
    return stamped.with_columns(
        pl.when(no_stamp).then(modified).otherwise("at").alias("at"),
        pl.when(no_stamp).then(pl.lit("file")).otherwise("clock").alias("clock"),
    )


def _in_zone(local: pl.Expr, zone: str) -> pl.Expr:
    """Local time to UTC: the earlier of an hour that repeats, nothing for one that never was."""
    aware = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return aware.dt.convert_time_zone("UTC")


def _with_years(stamped: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Give `Aug 17 06:18:06` the latest year that is not over a day past the file."""
    lacks_year = (pl.col("form") == "rfc3164") & pl.col("year").is_null()
    found = stamped.filter(lacks_year).drop("at").with_columns(pl.lit(None, UTC).alias("at"))
    limit = pl.lit(origin.modified + timedelta(days=1)).cast(UTC)
    latest = origin.modified.year + 1
    for year in range(latest, latest - 10, -1):  # 29 February can be eight years away
        if not found.get_column("at").has_nulls():
            break
        text = pl.concat_str(pl.lit(f"{year} "), "month", pl.lit(" "), "day", pl.lit(" "), "time")
        local = text.str.to_datetime("%Y %b %d %H:%M:%S", strict=False, time_unit="us")
        guess = _in_zone(local, origin.zone)
        found = found.with_columns(
            pl.coalesce("at", pl.when(guess <= limit).then(guess)).alias("at")
        )
    return pl.concat([stamped.filter(~lacks_year), found.select(stamped.columns)])


def _with_boots(stamped: pl.DataFrame, boots: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """Turn time since boot into instants; see the module's docstring for the anchoring."""
    since_boot = pl.col("form").is_in(["uptime", "kmsg"])
    clocked = stamped.with_columns(pl.lit("stamped").alias("clock"))
    if clocked.filter(since_boot).is_empty():
        return clocked
    since = pl.coalesce(_since(pl.col("seconds"), pl.col("fraction")), _whole("uptime_us"))
    ticking = (
        clocked.filter(since_boot)
        .drop("at", "clock")
        .sort("line_no")
        .join_asof(boots(), on="line_no")
        .with_columns((pl.col("booted") + pl.duration(microseconds=since)).alias("at"))
    )
    return pl.concat([clocked.filter(~since_boot), ticking.select(clocked.columns)])


def _since(seconds: pl.Expr, fraction: pl.Expr) -> pl.Expr:
    """Microseconds since boot."""
    part = fraction.str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)
    return seconds.cast(pl.Int64) * _SECOND + part


def _whole(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64)


class Boots:
    """The boots that a file goes through, found in its lines from first to last."""

    def __init__(self) -> None:
        self._began: list[tuple[int, int]] = []  # first line that tells time since boot, last time

    @classmethod
    def of(cls, lines: pl.DataFrame) -> "Boots":
        boots = cls()
        boots.see(lines)
        return boots

    def see(self, lines: pl.DataFrame) -> None:
        """Go on with numbered lines; what follows a boot's last time by a fall is another boot."""
        body = pl.col("line").str.replace(_PREFIX, "")
        uptime = body.str.extract_groups(_UPTIME).struct
        since = _since(uptime.field("seconds"), uptime.field("fraction"))
        ticks = lines.select(
            "line_no",
            pl.coalesce(since, body.str.extract(_KMSG).cast(pl.Int64)).alias("since"),
        ).drop_nulls()
        if ticks.is_empty():
            return
        latest = self._began[-1][1] if self._began else ticks["since"][0]
        # Processors log slightly out of order; only a real fall is another boot.
        is_new = pl.col("since").shift(1, fill_value=latest) - pl.col("since") > _SECOND
        boots = (
            ticks.with_columns(is_new.cast(pl.Int64).cum_sum().alias("boot"))
            .group_by("boot")
            .agg(pl.col("line_no").first(), pl.col("since").last())
            .sort("boot")
        )
        for boot, line_no, lasted in boots.iter_rows():
            if boot == 0 and self._began:
                self._began[-1] = (self._began[-1][0], lasted)
            else:
                self._began.append((line_no, lasted))

    def dated(self, origin: Origin) -> pl.DataFrame:
        """When each boot was, by the first line that tells of it: line_no, booted, clock."""
        told = pl.DataFrame(
            self._began, schema={"line_no": pl.UInt32, "lasted": pl.Int64}, orient="row"
        )
        is_last = pl.int_range(pl.len()) == pl.len() - 1
        if origin.booted is None:
            end, later = origin.modified, pl.col("lasted")
        else:
            end, later = origin.booted, pl.when(is_last).then(0).otherwise("lasted")
        clock = "anchored" if origin.booted is None else "boot"
        return told.select(
            "line_no",
            (pl.lit(end).cast(UTC) - pl.duration(microseconds=later.cum_sum(reverse=True))).alias(
                "booted"
            ),
            pl.when(is_last).then(pl.lit(clock)).otherwise(pl.lit("anchored")).alias("clock"),
        )


def _settle(stamped: pl.DataFrame, origin: Origin) -> pl.DataFrame:
    """Decide node, message and trouble from the pieces."""
    text = pl.col("message")
    host = pl.col("host").replace("-", None)
    bare_host = pl.when(pl.col("form") == "bare").then(text.str.extract(r"^([^\s:]+) kernel: "))
    has_process = (pl.col("form") == "rfc5424") & (pl.col("process") != "-")
    spoken = pl.when(has_process & (pl.col("program") != "kernel")).then(
        pl.format("{}[1]: {}", "program", "message")
    ).otherwise(text)  # fmt: skip
    other = (
        pl.col("host").is_not_null()
        & spoken.str.contains(_OTHER_PROGRAM)
        & ~spoken.str.contains(r"^(?:kernel|systemd-networkd|NetworkManager|nv-fabricmanager)\[")
        & pl.col("form").is_in(["rfc5424", "iso", "full", "unix", "rfc3164"])
    )
    unreadable = (pl.col("form") == "bare") & text.str.contains(_LOOKS_STAMPED)
    first, last = (pl.lit(edge).cast(UTC) for edge in (_FIRST, _LAST))
    return stamped.select(
        "line_no",
        "line",
        pl.col("at").alias("observed_at"),
        "clock",
        pl.coalesce(host, bare_host, pl.lit(origin.node)).alias("node"),
        pl.when(~other).then(text.str.replace(_KERNEL, "")).alias("message"),
        pl.when(unreadable | pl.col("at").is_null())
        .then(pl.lit("unreadable time stamp"))
        .when(~pl.col("at").is_between(first, last, closed="left"))
        .then(pl.lit("time stamp out of range"))
        .alias("trouble"),
    )
