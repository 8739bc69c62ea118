"""The observed room: what each source said, typed, in UTC, with the file and line it came from.

`cluster` is '' where the source does not name it; derivation then takes the lake's only named
cluster. `repeat` numbers identical records inside one file, so that six equal log lines stay six
while the same lines in another file fold away.
"""

import dataframely as dy
import polars as pl

from transforms.contract import Table, instant

CLUSTER = "scheduler cluster; '' where the source does not name it"
FILE = "file that said so, as its arrival is named"
LINE = "1-based line or record in that file"


class _Sourced(dy.Schema):
    file = dy.String(description=FILE)
    line_no = dy.UInt32(description=LINE)


class Nodes(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="host name, as the scheduler spells it")
    valid_from = instant("in the fleet since", key=True)
    valid_to = instant("in the fleet until; null while it still is", nullable=True)
    gpus = dy.UInt16(description="GPUs installed")
    gpu_model = dy.String(nullable=True, description="model name")
    provider = dy.String(nullable=True, description="who operates it")
    hall = dy.String(nullable=True, description="data hall")
    rack = dy.String(nullable=True, description="rack")
    pdu = dy.String(nullable=True, description="power distribution unit")
    leaf_switch = dy.String(nullable=True, description="first-hop fabric switch")
    nvlink_domain = dy.String(nullable=True, description="NVLink domain; the node itself on HGX")
    cooling_loop = dy.String(nullable=True, description="cooling loop")
    removal_reason = dy.String(nullable=True, description="why valid_to")

    @dy.rule()
    def valid_to_not_before_valid_from(cls) -> pl.Expr:
        return pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from"))


class Gpus(_Sourced):
    serial = dy.String(
        primary_key=True, description="board serial, or the uuid where none is known"
    )
    valid_from = instant("in this slot since", key=True)
    valid_to = instant("in this slot until; null while it still is", nullable=True)
    uuid = dy.String(nullable=True, description="GPU-xxxxxxxx-...")
    pci = dy.String(nullable=True, description="bus address, dddd:bb:dd lower case")
    cluster = dy.String(description=CLUSTER)
    node = dy.String(description="host name")
    slot = dy.UInt16(nullable=True, description="index on the node")
    model = dy.String(nullable=True, description="model name")
    removal_reason = dy.String(nullable=True, description="why valid_to")


class JobAttempts(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    job_id = dy.String(
        primary_key=True,
        description="scheduler id; array tasks as 12_3, heterogeneous parts as 12+1",
    )
    submitted = instant("submitted or requeued at: tells attempts of one job id apart", key=True)
    run = dy.String(nullable=True, description="explicit run id (run=NAME in the job comment)")
    name = dy.String(nullable=True, description="job name")
    user = dy.String(nullable=True, description="user")
    account = dy.String(nullable=True, description="account")
    partition = dy.String(nullable=True, description="partition")
    qos = dy.String(nullable=True, description="quality of service")
    eligible = instant("could have started from", nullable=True)
    started = instant("allocation began; null if it never did", nullable=True)
    ended = instant("allocation ended; null while it runs", nullable=True)
    state = dy.String(description="base state, e.g. NODE_FAIL or CANCELLED")
    cancelled_by = dy.String(
        nullable=True,
        description="who cancelled: the uid of `CANCELLED by uid`, or the user where the source names one",
    )
    exit_code = dy.Int32(nullable=True, description="exit code")
    signal = dy.Int32(nullable=True, description="signal")
    nodes = dy.List(
        dy.String(),
        nullable=True,
        description="allocated hosts; null when none assigned or not told",
    )
    node_count = dy.UInt32(nullable=True, description="nodes allocated")
    cpus = dy.UInt32(nullable=True, description="CPUs allocated")
    gpus = dy.UInt32(
        nullable=True, description="GPUs allocated; 0 when the TRES names none, null when not told"
    )
    reason = dy.String(nullable=True, description="scheduler's reason text")
    time_limit_s = dy.Int64(nullable=True, description="time limit (s)")

    @dy.rule()
    def ended_not_before_started(cls) -> pl.Expr:
        return (pl.col("ended") >= pl.col("started")).fill_null(True)


class NodeStates(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="host name")
    began = instant("state since", key=True)
    state = dy.String(
        primary_key=True, description="scheduler's state with its flags, e.g. DOWN* or DRAIN"
    )
    ended = instant("state until; null while it lasts", nullable=True)
    reason = dy.String(nullable=True, description="free text an operator or the scheduler gave")
    user = dy.String(nullable=True, description="who set it")

    @dy.rule()
    def ended_not_before_began(cls) -> pl.Expr:
        return (pl.col("ended") >= pl.col("began")).fill_null(True)


KERNEL_KINDS = (
    "xid",
    "sxid",
    "lost",
    "mce",
    "edac",
    "aer",
    "link_down",
    "link_up",
    "nvme",
    "fs",
    "oom",
    "panic",
    "segfault",
    "signal",
)
"""`lost` is a GPU off the bus without an Xid number; `signal` a telemetry-born sign."""


class KernelEvents(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(
        primary_key=True, description="host name; '' where neither line nor caller names it"
    )
    observed_at = instant("when the kernel said so", key=True)
    kind = dy.Enum(KERNEL_KINDS, primary_key=True, description="family of the record")
    code = dy.Int32(primary_key=True, description="Xid or SXid number; 0 for kinds without one")
    device = dy.String(
        primary_key=True,
        description="PCI address (dddd:bb:dd, lower case), or link name; '' if none",
    )
    detail = dy.String(primary_key=True, description="rest of the line")
    repeat = dy.UInt32(
        primary_key=True, description="0-based ordinal among identical records of one file"
    )
    clock = dy.Enum(
        ("stamped", "boot", "anchored", "file"),
        description="where `observed_at` comes from: the line's own stamp; uptime plus a given boot time; uptime with the last line at the file's time; the file's time alone",
    )
    boot_id = dy.String(nullable=True, description="boot id where told")


LEVELS = ("info", "warning", "critical")
"""How bad the reporter says it is; a reporter's own word is in the detail."""


class BmcEvents(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(
        primary_key=True, description="host name; '' where neither record nor caller names it"
    )
    observed_at = instant("when the board's controller logged it", key=True)
    record = dy.String(primary_key=True, description="record id in that log; '' if none")
    sensor = dy.String(primary_key=True, description="sensor or part, as named")
    event = dy.String(primary_key=True, description="what happened, as worded")
    direction = dy.Enum(
        ("asserted", "deasserted", ""),
        primary_key=True,
        description="began to hold, or ceased to; '' where not told",
    )
    level = dy.Enum(LEVELS, nullable=True, description="how bad, as the record says")
    detail = dy.String(nullable=True, description="rest of the record")
    clock = dy.Enum(
        ("stamped", "neighbour", "file"),
        description="where `observed_at` comes from: the record's stamp; that of the record beside it, where the controller's clock was not set; the file's time alone",
    )


class ClusterEvents(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    node = dy.String(primary_key=True, description="node it is about; '' where none is named")
    observed_at = instant("seen first", key=True)
    reporter = dy.String(
        primary_key=True, description="who said so, e.g. kubelet, gpud, slurmctld, nvsentinel"
    )
    object = dy.String(
        primary_key=True, description="what it is about, e.g. `node a1`, `pod ml/train-0`, `job 34`"
    )
    reason = dy.String(primary_key=True, description="the event's machine word, e.g. NodeNotReady")
    code = dy.Int32(primary_key=True, description="Xid that it names; 0 for none")
    device = dy.String(
        primary_key=True, description="PCI address, GPU uuid or link that it names; '' if none"
    )
    detail = dy.String(primary_key=True, description="message")
    level = dy.Enum(LEVELS, description="how bad, as the reporter says")
    last_at = instant("seen last; null where seen once or not told", nullable=True)
    times = dy.UInt32(nullable=True, description="how often it was seen; null where not told")

    @dy.rule()
    def last_at_not_before_observed_at(cls) -> pl.Expr:
        return (pl.col("last_at") >= pl.col("observed_at")).fill_null(True)


class Outages(_Sourced):
    unit_kind = dy.Enum(
        ("node", "gpu", "rack", "switch", "link", "job", "site"),
        primary_key=True,
        description="what kind of thing was out",
    )
    cluster = dy.String(primary_key=True, description=CLUSTER)
    unit = dy.String(primary_key=True, description="its name")
    began = instant("out since", key=True)
    record = dy.String(primary_key=True, description="ticket or record id")
    ended = instant("back at; null while out", nullable=True)
    component = dy.String(nullable=True, description="what broke, as recorded")
    cause = dy.String(nullable=True, description="why, as recorded")
    note = dy.String(nullable=True, description="free text")

    @dy.rule()
    def ended_not_before_began(cls) -> pl.Expr:
        return (pl.col("ended") >= pl.col("began")).fill_null(True)


class FabricLinks(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    observed_at = instant("when the fabric was surveyed", key=True)
    guid = dy.String(primary_key=True, description="of the host's adapter or the switch, 0x...")
    port = dy.UInt16(primary_key=True, description="port on it")
    kind = dy.Enum(("host", "switch", "router"), description="what it is")
    node = dy.String(description="host or switch, as its description names it; '' where not named")
    device = dy.String(description="adapter on the host, e.g. mlx5_0; '' for a switch")
    lid = dy.UInt32(nullable=True, description="local id")
    width = dy.String(nullable=True, description="lanes, e.g. 4x")
    speed = dy.String(nullable=True, description="lane speed, e.g. NDR; null where there is none")
    peer_guid = dy.String(nullable=True, description="what it is linked to; null for nothing")
    peer_port = dy.UInt16(nullable=True, description="port there")
    peer_node = dy.String(nullable=True, description="host or switch there")


class _Training(_Sourced):
    cluster = dy.String(primary_key=True, description=CLUSTER)
    run = dy.String(primary_key=True, description="logical training run")
    job_id = dy.String(primary_key=True, description="scheduler job; '' if not told")
    restart = dy.UInt32(
        primary_key=True, description="scheduler restart count of that job (0 = first)"
    )


class Steps(_Training):
    step = dy.Int64(primary_key=True, description="global step number")
    began = instant("step began", key=True)
    ended = instant("step completed")
    tokens = dy.Int64(nullable=True, description="tokens in the step")

    @dy.rule()
    def ended_not_before_began(cls) -> pl.Expr:
        return pl.col("ended") >= pl.col("began")


class Checkpoints(_Training):
    kind = dy.Enum(("save", "restore"), primary_key=True, description="save or restore")
    step = dy.Int64(primary_key=True, description="step the checkpoint holds")
    began = instant("began", key=True)
    block_ended = instant("training could go on; null if it never could", nullable=True)
    durable_at = instant("save safe on storage; null if not known to be", nullable=True)
    ok = dy.Bool(description="false when it was reported failed")
    bytes = dy.Int64(nullable=True, description="size (B)")


MARK_KINDS = ("job_start", "init", "data_wait", "eval", "detected", "finished", "job_end")


class RunMarks(_Training):
    kind = dy.Enum(
        MARK_KINDS,
        primary_key=True,
        description="job_start, detected, finished, job_end are instants; the others last",
    )
    began = instant("mark, or its begin", key=True)
    ended = instant("its end; equals began for instants; null if never seen", nullable=True)
    gpus = dy.UInt32(nullable=True, description="GPUs the job reported at job_start")
    note = dy.String(nullable=True, description="free text")


class Arrivals(dy.Schema):
    sha256 = dy.String(
        primary_key=True,
        description="SHA-256 of the bytes as they came (before decompression); of bulk samples, "
        "whose bytes are not kept, 'xxh3:' and their XXH3 of 128 bits",
    )
    file = dy.String(description="name as given")
    source = dy.String(description="what it was read as")
    bytes = dy.Int64(description="size as it came (B)")
    records = dy.Int64(description="records found: accepted + rejected + ignored")
    accepted = dy.Int64(description="records that gave at least one row")
    rejected = dy.Int64(description="records refused; each is a row of rejects")
    ignored = dy.Int64(
        description="records that are none of this source's business, e.g. other kernel lines or folded job steps"
    )
    modified = instant("the file's own time: anchors stamps without a year or date")
    told = dy.String(
        nullable=True,
        description="what the caller said of it (cluster, node, zone, booted), as JSON; null if nothing",
    )
    first_seen = instant("first ingested at")


class Rejects(dy.Schema):
    sha256 = dy.String(primary_key=True, description="arrival it came in")
    line_no = dy.UInt32(primary_key=True, description=LINE)
    reason = dy.String(primary_key=True, description="the promise it breaks")
    file = dy.String(description=FILE)
    source = dy.String(description="what it was read as")
    text = dy.String(description="the refused line, cut at 2,000 characters")
    first_seen = instant("first ingested at")


class UnknownMetrics(dy.Schema):
    sha256 = dy.String(primary_key=True, description="arrival it came in")
    metric = dy.String(primary_key=True, description="metric name nobody here knows yet")
    file = dy.String(description=FILE)
    source = dy.String(description="what it was read as")
    samples = dy.Int64(description="samples set aside")
    first_seen = instant("first ingested at")


def _observed(
    schema: type[dy.Schema], name: str, grain: str, day: str | None, **more: object
) -> Table:
    return Table(schema=schema, name=name, room="observed", grain=grain, day=day, **more)  # type: ignore[arg-type]


NODES = _observed(
    Nodes,
    "nodes",
    "node and validity interval",
    None,
    interval=("valid_from", "valid_to"),
    prefers=("valid_to",),
)
GPUS = _observed(
    Gpus,
    "gpus",
    "GPU serial and spell in a slot",
    None,
    interval=("valid_from", "valid_to"),
    prefers=("valid_to",),
)
JOB_ATTEMPTS = _observed(
    JobAttempts,
    "job_attempts",
    "cluster, job id and submission: one contiguous allocation",
    "submitted",
    interval=("submitted", "ended"),
    prefers=("ended", "started"),
)
NODE_STATES = _observed(
    NodeStates,
    "node_states",
    "node and state interval",
    "began",
    interval=("began", "ended"),
    prefers=("ended",),
)
KERNEL_EVENTS = _observed(
    KernelEvents,
    "kernel_events",
    "kernel log record that says a fault or a sign of one",
    "observed_at",
)
BMC_EVENTS = _observed(
    BmcEvents, "bmc_events", "record of a board controller's log (SEL, Redfish)", "observed_at"
)
CLUSTER_EVENTS = _observed(
    ClusterEvents,
    "cluster_events",
    "event that a cluster manager or health agent reported of a node, a job or a device",
    "observed_at",
    prefers=("last_at", "times"),
    grows=("last_at", "times"),
)
OUTAGES = _observed(
    Outages,
    "outages",
    "outage someone else already recorded",
    "began",
    interval=("began", "ended"),
    prefers=("ended",),
)
FABRIC_LINKS = _observed(
    FabricLinks,
    "fabric_links",
    "port of a host or switch, as a survey of the fabric saw it",
    "observed_at",
)
STEPS = _observed(Steps, "steps", "run, attempt and training step", "began")
CHECKPOINTS = _observed(
    Checkpoints,
    "checkpoints",
    "checkpoint save or restore",
    "began",
    prefers=("durable_at", "block_ended"),
)
RUN_MARKS = _observed(
    RunMarks,
    "run_marks",
    "job start, init, data wait, evaluation, detection or end of a run",
    "began",
    prefers=("ended",),
)
ARRIVALS = _observed(Arrivals, "arrivals", "ingested file", "first_seen")
REJECTS = _observed(Rejects, "rejects", "input that was refused", "first_seen")
UNKNOWN_METRICS = _observed(
    UnknownMetrics, "unknown_metrics", "arrival and metric name that was set aside", "first_seen"
)

EVENTS = (
    NODES,
    GPUS,
    JOB_ATTEMPTS,
    NODE_STATES,
    KERNEL_EVENTS,
    BMC_EVENTS,
    CLUSTER_EVENTS,
    OUTAGES,
    FABRIC_LINKS,
    STEPS,
    CHECKPOINTS,
    RUN_MARKS,
)
BOOKKEEPING = (ARRIVALS, REJECTS, UNKNOWN_METRICS)
