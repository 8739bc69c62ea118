"""How bad are the links (D-8): errors an hour and per bit, and links slower than their like.

Errors are what hourly rollups say a counter rose by, resets told (Q-1); the time is that between
the samples that tell it, so a link nobody polled has none and a reboot adds nothing. Errors come
in bursts: `phi` is their variation between days or between nodes, and where it shows beyond
chance the limits are wider than the exact ones.

Bits are the signalling rate times that time, of links whose rate is known: an error ratio for the
link as it was up, whatever it carried. Without an error `hi` is the one-sided bound, 2.996 / bits.

A link is slow in an hour in which its rate lay below the usual one: the rate at which links of its
name in its cluster stood most of the time. Ties go to the higher rate.
"""

import math

import numpy as np
import polars as pl

from transforms.reliability.dispersion import rate_limits_of
from transforms.studies.base import Asked, RefusalError, Study
from transforms.studies.scatter import scatter
from transforms.tables.hourly import LINK_HOURLY

BY = ("cluster", "node", "link")
WHAT = ("errors", "speed")
RATE = "rate_bytes_per_s"
HOUR_MS = 3_600_000
BIT_ERRORS = ("symbol_errors", "rx_errors", "rx_icrc_errors")
"""Counters that say of bits received that they were wrong."""
COUNTERS = (
    *BIT_ERRORS,
    *("link_recoveries", "link_downed", "carrier_downs", "integrity_errors", "buffer_overruns"),
    *("rx_discards", "tx_discards", "rx_remote_errors", "tx_wait_ticks", "vl15_dropped"),
    *("out_of_sequence", "packet_sequence_errors", "ack_timeouts", "implied_naks"),
    *("receiver_not_ready", "out_of_buffer", "adaptive_retransmits", "slow_restarts"),
    *("cnps_sent", "cnps_handled", "ecn_marked"),
)
COLUMNS = ("metric", *BY, "hour_at", "mean", "increase", "covered_ms", "is_lower_bound")


def fabric(asked: Asked, *, link_hourly: pl.DataFrame) -> pl.DataFrame:
    """One row per unit and counter, or per slow link (option `what`: errors or speed).

    Option `by` (errors alone): cluster, node or link. Columns of errors: the unit, counter,
    errors, links, link_hours, errors_per_link_hour with _lo and _hi, worst_link and its share,
    bits, bit_error_ratio with _lo and _hi (counters of wrong bits, where the rate is known),
    is_lower_bound, phi, assumption, clock, definition. Of speed: the link, hours, slow_hours,
    rate_gbps (mean of the slow hours), usual_gbps, clock, definition.
    """
    what = asked.options.get("what", "errors")
    if what not in WHAT:
        raise RefusalError(f"no answer about {what!r}: there are {', '.join(WHAT)}")
    if link_hourly.is_empty():
        raise RefusalError("no link was sampled on the days asked: ingest node_exporter or sysfs")
    if what == "speed":
        return _slow(link_hourly)
    by = asked.options.get("by", "cluster")
    if by not in BY:
        raise RefusalError(f"cannot group by {by}: there are {', '.join(BY)}")
    return _errors(asked, link_hourly, list(BY[: BY.index(by) + 1]))


def _errors(asked: Asked, hourly: pl.DataFrame, units: list[str]) -> pl.DataFrame:
    told = hourly.filter(pl.col("metric").is_in(COUNTERS), pl.col("increase").is_not_null())
    if told.is_empty():
        raise RefusalError("links were sampled, but no counter of errors twice")
    rates = hourly.filter(pl.col("metric") == RATE).select(*BY, "hour_at", rate="mean")
    hours = told.join(rates, on=[*BY, "hour_at"], how="left").with_columns(
        pl.col("increase").round().cast(pl.Int64).alias("errors"),
        (pl.col("rate") * 8 * pl.col("covered_ms") / 1000).alias("bits"),
        pl.col("hour_at").dt.date().alias("day"),
        pl.col("metric").alias("counter"),
    )
    keys = [*units, "counter"]
    rows = _summed(hours, keys).join(_worst(hours, keys), on=keys, how="left")
    cells = hours.group_by(list(dict.fromkeys([*keys, "day", "cluster", "node"]))).agg(
        pl.col("errors").sum().alias("failures"), pl.col("covered_ms").sum().alias("ms")
    )
    rows = scatter(
        rows.with_columns(failures="errors", node_days="link_hours"),
        cells.filter(pl.col("failures") > 0).drop("ms"),
        cells.drop("failures"),
        keys,
        [],
        asked.seed,
    )
    return _limited(rows, asked).sort(*units, "counter")


def _summed(hours: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    known = pl.col("bits").is_not_null() & pl.col("counter").is_in(BIT_ERRORS)
    return hours.group_by(keys).agg(
        pl.col("errors").sum(),
        pl.struct(BY).n_unique().cast(pl.Int64).alias("links"),
        (pl.col("covered_ms").sum() / HOUR_MS).alias("link_hours"),
        pl.col("bits").filter(known).sum().alias("bits"),
        pl.col("errors").filter(known).sum().alias("bit_errors"),
        pl.col("is_lower_bound").any(),
    )


def _worst(hours: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """The link with most errors of each unit and counter, and its share; null without an error."""
    each = hours.group_by([*dict.fromkeys([*keys, *BY])]).agg(pl.col("errors").sum())
    each = each.sort("errors", *BY, descending=[True, False, False, False])
    whole = pl.col("errors").sum()
    return each.group_by(keys, maintain_order=True).agg(
        pl.when(whole > 0).then(pl.format("{}/{}", "node", "link").first()).alias("worst_link"),
        pl.when(whole > 0).then(pl.col("errors").first() / whole).alias("worst_share"),
    )


def _limited(rows: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    errors, hours, bits, wrong = (
        rows[name].to_numpy().astype(float)
        for name in ("errors", "link_hours", "bits", "bit_errors")
    )
    is_wide = rows["is_poisson"].eq(False).fill_null(False).to_numpy()
    phi = np.where(is_wide, rows["phi"].fill_null(1.0).to_numpy(), 1.0)
    lo, hi = rate_limits_of(errors, np.where(hours > 0, hours, np.nan), phi, asked.level)
    some = np.where(bits > 0, bits, np.nan)
    ber_lo, ber_hi = rate_limits_of(wrong, some, phi, asked.level)
    one_sided = -math.log1p(-asked.level) / some
    ratio = {
        "bit_error_ratio": wrong / some,
        "bit_error_ratio_lo": ber_lo,
        "bit_error_ratio_hi": np.where(wrong == 0, one_sided, ber_hi),
    }
    limits = {"errors_per_link_hour_lo": lo, "errors_per_link_hour_hi": hi} | ratio
    told = rows.with_columns(
        pl.Series(name, values).fill_nan(None) for name, values in limits.items()
    )
    return told.select(
        pl.exclude(
            *("failures", "node_days", "bit_errors", "bits", "is_poisson", "phi"),
            *("is_lower_bound", *limits),
        ),
        pl.when(pl.col("link_hours") > 0)
        .then(pl.col("errors") / pl.col("link_hours"))
        .alias("errors_per_link_hour"),
        "errors_per_link_hour_lo",
        "errors_per_link_hour_hi",
        pl.when(pl.col("bits") > 0).then("bits").alias("bits"),
        *ratio,
        "is_lower_bound",
        "phi",
        pl.when(pl.col("phi").is_null())
        .then(pl.lit("too few failures to tell"))
        .when("is_poisson")
        .then(pl.lit("held"))
        .otherwise(pl.lit("not held"))
        .alias("assumption"),
        clock=pl.lit("sampled"),
        definition=pl.lit("counter increase"),
    )


def _slow(hourly: pl.DataFrame) -> pl.DataFrame:
    rates = hourly.filter(pl.col("metric") == RATE, pl.col("mean") > 0)
    if rates.is_empty():
        raise RefusalError("no link said its rate on the days asked")
    usual = (
        rates.group_by("cluster", "link", "mean")
        .agg(pl.len().alias("seen"))
        .sort("seen", "mean", descending=True)
        .unique(["cluster", "link"], keep="first", maintain_order=True)
        .select("cluster", "link", usual="mean")
    )
    is_slow = pl.col("mean") < pl.col("usual")
    gbps = 8 / 1e9
    return (
        rates.join(usual, on=["cluster", "link"])
        .group_by(BY)
        .agg(
            pl.len().cast(pl.Int64).alias("hours"),
            is_slow.sum().cast(pl.Int64).alias("slow_hours"),
            (pl.col("mean").filter(is_slow).mean() * gbps).alias("rate_gbps"),
            (pl.col("usual").first() * gbps).alias("usual_gbps"),
        )
        .filter(pl.col("slow_hours") > 0)
        .with_columns(clock=pl.lit("sampled"), definition=pl.lit("below the usual rate"))
        .sort("slow_hours", *BY, descending=[True, False, False, False])
    )


STUDY = Study(
    name="fabric",
    title="Errors of links by the hour and by the bit, with limits; links slower than their like",
    reads=(LINK_HOURLY,),
    by=fabric,
    columns=lambda asked: {"link_hourly": set(COLUMNS)},
)
