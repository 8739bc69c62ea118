"""A page of answers: what a reliability engineer asks first, of two real lakes, by SQL and studies.

Each answer stands beside the number that ../shared/data/README.md publishes for it, where there is
one. `pytest -s tests/test_answers.py` prints the page.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.cli import main

BEGAN = datetime(2024, 3, 30, tzinfo=UTC)
DAYS, SERVERS = 348, 400
Row = dict[str, object]
PAGES = {"infinitehbd": "400 servers over 348 days", "slurm-live": "8 nodes of a live Slurm"}


@dataclass(frozen=True)
class Answer:
    """One line of the page: a question, how it is asked, the columns shown, what is published."""

    lake: str
    question: str
    call: tuple[str, ...]
    shown: tuple[str, ...]
    published: float | None = None
    within: float = 0.0
    where: Callable[[Row], bool] = lambda row: True


def sql(statement: str) -> tuple[str, ...]:
    return ("sql", statement)


def rate(definition: str, clock: str) -> tuple[str, ...]:
    return sql(
        "SELECT mtbf_hours / 24 AS days, mtbf_hours_lo / 24 AS lo, mtbf_hours_hi / 24 AS hi, "
        "per_1000_node_days, failures, node_days FROM fleet_rates WHERE class = 'all' "
        f"AND definition = '{definition}' AND clock = '{clock}'"
    )


MTBF = ("days", "lo", "hi", "per_1000_node_days", "failures", "node_days")
RECORDED = ("--definition", "as-recorded")
LIMITS = ("per_1000_node_days_lo", "per_1000_node_days_hi")

# fmt: off
ANSWERS = (
    Answer("infinitehbd", "MTBF of a node, wall clock, as recorded (d)", rate("as-recorded", "wall"), MTBF, 238.36, 0.005),
    Answer("infinitehbd", "the same in service (d)", rate("as-recorded", "in_service"), MTBF, 232.82, 0.005),
    Answer("infinitehbd", "MTBF of a node, wall clock, coalesced (d)", rate("coalesced-180s", "wall"), MTBF, 241.25, 0.005),
    Answer("infinitehbd", "the same in service (d)", rate("coalesced-180s", "in_service"), MTBF, 235.65, 0.005),
    Answer("infinitehbd", "MTBF of the cluster, as recorded (h)", sql("SELECT mtbf_hours / 400 AS hours, mtbf_hours_lo / 400 AS lo, mtbf_hours_hi / 400 AS hi FROM fleet_rates WHERE class = 'all' AND definition = 'as-recorded' AND clock = 'wall'"), ("hours", "lo", "hi"), 14.301, 0.0005),
    Answer("infinitehbd", "failures as recorded, and whether they come one by one", ("rates", "cluster", *RECORDED), ("failures", "per_1000_node_days", *LIMITS, "phi", "assumption", "coverage"), 584),
    Answer("infinitehbd", "incidents under 180 s coalescing", ("rates", "cluster"), ("failures", "per_1000_node_days", *LIMITS, "phi", "assumption", "coverage"), 577),
    Answer("infinitehbd", "failures of GPUs, as recorded", ("rates", "class", *RECORDED), ("failures", "per_1000_node_days", *LIMITS), 158, 0, lambda row: row["class"] == "GPU"),
    Answer("infinitehbd", "availability", ("availability",), ("operational", "operational_lo", "operational_hi", "limits"), 0.97679, 5e-6),
    Answer("infinitehbd", "time down (node-days)", ("availability",), ("down_days", "repairs", "mttr_hours"), 3231.32, 0.005),
    Answer("infinitehbd", "a job of 16 servers has them all", ("availability", "--nodes", "16"), ("all_up", "all_up_lo", "all_up_hi"), 0.97679**16, 2e-4),
    Answer("infinitehbd", "mean repair, as recorded (h)", sql("SELECT mean_hours, median_hours, p90_hours, repairs, open FROM repair_times WHERE basis = 'as-recorded'"), ("mean_hours", "repairs", "open"), 132.84, 0.005),
    Answer("infinitehbd", "median repair, as recorded (h)", sql("SELECT median_hours, p90_hours FROM repair_times WHERE basis = 'as-recorded'"), ("median_hours", "p90_hours"), 20.389, 0.0005),
    Answer("infinitehbd", "shape of repair times (Weibull)", ("survival", "--of", "repair"), ("weibull_shape", "weibull_shape_lo", "weibull_shape_hi", "reading")),
    Answer("infinitehbd", "faults of the worst server, and its rate by shrinkage", ("suspects", *RECORDED, "--clock", "in_service", "--days", "400", "--top", "1"), ("failures", "per_1000_node_days", "posterior", "posterior_lo", "posterior_hi", "p_lemon"), 14),
    Answer("infinitehbd", "servers that ever failed", sql("SELECT count(DISTINCT node) AS servers FROM node_rates WHERE failures > 0 AND definition = 'as-recorded'"), ("servers",), 231),
    Answer("infinitehbd", "share of servers without a fault for 347 days", ("survival", "--at", "347", *RECORDED), ("survival", "survival_lo", "survival_hi"), 169 / 400, 0.003),
    Answer("infinitehbd", "trend: slope of Crow-AMSAA (1 is none)", ("trend", *RECORDED), ("growth_slope", "growth_slope_lo", "growth_slope_hi", "reading", "laplace_p")),
    Answer("slurm-live", "attempts", sql("SELECT count(*) AS attempts FROM job_attempts"), ("attempts",), 70),
    Answer("slurm-live", "attempts that lost a node", sql("SELECT count(*) AS attempts FROM job_attempts WHERE state = 'NODE_FAIL'"), ("attempts",), 4),
    Answer("slurm-live", "nodes that stopped runs, of six each", sql("SELECT count(DISTINCT incidents.node) AS nodes, string_agg(DISTINCT incidents.node, ' ' ORDER BY incidents.node) AS which FROM interruptions JOIN incidents USING (incident)"), ("nodes", "which"), 2),
    Answer("slurm-live", "failures in service", ("rates",), ("failures", "node_days", "per_1000_node_days", *LIMITS, "mtbf_hours", "assumption", "coverage")),
    Answer("slurm-live", "failures while allocated", ("rates", "--clock", "allocated"), ("failures", "node_days", "per_1000_node_days", *LIMITS, "assumption")),
    Answer("slurm-live", "availability", ("availability",), ("inherent", "operational", "unknown_as_up", "unknown_as_down", "assumption")),
    Answer("slurm-live", "repairs (h)", sql("SELECT repairs, open, median_hours, p90_hours FROM repair_times WHERE basis = 'spells' AND NOT planned"), ("repairs", "open", "median_hours", "p90_hours")),
    Answer("slurm-live", "worst nodes", sql("SELECT node, failures, per_1000_node_days_lo FROM node_rates WHERE class = 'all' AND clock = 'in_service' ORDER BY failures DESC, node LIMIT 1"), ("failures", "node", "per_1000_node_days_lo")),
)
# fmt: on


@pytest.fixture(scope="session")
def lakes(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both folders as they came, taken in and derived by the command line."""
    root = tmp_path_factory.mktemp("answers")
    hbd, live = root / "infinitehbd", root / "slurm-live"
    trace = json.loads((shared_data / "infinitehbd" / "fault_trace.json").read_text())
    faulty = sorted({event["node_id"] for event in trace})
    servers = faulty + [f"silent-{n}" for n in range(SERVERS - len(faulty))]
    first, last = f"{BEGAN:%Y-%m-%d}", f"{BEGAN + timedelta(days=DAYS):%Y-%m-%d}"
    lines = ["node,gpus,valid_from,valid_to", *(f"{server},8,{first},{last}" for server in servers)]
    (root / "nodes.csv").write_text("\n".join(lines) + "\n")
    hbd.mkdir()
    (hbd / "settings.toml").write_text(f"observed_from = {first}\nobserved_until = {last}\n")
    said = {hbd: [shared_data / "infinitehbd", root / "nodes.csv"], live: []}
    dumps = shared_data / "slurm-live"
    said[live] = [dumps / name for name in ("sacct_all.psv", "events.psv")]
    for lake, paths in said.items():
        at = ["--lake", str(lake), "--plain"]
        assert main(["ingest", *map(str, paths), *at]) == 0
        assert main(["derive", *at]) == 0
    return {"infinitehbd": hbd, "slurm-live": live}


@pytest.fixture(scope="session")
def page() -> Iterator[dict[Answer, str]]:
    """Lines of the page as they are answered; printed at the end, in order."""
    lines: dict[Answer, str] = {}
    yield lines
    for lake, title in PAGES.items():
        print(f"\n\n{lake}: {title}\n\n| question | published | answer |\n|---|---|---|")
        print("\n".join(lines[one] for one in ANSWERS if one in lines and one.lake == lake))


def spelled(row: Row, names: tuple[str, ...]) -> str:
    said = [f"{row[n]:,.5g}" if isinstance(row[n], float) else str(row[n]) for n in names]
    return "; ".join([said[0], *(f"{n} {s}" for n, s in zip(names[1:], said[1:], strict=True))])


@pytest.mark.parametrize("one", ANSWERS, ids=lambda one: f"{one.lake}: {one.question}")
def test_the_answer_is_the_published_one(one: Answer, lakes, page, tmp_path: Path):
    out = tmp_path / "answer.json"
    at = ["--lake", str(lakes[one.lake]), "--format", "json", "--out", str(out)]
    assert main([*one.call, *at]) == 0
    rows = [row for row in json.loads(out.read_text()) if one.where(row)]
    assert len(rows) == 1
    assert None not in [rows[0][name] for name in one.shown[:1]]
    published = "" if one.published is None else f"{one.published:,.6g}"
    page[one] = f"| {one.question} | {published} | {spelled(rows[0], one.shown)} |"
    if one.published is not None:
        assert rows[0][one.shown[0]] == pytest.approx(one.published, abs=one.within, rel=0)
    limits = [name for name in one.shown if name.endswith(("_lo", "_hi")) or name in ("lo", "hi")]
    if len(limits) == 2 and not limits[0].startswith(("per_1000", "posterior")):
        assert rows[0][limits[0]] <= rows[0][one.shown[0]] <= rows[0][limits[1]]
