"""Do the nodes of a rack, PDU, switch, NVLink domain, cooling loop or hall fail together (D-4)?

For each kind of domain that the fleet names: pairs of failures of different nodes of one domain
within a gap, against the same failures with the nodes shuffled among the domains of their model
and hall; whether domains differ in their rates beyond chance; bursts of three nodes and more
within a minute; and which share of each class's failures has a partner (the beta factor).

Hundreds of domains make a worst one by luck alone. So every domain is tested, the tests together
are held to one false finding in twenty (Benjamini-Hochberg, half of it for the kinds and half for
single domains), and only what passes is named.

Nodes are shuffled among those that came and left in the same weeks: racks are commissioned whole,
and nodes that were not there together cannot have failed together.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from transforms.node_failures import node_failures
from transforms.reliability import domains as d4
from transforms.reliability.dispersion import Dispersion, rate_limits
from transforms.reliability.shuffles import CoFailure, shuffled
from transforms.seats import KINDS, seated, seats_at_risk
from transforms.shrinkage import fit, posterior
from transforms.studies.base import Asked, RefusalError, Study, at_risk, number
from transforms.studies.rates import FEWEST_FOR_PHI, scatter_of
from transforms.tables import derived as d

FALSE_SHARE = 0.05 / 2
"""Of findings, the share that may be false: among kinds, and again among domains."""
BURST_S = 60.0
BURST_NODES = 3
FEWEST = 2

ANSWER = {
    "kind": pl.String,
    "what": pl.String,
    "name": pl.String,
    "failures": pl.Int64,
    "node_days": pl.Float64,
    "pairs": pl.Int64,
    "usual_pairs": pl.Float64,
    "p": pl.Float64,
    "closed_form_pairs": pl.Float64,
    "closed_form_p": pl.Float64,
    "phi": pl.Float64,
    "phi_p": pl.Float64,
    "per_1000_node_days": pl.Float64,
    "per_1000_node_days_lo": pl.Float64,
    "per_1000_node_days_hi": pl.Float64,
    "shrunk_per_1000": pl.Float64,
    "assumption": pl.String,
    "bursts": pl.Int64,
    "largest_burst": pl.Int64,
    "beta": pl.Float64,
    "usual_beta": pl.Float64,
    "tried": pl.Int64,
    "verdict": pl.String,
}


def domains(
    asked: Asked,
    *,
    incidents: pl.DataFrame,
    incident_members: pl.DataFrame,
    exposure: pl.DataFrame,
    fleet: pl.DataFrame,
) -> pl.DataFrame:
    """One row per kind, then its domains with evidence (what = domain) and its classes' beta.

    Options: `gap` (minutes, 10), `draws` (2000). `usual_pairs` and `usual_beta` are means of the
    draws, `closed_form_pairs` supposes one rate for all; `phi` is the variation of rates between
    domains, which widens the kind's interval where `assumption` did not hold; `shrunk_per_1000` of
    a named domain is its rate drawn towards its kind's (R-11). `tried` says among how many tests a
    row was judged.
    """
    gap_s = 60 * number(asked, "gap", 10, 0.1, 60)
    draws = int(number(asked, "draws", 2000, 99, 100_000))
    risk = seats_at_risk(at_risk(exposure, asked), fleet)
    kept = incidents.filter("counts", pl.col("definition").cast(pl.String) == asked.definition)
    failed = node_failures(kept, incident_members)
    if asked.klass != "all":
        failed = failed.filter(pl.col("class") == asked.klass)
    failed = seated(failed, fleet)
    if failed.height < FEWEST:
        raise RefusalError(
            f"{failed.height} failures of nodes in the fleet on the days asked: "
            "whether any fail together cannot be told from fewer than 2"
        )
    rng = np.random.default_rng(asked.seed)
    failed, found = failed.sort("at", "seat"), list["_Kind"]()
    for kind in KINDS:
        if (one := _Kind.of(kind, risk, failed, gap_s, asked.level)) is not None:
            one.shuffle(found, draws, rng)
            found.append(one)
    if not found:
        raise RefusalError(
            f"the fleet names no {', '.join(KINDS)} that holds two nodes: give an inventory"
        )
    tested = [one for one in found if one.can_be_told]
    stand_out = dict(
        zip(
            (one.kind for one in tested),
            d4.benjamini_hochberg([one.seen.p for one in tested], FALSE_SHARE),
            strict=True,
        )
    )
    each = np.concatenate([one.seen.domain_p[one.is_tried] for one in tested] or [np.zeros(0)])
    named = d4.benjamini_hochberg(each, FALSE_SHARE)
    rows: list[dict] = []
    place = 0
    for one in found:
        tries = int(one.is_tried.sum()) if one.can_be_told else 0
        mine = np.zeros(len(one.names), bool)
        mine[np.flatnonzero(one.is_tried)[:tries]] = named[place : place + tries]
        place += tries
        rows += one.rows(bool(stand_out.get(one.kind)), mine, len(tested), len(each))
    return pl.DataFrame(rows, schema=ANSWER).with_columns(
        gap_minutes=pl.lit(gap_s / 60),
        clock=pl.lit(asked.clock),
        definition=pl.lit(asked.definition),
        counted=pl.lit(asked.klass),
    )


class _Kind:
    """All that is computed of one kind of domain; nodes are seats: a node at one place."""

    def __init__(
        self, kind: str, seats: pl.DataFrame, failed: pl.DataFrame, gap_s: float, level: float
    ) -> None:
        self.kind, self.gap_s, self.level = kind, gap_s, level
        self.names = seats.select("home", kind).unique().sort("home")[kind].to_list()
        self.home, self.stratum = seats["home"].to_numpy(), seats["stratum"].to_numpy()
        self.size = np.bincount(self.home)
        self.days = np.bincount(self.home, seats["node_days"].to_numpy())
        self.span = float(seats["node_days"].mean())  # type: ignore[arg-type]
        self.node = failed["number"].to_numpy()
        self.at = failed["at"].dt.epoch("us").to_numpy() / 1e6
        self.classes = failed["class"].unique().sort().to_list()
        klass = failed["class"].replace_strict(self.classes, range(len(self.classes)))
        self.klass = klass.to_numpy()
        self.failures = np.bincount(self.home[self.node], minlength=len(self.size))
        self.is_tried = self.size > 1
        self.bursts = d4.bursts(self.home[self.node], self.node, self.at, BURST_S)
        self.seen: CoFailure

    @staticmethod
    def of(
        kind: str,
        risk: pl.DataFrame,
        failed: pl.DataFrame,
        gap_s: float,
        level: float,
    ) -> "_Kind | None":
        """None where the fleet names no domain of this kind with two nodes."""
        alike = ["cluster", "gpu_model", *(["hall"] if kind != "hall" else []), "came", "left"]
        seats = (
            risk.filter(pl.col(kind).is_not_null())
            .sort("seat")
            .with_row_index("number")
            .with_columns(
                home=pl.struct("cluster", kind).rank("dense").cast(pl.Int64) - 1,
                stratum=pl.struct(alike).rank("dense").cast(pl.Int64) - 1,
            )
        )
        if seats.is_empty() or seats["home"].n_unique() == seats.height:
            return None
        mine = failed.join(seats.select("seat", "number"), on="seat", maintain_order="left")
        return _Kind(kind, seats, mine, gap_s, level)

    def shuffle(self, others: Sequence["_Kind"], draws: int, rng: np.random.Generator) -> None:
        """Kinds that part the fleet alike (a rack that is one NVLink domain) share their draws."""
        for other in others:
            if all(np.array_equal(getattr(self, n), getattr(other, n)) for n in ("home", "stratum", "node", "at")):  # fmt: skip
                self.seen = other.seen
                return
        self.seen = shuffled(self.home, self.node, self.at, self.gap_s, rng, self.stratum, draws)

    @property
    def can_be_told(self) -> bool:
        """Shuffling says something only where one model and hall holds two domains."""
        cells = np.unique(np.stack([self.stratum, self.home]), axis=1)
        return bool((np.bincount(cells[0]) > 1).any())

    def rows(self, stands_out: bool, named: np.ndarray, kinds: int, tried: int) -> Iterator[dict]:
        yield self._whole(stands_out, kinds)
        prior = fit(self.failures, self.days) if named.any() else None
        level = self.level
        burst, width = self.bursts
        for k in np.flatnonzero(named):
            sizes = width[(burst == k) & (width >= BURST_NODES)]
            count, days = int(self.failures[k]), float(self.days[k])
            yield {
                "kind": self.kind,
                "what": "domain",
                "name": self.names[k],
                **_rate(count, days, None, level),
                "pairs": int(self.seen.domain_pairs[k]),
                "p": float(self.seen.domain_p[k]),
                "shrunk_per_1000": posterior(prior, count, days).mean if prior else None,
                "bursts": len(sizes),
                "largest_burst": int(sizes.max(initial=0)),
                "tried": tried,
                "verdict": "evidence that its nodes fail together",
            }
        for code, klass in enumerate(self.classes if self.can_be_told else ()):
            is_its = self.klass == code
            yield {
                "kind": self.kind,
                "what": "class",
                "name": klass,
                "failures": int(is_its.sum()),
                "node_days": float(self.days.sum()),
                "beta": float(self.seen.is_dependent[is_its].mean()),
                "usual_beta": float(self.seen.usual_dependence[is_its].mean()),
            }

    def _whole(self, stands_out: bool, kinds: int) -> dict:
        count, days = len(self.node), float(self.days.sum())
        # C(m, 2) pairs in each domain, each 2 x gap x time x rate squared.
        expected = float(
            sum(
                how_many
                * d4.expected_pairs(1, int(m), self.gap_s / 86_400, self.span, count / days)
                for m, how_many in zip(*np.unique(self.size, return_counts=True), strict=True)
            )
        )
        _, sizes = self.bursts
        scatter = scatter_of(self.failures, self.days, np.random.default_rng(1))
        enough = count >= FEWEST_FOR_PHI and not math.isnan(scatter.phi)
        if not self.can_be_told:
            verdict = "cannot be told: no model and hall has two of them to shuffle between"
        elif stands_out:
            verdict = "nodes fail together"
        else:
            verdict = "no evidence that nodes fail together"
        return {
            "kind": self.kind,
            "what": "all",
            "name": f"{len(self.names)} of them",
            **_rate(count, days, scatter if enough else None, self.level),
            "pairs": self.seen.pairs,
            "usual_pairs": self.seen.usual if self.can_be_told else None,
            "p": self.seen.p if self.can_be_told else None,
            "closed_form_pairs": expected,
            "closed_form_p": d4.pairs_p(self.seen.pairs, expected),
            "phi": scatter.phi if enough else None,
            "phi_p": scatter.p if enough else None,
            "bursts": int((sizes >= BURST_NODES).sum()),
            "largest_burst": int(sizes.max(initial=int(count > 0))),
            "beta": float(self.seen.is_dependent.mean()) if count else None,
            "usual_beta": float(self.seen.usual_dependence.mean())
            if count and self.can_be_told
            else None,
            "tried": kinds,
            "verdict": verdict,
        }


def _rate(count: int, days: float, scatter: Dispersion | None, level: float) -> dict:
    """The count, its exposure, rate and limits, and whether failures came one by one."""
    calm = scatter is None or scatter.is_poisson
    lo, hi = rate_limits(count, days, 1.0 if calm or scatter is None else scatter.phi, level)
    return {
        "failures": count,
        "node_days": days,
        "per_1000_node_days": 1000 * count / days,
        "per_1000_node_days_lo": 1000 * lo,
        "per_1000_node_days_hi": 1000 * hi,
        "assumption": "too few failures to tell"
        if scatter is None
        else ("held" if calm else "not held"),
    }


STUDY = Study(
    name="domains",
    title="Do nodes of one rack, PDU, switch, NVLink domain, cooling loop or hall fail together?",
    reads=(d.INCIDENTS, d.INCIDENT_MEMBERS, d.EXPOSURE, d.FLEET),
    by=domains,
)
