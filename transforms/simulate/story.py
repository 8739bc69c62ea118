"""The true history of a scenario: training runs first, then research, then noise and early signs."""

from dataclasses import replace

from transforms.simulate.failures import World
from transforms.simulate.history import Attempt, History, Job, Task
from transforms.simulate.moments import DAY, HOUR, MINUTE, SECOND, stream, whole_second
from transforms.simulate.noise import add_noise, add_precursors
from transforms.simulate.research import Lane
from transforms.simulate.runs import TrainingRun
from transforms.simulate.scenario import Scenario

FIRST_JOB = 4101
HANDOVER = 10 * MINUTE


def make_history(scenario: Scenario) -> History:
    """Live through the whole window. Equal scenarios give equal histories."""
    world = World.begin(scenario)
    main = tuple(range(scenario.main_nodes))
    mid = tuple(range(scenario.main_nodes, scenario.main_nodes + scenario.mid_nodes))
    rest = tuple(range(scenario.main_nodes + scenario.mid_nodes, scenario.nodes))
    TrainingRun.of(world, scenario.main, main).live()
    _live_middle(world, mid)
    _live_research(world, rest)
    for node in (*main, *mid, *rest):
        world.settle(node, scenario.ends)
    _add_cpu_jobs(world.history)
    _number_jobs(world.history)
    add_noise(world.history)
    add_precursors(world.history)
    return world.history


def _live_middle(world: World, nodes: tuple[int, ...]) -> None:
    """Fine-tuning runs, with research on their nodes in between."""
    scenario, cursor = world.scenario, world.scenario.began + MINUTE
    for plan in scenario.mids:
        planned = scenario.began + plan.eligible
        begin = max(planned, cursor + 2 * HANDOVER)
        for node in nodes:
            Lane.of(world, (node,), cursor, begin - HANDOVER)
        cursor = TrainingRun.of(world, replace(plan, eligible=begin - scenario.began), nodes).live()
        cursor = whole_second(cursor + HANDOVER)
    for node in nodes:
        Lane.of(world, (node,), cursor, scenario.ends)


def _live_research(world: World, nodes: tuple[int, ...]) -> None:
    """Lanes of two nodes and of one; the first two nodes have a maintenance window."""
    scenario = world.scenario
    began = whole_second(scenario.began + scenario.days * DAY * 0.4)
    ended = began + 4 * HOUR
    reason = "firmware upgrade 2.14"
    world.plan_maintenance(nodes[0], began, ended, "DRAIN", reason)
    world.plan_maintenance(nodes[1], began, ended + 35 * MINUTE, "MAINT", reason)
    pairs = (len(nodes) - 1) // 4
    lanes = [nodes[2 * k : 2 * k + 2] for k in range(pairs)]
    lanes += [(node,) for node in nodes[2 * pairs :]]
    for lane in lanes:
        since = max(world.history.nodes[node].valid_from for node in lane)
        leaves = [world.history.nodes[node].valid_to or scenario.ends for node in lane]
        since, until = max(since, scenario.began) + MINUTE, min(leaves)
        if set(lane) & set(nodes[:2]):
            Lane.of(world, lane, since, began - 5 * MINUTE)
            Lane.of(world, lane, ended + 50 * MINUTE, until)
        else:
            Lane.of(world, lane, since, until)


def _add_cpu_jobs(history: History) -> None:
    """Jobs without GPUs, beside a job that holds all eight."""
    rng = stream(history.scenario.seed, "cpu jobs")
    hosts = [
        attempt
        for attempt in history.attempts()
        if attempt.log is None
        and attempt.state == "COMPLETED"
        and attempt.job.gpus == 8
        and attempt.ended
        and attempt.started
        and attempt.ended - attempt.started > 2 * HOUR
    ]
    for host in hosts[:: max(1, len(hosts) // max(4, history.scenario.days))]:
        assert host.started
        began = host.started + int(rng.integers(5, 30)) * MINUTE
        ended = began + int(rng.integers(10, 60)) * MINUTE + 7 * SECOND
        job = Job("preprocess", "fay", "data", "research", 0, 16, 4 * 3600)
        history.tasks.append(
            Task("", [Attempt(job, began, began, began, ended, "COMPLETED", "0:0", host.nodes)])
        )


def _number_jobs(history: History) -> None:
    """Scheduler ids in order of submission; a sweep's tasks share one array of up to six."""
    sweeps = [
        task.attempts[0]
        for task in history.tasks
        if task.attempts[0].job.array and len(task.attempts) == 1
    ]
    for task in history.tasks:
        if len(task.attempts) > 1:
            task.attempts[0].job.array = None
    sweeps.sort(key=lambda attempt: (attempt.started or 0, attempt.nodes))
    for place in range(0, len(sweeps), 6):
        group = sweeps[place : place + 6]
        submitted = min(attempt.submitted for attempt in group)
        for index, attempt in enumerate(group):
            attempt.submitted = submitted
            attempt.job.array = (f"sweep-{place}", index)
    firsts: dict[int, tuple[int, int, Job]] = {}
    for order, attempt in enumerate(history.attempts()):
        key = id(attempt.job)
        seen = firsts.get(key)
        submitted = min(attempt.submitted, seen[0]) if seen else attempt.submitted
        firsts[key] = (submitted, seen[1] if seen else order, attempt.job)
    in_order = sorted(firsts.values(), key=lambda found: found[:2])
    for number, (_, _, job) in enumerate(in_order):
        job.number = FIRST_JOB + number
        if job.array:
            history.array_ids.setdefault(job.array[0], job.number)
