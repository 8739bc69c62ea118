"""The derived room: what we concluded. Counts and exposures only; ratios are made when asked."""

import dataframely as dy

from transforms.contract import Table, instant

DAY = "UTC day"
GPU_MS = "GPU-milliseconds"

CLASSES = (
    "GPU",
    "NVLink",
    "PCIe",
    "Host",
    "Network",
    "Storage",
    "Facility",
    "Software (system)",
    "Software (user)",
    "Human",
    "Planned",
    "Unknown",
)
"""First level of methods 2.2."""

LEAVES = (
    # not allocated
    "idle",
    "queue_wait",
    "repair_wait",
    "spare",
    "down",
    "maintenance",
    "unobserved",
    # allocated
    "init",
    "restore",
    "data_stall",
    "ckpt_stall",
    "eval_or_custom",
    "ideal",
    "slow",
    "step_lost",
    "hang",
    "decide",
    "drain_idle",
    "not_measured",
    "unknown",
)
"""Leaves of the GPU-time tree (methods 4.2). step_kept = ideal + slow. `down`, `maintenance` and
`unobserved` are nodes out of service with no run waiting for them; `not_measured` is a job that
never logs steps; `drain_idle` is held after training ended, or, where no log tells, while samples show
the GPUs idle; `unknown` is allocated time of a logging run with no evidence."""


EVIDENCE = ("none", "scheduler", "node_states", "marks", "steps", "checkpoints", "telemetry")
"""What put GPU time into its leaf, from the least telling on (methods G-10, G-11)."""


class Fleet(dy.Schema):
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    node = dy.String(primary_key=True, description="host name")
    valid_from = instant("commissioned", key=True)
    valid_to = instant("decommissioned; null while in the fleet", nullable=True)
    gpus = dy.UInt16(description="GPUs installed")
    gpu_model = dy.String(nullable=True, description="model")
    provider = dy.String(nullable=True, description="who operates it")
    hall = dy.String(nullable=True, description="data hall")
    rack = dy.String(nullable=True, description="rack")
    pdu = dy.String(nullable=True, description="power distribution unit")
    leaf_switch = dy.String(nullable=True, description="first-hop switch")
    nvlink_domain = dy.String(nullable=True, description="NVLink domain")
    cooling_loop = dy.String(nullable=True, description="cooling loop")
    evidence = dy.Enum(
        ("inventory", "inferred"), description="inventory file, or inferred from scheduler records"
    )


class RunAttempts(dy.Schema):
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    job_id = dy.String(
        primary_key=True, description="scheduler job; of a heterogeneous one its leader's id"
    )
    submitted = instant("submission that began this attempt", key=True)
    run = dy.String(description="logical run this attempt belongs to")
    link = dy.Enum(
        ("explicit", "train_log", "requeue", "time_limit", "resubmission", "alone"),
        description="how the run is known, best first (methods T-3): named by the job; by its log; one job id; a job with the same name after a time limit; after another stop; nothing else belongs to it",
    )
    name = dy.String(nullable=True, description="job name")
    user = dy.String(nullable=True, description="user")
    account = dy.String(nullable=True, description="account")
    partition = dy.String(nullable=True, description="partition")
    eligible = instant("could have started from", nullable=True)
    started = instant("allocation began", nullable=True)
    ended = instant("allocation ended; null while running", nullable=True)
    state = dy.String(description="base state")
    exit_code = dy.Int32(nullable=True, description="exit code")
    signal = dy.Int32(nullable=True, description="signal")
    nodes = dy.List(dy.String(), nullable=True, description="allocated hosts")
    node_count = dy.UInt32(description="nodes allocated")
    gpus = dy.UInt32(description="GPUs allocated (0 when the records name none)")
    logs_steps = dy.Bool(description="a training log of this attempt was seen")


class Incidents(dy.Schema):
    incident = dy.String(primary_key=True, description="id: hash of its first event's key")
    day = dy.Date(description="UTC day it began")
    cluster = dy.String(description="scheduler cluster")
    began = instant("first event")
    ended = instant("last event, or end of the outage")
    node = dy.String(description="node of the root event ('' if none)")
    device = dy.String(description="device of the root event ('' if none)")
    nodes = dy.List(dy.String(), description="every node touched, sorted")
    gpus = dy.List(
        dy.String(), description="every GPU touched (uuid if known, else node/pci), sorted"
    )
    klass = dy.Enum(CLASSES, alias="class", description="L1 class, methods 2.2")
    component = dy.String(description="L2 class, methods 2.2")
    root_kind = dy.String(description="kind of the root event: a kernel kind, node_state or outage")
    root_code = dy.Int32(description="Xid or SXid of the root event; 0 if none")
    severity = dy.Enum(("S1", "S2", "S3", "S4", "S5"), description="methods 2.10")
    confidence = dy.Float64(description="how sure the class is, 0..1")
    events = dy.UInt32(description="raw events folded in")
    definition = dy.Enum(
        ("coalesced-180s", "as-recorded"),
        description="failure definition (methods R-15): coalesced by 180 s of silence, or each recorded outage by itself",
    )
    counts = dy.Bool(
        description="enters failure counts (its code's rule, after corroboration by an interruption)"
    )
    interrupts = dy.UInt32(description="interruptions attributed to it")


class IncidentMembers(dy.Schema):
    incident = dy.String(primary_key=True, description="incident it was folded into")
    day = dy.Date(description="UTC day the incident began")
    source_table = dy.Enum(
        (
            *("kernel_events", "bmc_events", "cluster_events", "node_states", "outages"),
            *("sample_signals", "silences"),
        ),
        primary_key=True,
        description="table of the raw event; of signs out of samples a derived one, and no file",
    )
    observed_at = instant("its time", key=True)
    node = dy.String(primary_key=True, description="its node")
    kind = dy.String(primary_key=True, description="its kind")
    code = dy.Int32(primary_key=True, description="its code")
    device = dy.String(primary_key=True, description="its device")
    file = dy.String(primary_key=True, description="raw file")
    line_no = dy.UInt32(primary_key=True, description="line in it")
    role = dy.Enum(
        ("root", "effect", "witness"),
        description="root cause; consequence; repeat of the same error",
    )


class Interruptions(dy.Schema):
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    run = dy.String(primary_key=True, description="run that stopped making progress")
    failed_at = instant(
        "last progress: end of the last completed step, else the attempt's end", key=True
    )
    day = dy.Date(description="UTC day of failed_at")
    job_id = dy.String(description="scheduler job of the attempt that ended")
    submitted = instant("its submission")
    state = dy.String(description="its final state")
    detected_at = instant(
        "somebody or something noticed (mark in the training log, else attempt end)"
    )
    decided_at = instant("acted upon: the attempt ended")
    allocated_at = instant("next attempt's allocation; null if none", nullable=True)
    started_at = instant("next attempt's training process began", nullable=True)
    restored_at = instant("checkpoint loaded", nullable=True)
    resumed_at = instant("first new step began; null if it never did", nullable=True)
    planned = dy.Bool(description="ended on purpose: time limit, cancel, preemption, code change")
    cause = dy.Enum(CLASSES, description="L1 class of the cause")
    component = dy.String(description="L2 class of the cause")
    incident = dy.String(
        nullable=True, description="incident that explains it; null when none does"
    )
    co_causes = dy.List(
        dy.String(), description="other incidents in the attribution window, best first"
    )
    second_order_of = dy.String(
        nullable=True,
        description="preempted for a run that came back from a failure: the incident behind that, '' if none is known; null for all others (methods G-9)",
    )
    confidence = dy.Float64(description="how sure the attribution is, 0..1")
    nodes = dy.UInt32(description="nodes of the attempt")
    gpus = dy.UInt32(description="GPUs of the attempt")
    lost_from_step = dy.Int64(
        nullable=True,
        description="first step of the next attempt: this one's steps from it on were lost",
    )


class Exposure(dy.Schema):
    day = dy.Date(primary_key=True, description=DAY)
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    node = dy.String(primary_key=True, description="host name")
    gpus = dy.UInt16(description="GPUs installed")
    provider = dy.String(nullable=True, description="who operates it")
    hall = dy.String(nullable=True, description="data hall")
    rack = dy.String(nullable=True, description="rack")
    wall_ms = dy.Int64(description="commissioned (ms): the wall clock")
    in_service_ms = dy.Int64(
        description="commissioned and not in an excluded state (ms): the in-service clock, methods T-1"
    )
    allocated_ms = dy.Int64(description="held by at least one job (ms): the allocated clock")
    down_ms = dy.Int64(description="out of service unplanned (ms)")
    planned_down_ms = dy.Int64(description="out of service planned (ms)")
    unobserved_ms = dy.Int64(
        description="state unknown (ms); wall = in_service + down + planned_down + unobserved"
    )
    gpu_capacity_ms = dy.Int64(description="gpus x wall_ms (GPU-ms)")


class Failures(dy.Schema):
    day = dy.Date(primary_key=True, description="UTC day the incident began")
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    node = dy.String(primary_key=True, description="root node")
    klass = dy.Enum(CLASSES, primary_key=True, alias="class", description="L1 class")
    component = dy.String(primary_key=True, description="L2 class")
    definition = dy.Enum(
        ("coalesced-180s", "as-recorded"), primary_key=True, description="failure definition id"
    )
    failures = dy.UInt32(description="incidents that count; additive")


class Repairs(dy.Schema):
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    node = dy.String(primary_key=True, description="host name")
    down_from = instant("out of service since (union of overlapping states and outages)", key=True)
    day = dy.Date(description="UTC day of down_from")
    up_again = instant("back in service; null while open (right-censored)", nullable=True)
    planned = dy.Bool(description="maintenance rather than failure")
    reason = dy.String(nullable=True, description="first reason given")
    incident = dy.String(nullable=True, description="incident that began it, if any")


class Sensitivity(dy.Schema):
    day = dy.Date(primary_key=True, description=DAY)
    gap_s = dy.Int32(primary_key=True, description="silence that ends a burst (s)")
    incidents = dy.UInt32(description="incidents that began that day under this gap")


VERDICTS = ("xid", "catalogue", "text", "unclassified")


class ReportVerdicts(dy.Schema):
    day = dy.Date(primary_key=True, description=DAY)
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    reporter = dy.String(
        primary_key=True, description="who reported; `scheduler` for reasons of node_states"
    )
    reason = dy.String(
        primary_key=True, description="machine word of the reports, or the scheduler's free text"
    )
    how = dy.Enum(
        VERDICTS,
        primary_key=True,
        description="what read them: the Xid named, the catalogue of words, the table of free text, or nothing",
    )
    events = dy.UInt32(description="reports first seen that day")
    warnings = dy.UInt32(description="of them more than information")


class GpuTime(dy.Schema):
    day = dy.Date(primary_key=True, description=DAY)
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    run = dy.String(
        primary_key=True, description="run that held or waited for the GPUs; '' if none"
    )
    leaf = dy.Enum(LEAVES, primary_key=True, description="what the time was, methods 4.2")
    cause = dy.String(
        primary_key=True,
        description="class that owns the loss; '' where none does; insurance for checkpoint stalls; start-up for a run's first start; second-order for a run preempted because another one failed; over-eviction for GPUs taken out with those that failed; elastic for what a step costs more on fewer GPUs",
    )
    incident = dy.String(
        primary_key=True, description="incident that owns the loss; '' where none does"
    )
    evidence = dy.Enum(
        EVIDENCE,
        primary_key=True,
        description="records that put the time into its leaf; telemetry: GPUs seen idle in their own samples, whatever the leaf; none: allocated to a run that logs, and nothing says for what",
    )
    provisional = dy.Bool(
        primary_key=True, description="kept steps after the last durable checkpoint of a live run"
    )
    provider = dy.String(
        primary_key=True,
        description="who operates the GPUs, as the inventory said then; '' where not told",
    )
    hall = dy.String(
        primary_key=True,
        description="data hall that the GPUs stood in, as the inventory said then; '' where not told",
    )
    gpu_ms = dy.Int64(
        description="GPU-milliseconds; a day's rows sum to the fleet's capacity, those of a hall to the hall's"
    )


class RunTime(dy.Schema):
    day = dy.Date(primary_key=True, description=DAY)
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    run = dy.String(primary_key=True, description="run")
    leaf = dy.Enum(LEAVES, primary_key=True, description="what the time was, methods 4.2")
    cause = dy.String(primary_key=True, description="as in gpu_time")
    incident = dy.String(primary_key=True, description="as in gpu_time")
    evidence = dy.Enum(EVIDENCE, primary_key=True, description="as in gpu_time")
    provisional = dy.Bool(primary_key=True, description="as in gpu_time")
    gpu_ms = dy.Int64(
        description="GPU-milliseconds from first eligible to last end; waits count the GPUs asked for, whoever used them meanwhile"
    )


class RunHours(dy.Schema):
    day = dy.Date(description=DAY)
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    run = dy.String(primary_key=True, description="run that logs steps")
    hour = instant("begin of the hour (UTC)", key=True)
    wall_gpu_ms = dy.Int64(description="its GPU time in that hour (GPU-ms), waits included")
    queue_wait_gpu_ms = dy.Int64(description="of it, waits in a queue (GPU-ms)")
    kept_gpu_ms = dy.Int64(description="of it, steps that still count (GPU-ms)")


class GpuUse(dy.Schema):
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    job_id = dy.String(primary_key=True, description="scheduler job")
    submitted = instant("submission that began this attempt", key=True)
    began = instant("a process of it started", key=True)
    forgotten = instant("always null: what is said at a start holds", nullable=True)
    use = dy.Int64(description="GPUs that it trains on from then")
    most = dy.Int64(description="most that the attempt has trained on so far")
    held = dy.Int64(description="GPUs allocated")


class FirstSteps(dy.Schema):
    day = dy.Date(primary_key=True, description=DAY)
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    run = dy.String(primary_key=True, description="run")
    gpus = dy.Int64(primary_key=True, description="GPUs that it trained on")
    batch_tokens = dy.Int64(
        primary_key=True,
        description="tokens of a step, rounded to an eighth of an octave; 0 when not told",
    )
    nth = dy.Int64(primary_key=True, description="place of the step in that day, from 0")
    took_ms = dy.Int64(description="its length (ms)")
    tokens = dy.Int64(nullable=True, description="its tokens; null when not told")


class IdealSteps(dy.Schema):
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    run = dy.String(primary_key=True, description="run")
    gpus = dy.Int64(primary_key=True, description="GPUs that it trained on")
    batch_tokens = dy.Int64(primary_key=True, description="as in first_steps")
    began = instant("midnight (UTC) before its first step")
    forgotten = instant("always null: the ideal is frozen", nullable=True)
    steps = dy.Int64(description="first steps that it rests on, 200 at most")
    tokens = dy.Int64(nullable=True, description="their mean of tokens; null when not told")
    ideal_ms = dy.Int64(description="their 10th percentile (ms): what a step ideally takes")


class RunTokens(dy.Schema):
    day = dy.Date(primary_key=True, description="UTC day on which the steps began")
    cluster = dy.String(primary_key=True, description="scheduler cluster")
    run = dy.String(primary_key=True, description="run")
    gpu_model = dy.String(
        primary_key=True,
        description="model of the GPUs of the allocation, as the inventory knows it; several joined by +; '' if unknown",
    )
    steps = dy.Int64(description="kept steps")
    told_steps = dy.Int64(description="of them, steps whose log tells their tokens")
    tokens = dy.Int64(description="tokens of those; steps that were lost do not count")
    kept_gpu_ms = dy.Int64(description="GPU time of kept steps on that day (GPU-ms): ideal + slow")


def _derived(
    schema: type[dy.Schema], name: str, grain: str, day: str | None, **more: object
) -> Table:
    return Table(schema=schema, name=name, room="derived", grain=grain, day=day, **more)  # type: ignore[arg-type]


FLEET = _derived(
    Fleet,
    "fleet",
    "node and validity interval, from inventory or inferred",
    None,
    interval=("valid_from", "valid_to"),
)
RUN_ATTEMPTS = _derived(
    RunAttempts,
    "run_attempts",
    "job attempt with the run it belongs to",
    "submitted",
    interval=("submitted", "ended"),
)
INCIDENTS = _derived(Incidents, "incidents", "presumed single cause", "day")
INCIDENT_MEMBERS = _derived(
    IncidentMembers, "incident_members", "raw event and the incident it was folded into", "day"
)
INTERRUPTIONS = _derived(Interruptions, "interruptions", "run and loss of progress", "day")
GPU_USE = _derived(
    GpuUse,
    "gpu_use",
    "start of a process, of attempts that do not always train on all their GPUs",
    "began",
    interval=("began", "forgotten"),
)
FIRST_STEPS = _derived(
    FirstSteps,
    "first_steps",
    "day, run, GPUs and batch size that is new or comes again, and its first 200 steps",
    "day",
)
IDEAL_STEPS = _derived(
    IdealSteps,
    "ideal_steps",
    "run, GPUs and batch size: the ideal step time that the ledger goes by",
    "began",
    interval=("began", "forgotten"),
)
EXPOSURE = _derived(Exposure, "exposure", "node and UTC day on which it was commissioned", "day")
FAILURES = _derived(
    Failures, "failures", "day, node, class and definition with at least one failure", "day"
)
REPAIRS = _derived(Repairs, "repairs", "node and spell out of service", "day")
SENSITIVITY = _derived(Sensitivity, "sensitivity", "day and coalescing gap", "day")
REPORT_VERDICTS = _derived(
    ReportVerdicts,
    "report_verdicts",
    "day, reporter, reason (of cluster_events, or a scheduler's for a node) and how they were read",
    "day",
)
GPU_TIME = _derived(
    GpuTime,
    "gpu_time",
    "day, run, leaf, cause, incident, evidence, provider and hall of the fleet's GPU time",
    "day",
)
RUN_TIME = _derived(
    RunTime,
    "run_time",
    "day, run, leaf, cause, incident and evidence of one run's own GPU time",
    "day",
)
RUN_HOURS = _derived(RunHours, "run_hours", "run and hour of its GPU time", "day")
RUN_TOKENS = _derived(
    RunTokens, "run_tokens", "day, run and GPU model with kept steps: their tokens", "day"
)

ALL = (
    FLEET,
    RUN_ATTEMPTS,
    GPU_USE,
    FIRST_STEPS,
    IDEAL_STEPS,
    INCIDENTS,
    INCIDENT_MEMBERS,
    INTERRUPTIONS,
    EXPOSURE,
    FAILURES,
    REPAIRS,
    SENSITIVITY,
    REPORT_VERDICTS,
    GPU_TIME,
    RUN_TIME,
    RUN_HOURS,
    RUN_TOKENS,
)
