"""How often links flap: losses of a link per 1000 link-days, and the episodes they come in (D-8).

A loss is told by whoever saw it: the driver, the network daemon, a bond, and at the link's other
end the fabric's managers. Witnesses of one link with less than 60 s of silence between them saw
the same losses: the most talkative counts, the others are not added. A switch port whose host
told a loss within 60 s is that link's other end and adds nothing. Losses within 5 min of a change
of their node's state come from the node, which takes its links down when it reboots: they are set
aside and counted beside. An episode is losses with gaps of at most 10 min.

A link's exposure is its node's time in service. The total of a cluster is about its hosts' fabric
links (not Ethernet, not between switches) and its exposure is that of all such links which a
survey (`fabric_links`) told of, whether they ever flapped or not. Without a survey it is unknown
and the rate null: links that spoke are no denominator.

The view `link_flaps` is this module in SQL; a test holds the two equal.
"""

from datetime import timedelta

import polars as pl

from transforms.fleet import place
from transforms.mtbf import ALL, DAY_MS
from transforms.poisson import count_limits

SAME_LOSS = timedelta(seconds=60)
NEAR_STATE = timedelta(minutes=5)
EPISODE_GAP = timedelta(minutes=10)
MANAGERS = ("opensm", "ufm", "fabricmanager")
LOST = ("PortDown", "LinkDown", "TrunkPortFailure", "AccessPortFailure")
FABRIC = r"^(?:ib|mlx|0x)"
"""How a fabric's links are named: interface, adapter, or `guid/port`."""
_LINK = ["cluster", "node", "link"]


def link_flaps(
    *,
    kernel_events: pl.DataFrame,
    cluster_events: pl.DataFrame,
    node_states: pl.DataFrame,
    fabric_links: pl.DataFrame,
    fleet: pl.DataFrame,
    exposure: pl.DataFrame,
) -> pl.DataFrame:
    """One row per link that was lost, and one with node and link 'all' per cluster.

    Columns: cluster, node, link, flaps, episodes, near_state_change, link_days,
    per_1000_link_days with _lo and _hi (exact 95 %), first_at, last_at. Sorted; totals first.
    """
    survey = _latest(fabric_links)
    told = _losses(kernel_events, cluster_events, survey, fleet)
    links = _counted(told, place(node_states, fleet))
    served = exposure.group_by("cluster", "node").agg(
        node_days=pl.col("in_service_ms").sum() / DAY_MS
    )
    links = links.join(served, on=["cluster", "node"], how="left").rename(
        {"node_days": "link_days"}
    )
    ours = links.filter(pl.col("link").str.contains(FABRIC) & pl.col("link_days").is_not_null())
    lost = ours.group_by("cluster").agg(
        pl.col("flaps", "episodes", "near_state_change").sum(),
        pl.col("first_at").min(),
        pl.col("last_at").max(),
    )
    hosts = place(survey.filter(pl.col("is_host")), fleet)
    known = (
        hosts.join(served, on=["cluster", "node"])
        .group_by("cluster")
        .agg(link_days=pl.col("node_days").sum())
    )
    totals = (
        pl.concat([links.select("cluster"), known.select("cluster")])
        .unique()
        .join(lost, on="cluster", how="left")
        .join(known, on="cluster", how="left")
        .with_columns(
            pl.col("flaps", "episodes", "near_state_change").fill_null(0),
            node=pl.lit(ALL),
            link=pl.lit(ALL),
        )
        .select(links.columns)
    )
    rows = pl.concat([totals, links]).sort("cluster", pl.col("node") != ALL, "node", "link")
    lo, hi = count_limits(rows["flaps"].to_numpy())
    limits = rows.with_columns(
        lo=pl.Series(lo, dtype=pl.Float64), hi=pl.Series(hi, dtype=pl.Float64)
    )
    days = pl.when(pl.col("link_days") > 0).then("link_days")
    return limits.select(
        *_LINK,
        "flaps",
        "episodes",
        "near_state_change",
        "link_days",
        per_1000_link_days=1000 * pl.col("flaps") / days,
        per_1000_link_days_lo=1000 * pl.col("lo") / days,
        per_1000_link_days_hi=1000 * pl.col("hi") / days,
        first_at="first_at",
        last_at="last_at",
    )


def _latest(fabric_links: pl.DataFrame) -> pl.DataFrame:
    """The last word on each port: cluster, end, node, is_host, link (the lesser end), owner.

    The owner is the host at either end; between switches, the switch at the lesser end.
    """
    end = pl.format("{}/{}", "guid", "port")
    peer = pl.format("{}/{}", "peer_guid", "peer_port")
    last = (
        fabric_links.sort("observed_at", "file", "line_no")
        .unique(["guid", "port"], keep="last")
        .select(
            "cluster",
            "node",
            end=end,
            peer=peer,
            lesser=pl.when(peer < end).then("peer_node").otherwise("node"),
            is_host=(pl.col("kind").cast(pl.String) == "host") & (pl.col("node") != ""),
        )
    )
    hosts = last.filter("is_host").select(peer="end", far="node")
    return last.join(hosts, on="peer", how="left").select(
        "cluster",
        "end",
        "node",
        "is_host",
        link=pl.min_horizontal("end", "peer"),
        owner=pl.when("is_host").then("node").otherwise(pl.coalesce("far", "lesser")),
    )


def _losses(
    kernel_events: pl.DataFrame,
    cluster_events: pl.DataFrame,
    survey: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """Every told loss: cluster, node, link, at, witness."""
    by_hosts = place(
        kernel_events.filter(pl.col("kind").cast(pl.String) == "link_down").select(
            "cluster",
            "node",
            link="device",
            at="observed_at",
            witness=pl.col("detail").str.to_lowercase().str.extract(r"^([a-z ]*)"),
        ),
        fleet,
    )
    by_managers = (
        cluster_events.filter(
            pl.col("reporter").is_in(MANAGERS)
            & pl.col("reason").is_in(LOST)
            & (pl.col("device") != "")
        )
        .join(survey.select("end", "link", "owner"), left_on="device", right_on="end", how="left")
        .select(
            "cluster",
            node=pl.coalesce("owner", "node"),
            link=pl.coalesce("link", "device"),
            at="observed_at",
            witness=pl.concat_str("reporter", pl.lit(" "), "device"),
        )
    )
    by_managers = place(by_managers, fleet)
    seen = by_hosts.select("cluster", "node", seen="at", at="at").sort("at")
    other_ends = by_managers.sort("at").join_asof(
        seen,
        on="at",
        by=["cluster", "node"],
        strategy="nearest",
        tolerance=SAME_LOSS,
        check_sortedness=False,
    )
    alone = other_ends.filter(pl.col("seen").is_null()).select(by_hosts.columns)
    return pl.concat([by_hosts, alone])


def _counted(told: pl.DataFrame, node_states: pl.DataFrame) -> pl.DataFrame:
    """Flaps and episodes of each link, and what was set aside as its node's own doing."""
    changes = pl.concat(
        [
            node_states.select("cluster", "node", change="began"),
            node_states.select("cluster", "node", change="ended"),
        ]
    ).drop_nulls()
    near = told.sort("at").join_asof(
        changes.with_columns(at="change").sort("at"),
        on="at",
        by=["cluster", "node"],
        strategy="nearest",
        tolerance=NEAR_STATE,
        check_sortedness=False,
    )
    is_near = pl.col("change").is_not_null()
    aside = _folded(near.filter(is_near)).select(*_LINK, near_state_change="flaps")
    kept = _folded(near.filter(~is_near))
    return (
        told.select(_LINK)
        .unique()
        .join(kept, on=_LINK, how="left")
        .join(aside, on=_LINK, how="left")
        .with_columns(pl.col("flaps", "episodes", "near_state_change").fill_null(0))
        .select(*_LINK, "flaps", "episodes", "near_state_change", "first_at", "last_at")
    )


def _folded(told: pl.DataFrame) -> pl.DataFrame:
    """Bursts of each link down to their most talkative witness: flaps, episodes, first and last."""
    gap = pl.col("at") - pl.col("at").shift(1).over(_LINK)
    bursts = (
        told.sort(*_LINK, "at")
        .with_columns(
            burst=(gap > SAME_LOSS).fill_null(True).cum_sum().over(_LINK),
            is_episode=(gap > EPISODE_GAP).fill_null(True),
        )
        .group_by(*_LINK, "burst", "witness")
        .agg(
            seen=pl.len().cast(pl.Int64),
            episodes=pl.col("is_episode").sum().cast(pl.Int64),
            first_at=pl.col("at").min(),
            last_at=pl.col("at").max(),
        )
        .group_by(*_LINK, "burst")
        .agg(
            pl.col("seen").max(),
            pl.col("episodes").sum(),
            pl.col("first_at").min(),
            pl.col("last_at").max(),
        )
    )
    return bursts.group_by(_LINK).agg(
        flaps=pl.col("seen").sum(),
        episodes=pl.col("episodes").sum(),
        first_at=pl.col("first_at").min(),
        last_at=pl.col("last_at").max(),
    )
