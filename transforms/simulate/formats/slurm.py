"""Slurm's accounting: `sacct -P --duplicates` with job steps, and `sacctmgr -P show event`.

The accounting ends in a line that was torn while it was copied, and the events hold one whose
time cannot be read: both are planted rejects.
"""

from transforms.simulate.history import Attempt, History, Node
from transforms.simulate.moments import SECOND, slurm

COLUMNS = (
    *("JobID", "JobIDRaw", "Cluster", "JobName", "User", "Account", "Partition", "QOS", "Submit"),
    *("Eligible", "Start", "End", "ElapsedRaw", "State", "ExitCode", "DerivedExitCode", "NNodes"),
    *("NCPUS", "NodeList", "AllocTRES", "ReqTRES", "TimelimitRaw", "Reason", "Comment"),
)
EVENT_COLUMNS = ("Cluster", "NodeName", "TimeStart", "TimeEnd", "State", "Reason", "User")


def sacct(history: History) -> tuple[list[str], list[tuple[int, str]]]:
    """Lines, and the planted rejects as (line number, why)."""
    lines = ["|".join(COLUMNS)]
    attempts = sorted(
        history.attempts(), key=lambda a: (a.submitted, a.job.number, a.job.array or ("", 0))
    )
    for attempt in attempts:
        lines += _rows(history, attempt)
    torn = lines[-1][: len(lines[-1]) // 3]
    torn = torn[: torn.rindex("|")]
    return [*lines, torn], [(len(lines) + 1, "torn record")]


def _rows(history: History, attempt: Attempt) -> list[str]:
    """The job's record, then its steps: .batch, and for a training job .extern and .0."""
    job = attempt.job
    name, raw = _ids(history, attempt)
    count = len(attempt.nodes)
    ended = attempt.ended or history.scenario.ends
    elapsed = (ended - attempt.started) // SECOND if attempt.started is not None else 0
    wants = f"billing={job.cpus},cpu={job.cpus}"
    if job.gpus:
        wants += f",gres/gpu={job.gpus},gres/gpu:h100={job.gpus}"
    wants += f",mem={job.cpus * 16}G,node={count or -(-job.gpus // 8)}"
    start = slurm(attempt.started)
    common = {
        "Cluster": history.scenario.cluster,
        "Submit": slurm(attempt.submitted),
        "Eligible": slurm(attempt.eligible),
        "Start": start,
        "End": slurm(attempt.ended),
        "ElapsedRaw": elapsed,
        "State": attempt.state,
        "ExitCode": attempt.exit_code,
        "NNodes": count or -(-job.gpus // 8),
        "NCPUS": job.cpus,
        "NodeList": bracketed(history.nodes, attempt.nodes) or "None assigned",
        "AllocTRES": wants if attempt.started is not None else "",
    }
    record = {
        **common,
        "JobID": name,
        "JobIDRaw": raw,
        "JobName": job.name,
        "User": job.user,
        "Account": job.account,
        "Partition": job.partition,
        "QOS": "normal",
        "DerivedExitCode": "0:0",
        "ReqTRES": wants,
        "TimelimitRaw": job.limit_s // 60,
        "Reason": attempt.reason,
        "Comment": f"run={job.run}" if job.run else "",
    }
    rows = [record]
    if attempt.started is not None:
        state = attempt.state.split()[0]
        step_state = {"NODE_FAIL": "CANCELLED", "TIMEOUT": "CANCELLED"}.get(state, state)
        steps = (("batch", step_state), ("extern", "COMPLETED"), ("0", step_state))
        for step, said in steps if attempt.log else steps[:1]:
            if state == "RUNNING":
                said = "RUNNING"
            rows.append(
                {
                    **common,
                    "JobID": f"{name}.{step}",
                    "JobIDRaw": f"{raw}.{step}",
                    "JobName": step if step != "0" else "python3",
                    "Submit": start,
                    "Eligible": start,
                    "State": said,
                }
            )
    return ["|".join(str(row.get(column, "")) for column in COLUMNS) for row in rows]


def _ids(history: History, attempt: Attempt) -> tuple[str, str]:
    """JobID and JobIDRaw: an array's tasks share the id of its first task."""
    job = attempt.job
    if not job.array:
        return str(job.number), str(job.number)
    return job_id(history, attempt), str(job.number)


def job_id(history: History, attempt: Attempt) -> str:
    """The id as accounting shows it: 4711, or 4711_3 for a task of an array."""
    if not attempt.job.array:
        return str(attempt.job.number)
    return f"{history.array_ids[attempt.job.array[0]]}_{attempt.job.array[1]}"


def bracketed(nodes: list[Node], numbers: tuple[int, ...]) -> str:
    """node-[0001-0007,0009]: host names as Slurm folds them."""
    if len(numbers) < 2:
        return "".join(nodes[number].name for number in numbers)
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    stem = nodes[numbers[0]].name.rsplit("-", 1)[0]
    ends = [(nodes[a].name.rsplit("-", 1)[1], nodes[b].name.rsplit("-", 1)[1]) for a, b in spans]
    return f"{stem}-[{','.join(a if a == b else f'{a}-{b}' for a, b in ends)}]"


def events(history: History) -> tuple[list[str], list[tuple[int, str]]]:
    """Lines, and the planted rejects as (line number, why)."""
    scenario = history.scenario
    lines = ["|".join(EVENT_COLUMNS)]
    registered = slurm(scenario.began)
    lines.append(f"{scenario.cluster}||{registered}|Unknown||Cluster Registered TRES|")
    spells = sorted(history.spells, key=lambda spell: (spell.node, spell.began))
    for spell in spells:
        lines.append(
            "|".join(
                (
                    scenario.cluster,
                    history.nodes[spell.node].name,
                    slurm(spell.began),
                    slurm(spell.ended),
                    spell.state,
                    spell.reason,
                    spell.user,
                )
            )
        )
    place = len(lines) // 2
    node = history.nodes[0].name
    lines.insert(
        place, f"{scenario.cluster}|{node}|2026-02-30T25:61:00|Unknown|DRAIN|clock test|ops(1100)"
    )
    return lines, [(place + 1, "unreadable time")]
