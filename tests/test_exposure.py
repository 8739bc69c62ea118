"""Node-time at risk, failures and repairs from the records of a few nodes."""

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import tables
from transforms.exposure import exposure
from transforms.failures import failures
from transforms.fleet import fleet, place
from transforms.mtbf import rates
from transforms.recipes import RECIPES, Window
from transforms.repairs import repairs

DAY = timedelta(days=1)
HOUR_MS = 3_600_000
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def window(since: int = 0, until: int = 7, horizon: float = 24 * 7) -> Window:
    return Window(START + since * DAY, START + until * DAY, at(horizon))


def rows(table: str, *given_rows: dict) -> pl.DataFrame:
    """Rows of a table, with harmless values where the test has nothing to say."""
    plain = {pl.String: "", pl.UInt32: 0, pl.UInt16: 0, pl.Boolean: True, pl.Float64: 1.0}
    dtypes = tables.BY_NAME[table].dtypes
    columns = tables.BY_NAME[table].schema.columns()
    filled = []
    for row in given_rows:
        assert row.keys() <= set(dtypes.names()), row
        filled.append(
            {
                name: row.get(name, None if columns[name].nullable else plain.get(type(t)))
                for name, t in ((n, dtypes[n]) for n in dtypes.names())
            }
        )
    return pl.DataFrame(filled, schema=dtypes)


def inventory(*nodes: dict) -> pl.DataFrame:
    return rows("nodes", *({"gpus": 8, "valid_from": START - 30 * DAY} | node for node in nodes))


def state(node: str, state: str, began: float, ended: float | None, reason: str = "") -> dict:
    until = None if ended is None else at(ended)
    return {"node": node, "state": state, "began": at(began), "ended": until, "reason": reason}


def outage(node: str, began: float, ended: float | None, record: str = "1", **more: str) -> dict:
    until = None if ended is None else at(ended)
    return {"unit_kind": "node", "unit": node, "began": at(began), "ended": until} | {
        "record": record,
        **more,
    }


def attempt(job: str, nodes: list[str], started: float, ended: float | None, **more) -> dict:
    until = None if ended is None else at(ended)
    held = {"job_id": job, "submitted": at(started - 1), "started": at(started), "ended": until}
    return {"state": "COMPLETED", "nodes": nodes, "node_count": len(nodes)} | held | more


def run_attempts(*attempts: dict) -> pl.DataFrame:
    return rows("run_attempts", *({"run": "r", "link": "alone"} | a for a in attempts))


def at_risk(
    nodes: pl.DataFrame,
    states: list[dict] = (),
    recorded: list[dict] = (),
    attempts: list[dict] = (),
    seen_through: Window | None = None,
) -> pl.DataFrame:
    """Exposure by way of the fleet, as the recipes run."""
    seen_through = seen_through or window()
    node_states, held = rows("node_states", *states), run_attempts(*attempts)
    made = fleet(
        seen_through, nodes=nodes, node_states=node_states, job_attempts=rows("job_attempts")
    )
    return exposure(
        seen_through,
        fleet=made["fleet"],
        node_states=node_states,
        outages=rows("outages", *recorded),
        run_attempts=held,
    )["exposure"]


def hours(frame: pl.DataFrame) -> dict[str, float]:
    return {c: frame[c].sum() / HOUR_MS for c in frame.columns if c.endswith("_ms")}


def test_worked_example_of_methods_t1(golden):
    """X1: 4 nodes for 168 h; one out for 10 h, one coming at hour 48, one leaving at hour 120."""
    nodes = inventory(
        {"node": "a"},
        {"node": "b"},
        {"node": "c", "valid_from": at(48)},
        {"node": "d", "valid_to": at(120)},
    )
    found = at_risk(nodes, [state("b", "DOWN", 20, 30, "XID 79")])
    assert hours(found)["in_service_ms"] == golden["X1_exposure"]["node_hours"]
    gpu_hours = hours(found)["in_service_ms"] * 8
    assert gpu_hours == golden["X1_exposure"]["gpu_hours"]
    assert hours(found)["gpu_capacity_ms"] == 576 * 8
    assert found.filter(node="c")["day"].min() == date(2026, 3, 4)


def test_an_instant_under_several_states_counts_once_under_the_worst():
    states = [
        state("a", "DRAIN", 0, 10, "firmware upgrade"),
        state("a", "DOWN*", 4, 6, "Not responding"),
        state("a", "DOWN*", 5, 7, "XID 79"),
        state("a", "UNKNOWN", 8, 14),
        state("a", "IDLE", 14, 20),
    ]
    found = hours(at_risk(inventory({"node": "a"}), states, [outage("a", 5.5, 6.5)]))
    assert found["down_ms"] == 3
    assert found["planned_down_ms"] == 7
    assert found["unobserved_ms"] == 4
    assert found["in_service_ms"] == 168 - 14


def test_a_draining_node_is_allocated_but_not_in_service():
    found = hours(
        at_risk(
            inventory({"node": "a"}),
            [state("a", "DRAINING", 2, 8, "GPU check")],
            attempts=[attempt("1", ["a"], 0, 5), attempt("2", ["a"], 4, 6)],
        )
    )
    assert found["allocated_ms"] == 6
    assert found["down_ms"] == 6


def test_what_is_open_lasts_until_the_last_observed_instant():
    seen = window(horizon=30)
    found = at_risk(
        inventory({"node": "a"}),
        [state("a", "DOWN", 20, None, "XID 79")],
        attempts=[attempt("1", ["a"], 10, None, state="RUNNING")],
        seen_through=seen,
    )
    assert found["day"].to_list() == [date(2026, 3, 2), date(2026, 3, 3)]
    assert hours(found) | {"gpu_capacity_ms": 0} == {
        "wall_ms": 30,
        "in_service_ms": 20,
        "allocated_ms": 20,
        "down_ms": 10,
        "planned_down_ms": 0,
        "unobserved_ms": 0,
        "gpu_capacity_ms": 0,
    }


def test_a_ticket_that_speaks_of_a_plan_is_planned():
    tickets = [outage("a", 0, 5, cause="scheduled maintenance"), outage("a", 9, 12, cause="DBE")]
    found = hours(at_risk(inventory({"node": "a"}), recorded=tickets))
    assert (found["planned_down_ms"], found["down_ms"]) == (5, 3)


def test_outages_of_other_things_take_no_node_out():
    switch = outage("a", 0, 5) | {"unit_kind": "switch"}
    assert hours(at_risk(inventory({"node": "a"}), recorded=[switch]))["down_ms"] == 0


def test_a_node_rebuilt_at_noon_has_one_row_and_both_capacities():
    nodes = inventory(
        {"node": "a", "gpus": 4, "rack": "r1", "valid_to": at(12)},
        {"node": "a", "gpus": 8, "rack": "r2", "valid_from": at(12)},
    )
    found = at_risk(nodes, seen_through=window(until=1))
    assert found.select("gpus", "rack", "gpu_capacity_ms").rows() == [
        (8, "r2", 12 * HOUR_MS * 4 + 12 * HOUR_MS * 8)
    ]


marks = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["DOWN", "DRAIN", "MAINT", "UNKNOWN", "IDLE"]),
        st.integers(-20, 80),
        st.integers(1, 60),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(marks, marks, st.randoms())
def test_days_do_not_depend_on_the_window_and_always_add_up(states, held, random):
    unique = {(n, b): state(n, s, b, b + d, "XID 79") for n, s, b, d, _ in states}
    states_given = list(unique.values())
    jobs = [attempt(str(k), [n], b, b + d) for k, (n, _, b, d, _) in enumerate(held)]
    nodes = inventory({"node": "a"}, {"node": "b", "valid_from": at(30)}, {"node": "c", "gpus": 0})
    seen = window(until=4, horizon=80)
    whole = at_risk(nodes, states_given, [], jobs, seen)
    parts = [
        at_risk(nodes, random.sample(states_given, len(unique)), [], random.sample(jobs, len(jobs)),
                window(day, day + 1, 80))
        for day in range(4)
    ]  # fmt: skip
    key = tables.BY_NAME["exposure"].key
    assert pl.concat(parts).sort(key).equals(whole)
    sums = whole["in_service_ms"] + whole["down_ms"] + whole["planned_down_ms"]
    assert (sums + whole["unobserved_ms"] == whole["wall_ms"]).all()
    assert (whole["allocated_ms"] <= whole["wall_ms"]).all()
    brute = sum(any(n == "a" and b <= h < b + d for n, _, b, d, _ in held) for h in range(80))
    assert whole.filter(node="a")["allocated_ms"].sum() == brute * HOUR_MS


# --- the fleet


def made_fleet(nodes=(), states=(), attempts=()) -> pl.DataFrame:
    return fleet(
        window(),
        nodes=inventory(*nodes),
        node_states=rows("node_states", *states),
        job_attempts=rows("job_attempts", *attempts),
    )["fleet"]


def test_a_node_that_only_the_scheduler_mentions_is_inferred():
    found = made_fleet(
        states=[state("b", "DOWN", 3, 4), state("", "UP", 0, 1)],
        attempts=[
            attempt("1", ["a", "b"], 5, 6, gpus=9),
            attempt("2", ["a"], 2, 3, gpus=4),
            attempt("3", ["c"], 9, 9) | {"started": None, "ended": None},
        ],
    )
    assert found.select("node", "gpus", "valid_from", "valid_to", "evidence").rows() == [
        ("a", 5, at(2), None, "inferred"),
        ("b", 5, at(3), None, "inferred"),
    ]


def test_an_inventory_row_without_cluster_finds_its_node():
    found = made_fleet([{"node": "a"}], [state("a", "DOWN", 3, 4) | {"cluster": "x"}])
    assert found.select("cluster", "node", "gpus", "evidence").rows() == [
        ("x", "a", 8, "inventory")
    ]


def test_records_without_cluster_find_the_only_node_of_their_name():
    nodes = [{"node": "a", "cluster": "x"}, {"node": "b", "cluster": "x"}]
    nodes += [{"node": "b", "cluster": "y"}]
    found = made_fleet(nodes, [state("a", "DOWN", 3, 4), state("b", "DOWN", 3, 4)])
    assert found.select("cluster", "node", "evidence").rows() == [
        ("", "b", "inferred"),
        ("x", "a", "inventory"),
        ("x", "b", "inventory"),
        ("y", "b", "inventory"),
    ]
    sent = pl.DataFrame({"cluster": ["", "", "z"], "node": ["a", "b", "a"]})
    assert place(sent, found)["cluster"].to_list() == ["x", "", "z"]


def test_a_later_inventory_row_closes_the_one_before():
    found = made_fleet([{"node": "a"}, {"node": "a", "valid_from": at(5), "gpus": 4}])
    assert found.select("valid_from", "valid_to", "gpus").rows() == [
        (START - 30 * DAY, at(5), 8),
        (at(5), None, 4),
    ]


# --- failures and repairs


def incident(id_: str, node: str, began: float, ended: float, **more) -> dict:
    plain = {"class": "GPU", "component": "lost", "severity": "S3", "definition": "coalesced-180s"}
    when = {"began": at(began), "ended": at(ended), "day": at(began).date()}
    return {"incident": id_, "node": node, "nodes": [node], "gpus": [], "root_code": 79} | (
        plain | when | {"counts": True} | more
    )


def test_failures_are_counted_on_the_day_and_node_of_their_root():
    incidents = rows(
        "incidents",
        incident("1", "a", 2, 50, nodes=["a", "b"]),
        incident("2", "a", 3, 3),
        incident("3", "a", 4, 4, counts=False),
        incident("4", "b", 200, 201),
        incident("5", "", 5, 5),
    )
    found = failures(window(), incidents=incidents, fleet=made_fleet([{"node": "a"}]))["failures"]
    assert found.select("day", "node", "failures").rows() == [
        (date(2026, 3, 2), "", 1),
        (date(2026, 3, 2), "a", 2),
    ]


def made_repairs(states=(), recorded=(), incidents=(), seen=None) -> pl.DataFrame:
    return repairs(
        seen or window(),
        fleet=made_fleet([{"node": "a"}, {"node": "b"}]),
        node_states=rows("node_states", *states),
        outages=rows("outages", *recorded),
        incidents=rows("incidents", *incidents),
    )["repairs"]


def test_a_spell_joins_what_kept_the_node_out_and_what_began_it_names_it():
    found = made_repairs(
        [
            state("a", "DOWN*", 2, 3, "Not responding"),
            state("a", "DRAIN", 3, 9, "firmware upgrade"),
            state("a", "UNKNOWN", 9, 10),
            state("b", "DRAIN", 30, 31, "firmware upgrade"),
            state("b", "DOWN", 31, None, "XID 79"),
        ],
        [outage("a", 8, 12), outage("a", 20, 20, "2")],
    )
    columns = ("node", "down_from", "up_again", "planned", "reason")
    assert found.select(columns).rows() == [
        ("a", at(2), at(12), False, "Not responding"),
        ("a", at(20), at(20), False, None),
        ("b", at(30), None, True, "firmware upgrade"),
    ]


@pytest.mark.parametrize(
    ("incidents", "named"),
    [
        ([("near", "a", 1.9, 1.9)], "near"),
        ([("just after", "a", 2.1, 3)], "just after"),
        ([("too early", "a", 1.5, 1.6)], None),
        ([("going on", "a", 0.5, 2.5)], "going on"),
        ([("elsewhere", "b", 2, 2)], None),
        ([("far", "a", 1.85, 2), ("nearer", "a", 2.02, 2.1)], "nearer"),
        ([("sign", "a", 2, 2, False), ("failure", "a", 1.9, 2)], "failure"),
    ],
)
def test_the_incident_that_began_a_spell_is_near_its_begin(incidents, named):
    given_rows = [incident(*i[:4], counts=(i[4] if len(i) > 4 else True)) for i in incidents]
    found = made_repairs([state("a", "DOWN", 2, 5, "XID 79")], incidents=given_rows)
    assert found["incident"].to_list() == [named]


def test_a_spell_belongs_to_the_day_it_began_whatever_the_window():
    states = [state("a", "DOWN", 20, 30), state("a", "DRAIN", 30, 60), state("b", "DOWN", 24, 24.5)]
    whole = made_repairs(states)
    parts = [made_repairs(states, seen=window(day, day + 1)) for day in range(7)]
    assert pl.concat(parts).equals(whole)
    assert whole["up_again"].to_list() == [at(60), at(24.5)]


@pytest.mark.parametrize(("days_later", "end"), [(92, 95), (93, 93)])
def test_records_far_behind_a_spells_first_day_no_longer_move_its_end(days_later, end):
    """The recipe reads no further, and a longer window must not know more."""
    states = [state("a", "DOWN", 12, 24 * days_later, "XID 79")]
    states += [state("a", "DRAIN", 24 * days_later, 24 * 95, "XID 79")]
    whole = made_repairs(states, seen=window(until=120, horizon=24 * 120))
    assert whole["up_again"].to_list() == [at(24 * end)]


def test_infinitehbd_under_both_definitions(shared_data):
    """400 servers x 348 days; 169 never fail and are known from the inventory alone.

    The trace counts its days from 1: its last event, at 348.98, lies on the 348th.
    """
    trace = json.loads((shared_data / "infinitehbd" / "fault_trace.json").read_text())
    begun, tickets = {}, []
    for event in trace:
        fault = (event["node_id"], event["fault_type"]["Desc"])
        if event["event_type"] == "fault_start":
            begun[fault] = event["event_time"] - 1
        else:
            hours_out = (begun.pop(fault) * 24, (event["event_time"] - 1) * 24)
            tickets.append(outage(fault[0], *hours_out, str(len(tickets)), cause=fault[1]))
    faulty = sorted({t["unit"] for t in tickets})
    servers = faulty + [f"silent-{k}" for k in range(400 - len(faulty))]
    seen = window(until=348, horizon=348 * 24)
    none = {name: tables.BY_NAME[name].empty() for name in tables.BY_NAME}
    nodes = inventory(*({"node": s, "valid_from": START} for s in servers))
    lake = none | {"nodes": nodes, "outages": rows("outages", *tickets)}
    for recipe in RECIPES:
        if recipe.makes[0].name != "gpu_time":
            lake = lake | recipe.by(
                seen, **{table.name: lake[table.name] for table in recipe.reads}
            )
    days = {clock: ms / 24 for clock, ms in hours(lake["exposure"]).items()}
    assert (len(tickets), len(faulty), len(lake["exposure"])) == (584, 231, 139_200)
    assert days["wall_ms"] == 139_200
    assert days["down_ms"] == pytest.approx(3_231.32, abs=0.005)
    assert days["in_service_ms"] / days["wall_ms"] == pytest.approx(0.97679, abs=5e-6)
    found = rates(lake["failures"], lake["exposure"]).filter(pl.col("class") == "all")
    mtbf_days = {
        (definition, clock): (failures, round(hours / 24, 2))
        for definition, clock, failures, hours in found.filter(pl.col("clock") != "allocated")
        .select("definition", "clock", "failures", "mtbf_hours")
        .iter_rows()
    }
    assert mtbf_days == {
        ("as-recorded", "wall"): (584, 238.36),
        ("as-recorded", "in_service"): (584, 232.82),
        ("coalesced-180s", "wall"): (577, 241.25),
        ("coalesced-180s", "in_service"): (577, 235.65),
    }
    # Two outages begin while another of their server lasts; an incident began every spell.
    assert lake["repairs"].height == 582
    assert lake["repairs"]["incident"].null_count() == 0
