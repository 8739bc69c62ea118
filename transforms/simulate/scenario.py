"""What may be chosen about a simulated fleet: its size, its jobs, and how often it really fails."""

from dataclasses import dataclass
from typing import Literal

from transforms.simulate.moments import DAY, HOUR, MINUTE, instant

Ending = Literal["watchdog", "dies", "node_fail"]


@dataclass(frozen=True)
class Mode:
    """One way in which a node fails.

    per_1000_node_days  true rate of an ordinary node while it is in service
    ending     what its job sees: a hang until the watchdog fires, a dying process, or a node
               that the scheduler declares lost
    reason     what the node's state then says
    repair_median_h, repair_log_sd   of the lognormal time out of service
    """

    name: str
    klass: str
    per_1000_node_days: float
    ending: Ending
    reason: str
    repair_median_h: float
    root_code: int = 0
    repair_log_sd: float = 0.7


MODES: tuple[Mode, ...] = (
    Mode(
        "gpu_lost",
        "GPU",
        12.0,
        "watchdog",
        "health check: Xid 79 GPU has fallen off the bus",
        5.0,
        79,
    ),
    Mode("hbm", "GPU", 12.0, "dies", "health check: uncorrectable ECC error, Xid 48", 2.0, 48),
    Mode("gsp", "GPU", 6.0, "watchdog", "health check: Xid 119 GSP RPC timeout", 1.0, 119),
    Mode("nvlink", "NVLink", 6.0, "dies", "health check: Xid 74 NVLink error", 2.5, 74),
    Mode("nic", "Network", 8.0, "watchdog", "IB link flap mlx5_3", 1.5),
    Mode("host", "Host", 6.0, "node_fail", "Not responding", 4.0),
    Mode("storage", "Storage", 5.0, "watchdog", "health check: /scratch not mounted", 0.7),
    Mode("silent", "Unknown", 5.0, "node_fail", "Not responding", 1.0),
)
FACILITY = Mode("pdu", "Facility", 0.0, "node_fail", "PDU breaker trip, power lost", 3.0)


@dataclass(frozen=True)
class Training:
    """A training run that writes a log. Offsets are milliseconds after the scenario began."""

    run: str
    name: str
    user: str
    account: str
    nodes: int
    eligible: int
    step_ms: int
    last_step: int | None = None
    time_limit_s: int = 24 * 3600
    save_every_ms: int = 30 * MINUTE
    eval_every_steps: int = 900
    checkpoint_bytes: int = 980_000_000_000
    tokens_per_step: int = 16_777_216
    cancelled_at: int | None = None
    crashes_at: int | None = None
    pdu_trips_at: int | None = None
    slow: tuple[int, int] | None = None
    first_step_fails: bool = False
    told_in_seconds: bool = False


@dataclass(frozen=True)
class Scenario:
    """A fleet and a stretch of days. Equal scenarios give equal bytes.

    Nodes are numbered from 1: the first `main_nodes` serve the main run (some as its spares), the
    next `mid_nodes` the middle-sized runs, the rest research jobs.
    """

    seed: int
    nodes: int
    days: int
    main_nodes: int
    mid_nodes: int
    main: Training
    mids: tuple[Training, ...]
    began: int = instant("2026-03-02T00:00:00+00:00")
    gpus_per_node: int = 8
    nodes_per_rack: int = 6
    cluster: str = "sim"
    modes: tuple[Mode, ...] = MODES
    lemon: int = 9
    lemon_factor: float = 10.0
    telemetry_nodes: int = 6
    telemetry_ms: int = 3 * HOUR
    scrape_ms: int = MINUTE

    @property
    def ends(self) -> int:
        """The horizon: when the records were collected."""
        return self.began + self.days * DAY

    @classmethod
    def of(cls, gpus: int, days: int, seed: int) -> "Scenario":
        """A fleet of about `gpus` GPUs over `days` days.

        Nodes fail 6.5 times in 1000 node-days (methods 9.3), or oftener where that would leave
        too few failures to see, up to the 60 of the sample.
        """
        nodes = -(-gpus // 8)
        if nodes < 12 or days < 1:
            raise ValueError(
                f"a simulated fleet needs at least 96 GPUs and 1 day, not {gpus} GPUs and {days} "
                "days: give --gpus 96 --days 1 or more"
            )
        spares = max(1, nodes // 24)
        main = nodes * 2 // 3 - spares
        mid = max(1, nodes // 6 - 1)
        scale = min(
            1.0, max(6.5, 40_000 / (nodes * days)) / sum(m.per_1000_node_days for m in MODES)
        )
        return cls(
            seed=seed,
            nodes=nodes,
            days=days,
            main_nodes=main + spares,
            mid_nodes=mid + 1,
            main=_main(main, days),
            mids=_mids(mid, days),
            modes=tuple(
                Mode(**{**m.__dict__, "per_1000_node_days": m.per_1000_node_days * scale})
                for m in MODES
            ),
            lemon=min(9, main),
        )


def _main(nodes: int, days: int) -> Training:
    """The large run: its planned stops fall at fixed shares of the window."""
    span = days * DAY
    return Training(
        run="pretrain-70b",
        name="pretrain-70b",
        user="maria",
        account="pretrain",
        nodes=nodes,
        eligible=4 * MINUTE,
        step_ms=22_000,
        cancelled_at=round(span * 0.46),
        crashes_at=round(span * 0.66),
        pdu_trips_at=round(span * 0.58),
        slow=(round(span * 0.25), round(span * 0.25) + 3 * HOUR),
    )


def _mids(nodes: int, days: int) -> tuple[Training, ...]:
    """Two fine-tuning runs of the same recipe."""
    span = days * DAY
    steps = max(50, round(span * 0.09 / 15_500))
    first = Training(
        run="sft-8b-1",
        name="sft-8b",
        user="jonas",
        account="post-training",
        nodes=nodes,
        eligible=round(span * 0.1),
        step_ms=15_000,
        last_step=steps,
        eval_every_steps=400,
        checkpoint_bytes=112_000_000_000,
        tokens_per_step=2_097_152,
        first_step_fails=True,
    )
    second = Training(
        **{
            **first.__dict__,
            "run": "sft-8b-2",
            "eligible": round(span * 0.57),
            "first_step_fails": False,
            "told_in_seconds": True,
        }
    )
    return first, second


SAMPLE = Scenario(
    seed=20260302,
    nodes=48,
    days=14,
    main_nodes=34,
    mid_nodes=9,
    main=_main(32, 14),
    mids=_mids(8, 14),
)
