"""The truth beside the records: what was planted, and the simulator's own account of it, as CSV."""

import json
from collections import Counter

from transforms.simulate.accounting import Account, Key, account_runs
from transforms.simulate.formats.packing import csv
from transforms.simulate.formats.slurm import job_id
from transforms.simulate.history import History, Interruption
from transforms.simulate.moments import DAY, iso
from transforms.simulate.nodes_account import Clocks, account_nodes

TIME_COLUMNS = ("day", "run", "leaf", "cause", "provisional", "gpu_ms")
KEPT = ("ideal", "slow")


def truth(history: History, rejects: list[tuple[str, int, str]]) -> dict[str, list[str]]:
    """File name to lines, for every file of truth/."""
    account = account_runs(history)
    clocks = account_nodes(history, account)
    return {
        "incidents.csv": _incidents(history),
        "interruptions.csv": _interruptions(history, account),
        "gpu_time.csv": _time(account.gpu_time),
        "run_time.csv": _time(account.run_time),
        "exposure.csv": _exposure(history, clocks),
        "rates.csv": _rates(history, clocks),
        "rejects.csv": csv(("file", "line_no", "why"), sorted(rejects)),
        "precursors.csv": _precursors(history),
        "summary.json": json.dumps(_summary(history, account, clocks), indent=2).splitlines(),
    }


def _time(sums: Counter[Key]) -> list[str]:
    return csv(TIME_COLUMNS, ((*key, ms) for key, ms in sorted(sums.items()) if ms))


def _incidents(history: History) -> list[str]:
    """Planted failures in order of time, numbered as interruptions.csv and precursors.csv do."""
    header = (
        *("incident", "began", "class", "mode", "node", "nodes", "gpu_uuid", "root_code"),
        *("planted_by", "interrupted"),
    )
    return csv(
        header,
        (
            (
                i.number,
                iso(i.began),
                i.mode.klass,
                i.mode.name,
                history.nodes[i.nodes[0]].name,
                ";".join(history.nodes[node].name for node in i.nodes),
                history.gpu_in(i.nodes[0], i.slot, i.began).uuid if i.slot is not None else None,
                i.mode.root_code,
                i.planted_by,
                ";".join(i.interrupted),
            )
            for i in sorted(history.incidents, key=lambda i: (i.began, i.number))
        ),
    )


def _interruptions(history: History, account: Account) -> list[str]:
    header = (
        *("run", "job_id", "submitted", "state", "failed_at", "detected_at", "decided_at"),
        *("allocated_at", "started_at", "restored_at", "resumed_at", "planned", "class", "cause"),
        *("incident", "node", "gpus", "lost_from_step", "cost_gpu_ms"),
    )
    rows = []
    for task in history.tasks:
        for attempt, stop in zip(task.attempts, task.interruptions, strict=False):
            if stop:
                run = task.name or job_id(history, task.attempts[0])
                node = history.nodes[stop.incident.nodes[0]].name if stop.incident else None
                rows.append(
                    (
                        run,
                        job_id(history, attempt),
                        iso(attempt.submitted),
                        stop.state,
                        *_instants(stop),
                        stop.planned,
                        stop.klass,
                        stop.cause,
                        stop.incident.number if stop.incident else None,
                        node,
                        stop.gpus,
                        stop.lost_from_step,
                        account.cost[id(stop)],
                    )
                )
    return csv(header, sorted(rows, key=lambda row: (row[4], row[0])))


def _instants(stop: Interruption) -> list[str]:
    return [
        iso(moment)
        for moment in (
            stop.failed_at,
            stop.detected_at,
            stop.decided_at,
            stop.allocated_at,
            stop.started_at,
            stop.restored_at,
            stop.resumed_at,
        )
    ]


def _exposure(history: History, clocks: dict[tuple[str, int], Clocks]) -> list[str]:
    header = (
        *("day", "node", "wall_ms", "in_service_ms", "allocated_ms", "down_ms"),
        *("planned_down_ms", "unobserved_ms", "gpu_capacity_ms"),
    )
    gpus = history.scenario.gpus_per_node
    return csv(
        header,
        (
            (
                day,
                history.nodes[node].name,
                c.wall,
                c.in_service,
                c.allocated,
                c.down,
                c.planned,
                c.unknown,
                c.wall * gpus,
            )
            for (day, node), c in sorted(clocks.items())
        ),
    )


def _rates(history: History, clocks: dict[tuple[str, int], Clocks]) -> list[str]:
    """Per class: the ordinary node's rate, the fleet's with its lemon, and what chance planted."""
    scenario = history.scenario
    service: Counter[int] = Counter()
    for (_, node), clock in clocks.items():
        service[node] += clock.in_service
    days = sum(service.values()) / DAY
    lemon_days = service[scenario.lemon - 1] / DAY
    weighted = days + lemon_days * (scenario.lemon_factor - 1)
    rates = {mode.klass: 0.0 for mode in scenario.modes} | {"Facility": 0.0}
    for mode in scenario.modes:
        rates[mode.klass] += mode.per_1000_node_days
    chance = Counter(i.mode.klass for i in history.incidents if i.planted_by == "chance")
    planned = Counter(i.mode.klass for i in history.incidents if i.planted_by == "plan")
    header = (
        *("class", "per_1000_node_days", "fleet_per_1000_node_days", "in_service_node_days"),
        *("by_chance", "by_plan"),
    )
    return csv(
        header,
        (
            (
                klass,
                f"{rates[klass]:.6f}",
                f"{rates[klass] * weighted / days:.6f}",
                f"{days:.6f}",
                chance[klass],
                planned[klass],
            )
            for klass in sorted(rates)
        ),
    )


def _precursors(history: History) -> list[str]:
    return csv(
        ("incident", "node", "slot", "gpu_uuid", "sign", "began"),
        (
            (
                p.incident,
                history.nodes[p.node].name,
                p.slot,
                history.gpu_in(p.node, p.slot, p.began).uuid,
                p.sign,
                iso(p.began),
            )
            for p in sorted(history.precursors, key=lambda p: (p.began, p.incident, p.sign))
        ),
    )


def _summary(
    history: History, account: Account, clocks: dict[tuple[str, int], Clocks]
) -> dict[str, object]:
    """The few numbers that a reader of the report would check first."""
    main = history.scenario.main.run
    leaves: Counter[str] = Counter()
    for (_, run, leaf, _, _), ms in account.run_time.items():
        if run == main:
            leaves[leaf] += ms
    fleet: Counter[str] = Counter()
    for (_, _, leaf, _, _), ms in account.gpu_time.items():
        fleet[leaf] += ms
    kept, total = sum(leaves[leaf] for leaf in KEPT), sum(leaves.values())
    stops = [stop for task in history.tasks for stop in task.interruptions if stop]
    of_main = [stop for stop in stops if stop.run == main]
    hour = 3_600_000
    capacity = history.scenario.gpus_per_node * sum(clock.wall for clock in clocks.values())
    return {
        "horizon": iso(history.scenario.ends),
        "run": main,
        "run_gpu_ms": total,
        "kept_gpu_ms": kept,
        "ettr": round(kept / total, 9) if total else None,
        "run_leaves_gpu_ms": dict(sorted(leaves.items())),
        "lost_gpu_hours": round((total - kept) / hour, 6),
        "fleet_capacity_gpu_ms": capacity,
        "fleet_leaves_gpu_ms": dict(sorted(fleet.items())),
        "fleet_goodput": round(fleet["ideal"] / capacity, 9),
        "unplanned_interruptions": sum(not stop.planned for stop in of_main),
        "planned_interruptions": sum(stop.planned for stop in of_main),
        "incidents": dict(sorted(Counter(i.mode.klass for i in history.incidents).items())),
        "attempts": dict(sorted(Counter(a.state.split()[0] for a in history.attempts()).items())),
    }
