"""The metrics that a reader may know, read from one tree of leaves (methods 4.1, G-6).

Each is one division of sums of GPU-milliseconds, made last; the view `run_goodput` makes the
same divisions in SQL. A ratio without a denominator is None: nothing was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

KEPT = ("ideal", "slow")
WAITS = ("queue_wait", "repair_wait")
NOT_ALLOCATED = ("idle", *WAITS, "spare", "down", "maintenance", "unobserved")
HOURLY_CHECKPOINT_MS = 30 * 60 * 1000
"""Half of an hour between checkpoints: what a failure discards on average."""


@dataclass(frozen=True)
class Readouts:
    """Ratios of one run or fleet; see the methods section of each for what it leaves out.

    goodput              kept / wall, between _lo (the provisional tail lost) and _hi (all
                         unknown time kept)
    ettr_meta            kept / (wall - idle - spare - time that users' own faults took)
    ettr_unqueued        kept / (wall - queue_wait): repair counts against the run, a queue not
    ettr_allocated       kept / allocated
    runtime_goodput      kept / time with all resources present
    scheduling_goodput   (wall - waits) / wall
    program_goodput      ideal / kept
    coverage             share of allocated time of which the logs say what it was
    """

    goodput: float | None
    goodput_lo: float | None
    goodput_hi: float | None
    ettr_meta: float | None
    ettr_unqueued: float | None
    ettr_allocated: float | None
    runtime_goodput: float | None
    scheduling_goodput: float | None
    program_goodput: float | None
    coverage: float | None


def read_out(
    leaves: Mapping[str, int], provisional_gpu_ms: int = 0, user_caused_gpu_ms: int = 0
) -> Readouts:
    """Read every metric from the GPU-ms of each leaf.

    `provisional_gpu_ms` is the part of kept that no durable checkpoint holds yet;
    `user_caused_gpu_ms` the loss whose cause is user software or a person, outside idle, spare
    and not_measured, which ettr_meta leaves out already. Time of attempts
    that log no steps (`not_measured`) is outside all of them but `coverage` and
    `scheduling_goodput` (methods G-10).
    """

    def total(*names: str) -> int:
        return sum(leaves.get(name, 0) for name in names)

    whole = sum(leaves.values())
    measured = whole - total("not_measured")
    kept = total(*KEPT)
    allocated = whole - total(*NOT_ALLOCATED)
    present = allocated - total("not_measured")
    return Readouts(
        goodput=_ratio(kept, measured, present),
        goodput_lo=_ratio(kept - provisional_gpu_ms, measured, present),
        goodput_hi=_ratio(kept + total("unknown"), measured, present),
        ettr_meta=_ratio(kept, measured - total("idle", "spare") - user_caused_gpu_ms, present),
        ettr_unqueued=_ratio(kept, measured - total("queue_wait"), present),
        ettr_allocated=_ratio(kept, present),
        runtime_goodput=_ratio(kept, present),
        scheduling_goodput=_ratio(whole - total(*WAITS), whole),
        program_goodput=_ratio(total("ideal"), kept),
        coverage=_ratio(allocated - total("unknown", "not_measured"), allocated),
    )


def google_runtime_goodput(
    interval: float, lost: float, rescheduling: float, resuming: float
) -> float:
    """Runtime goodput as a formula of means: (I - lost) / (I + rescheduling + resuming).

    I is the time between disruptions; all in one unit. From published text; the tree above needs
    no such means.
    """
    return (interval - lost) / (interval + rescheduling + resuming)


def assumed_rework_gpu_ms(
    runtime_ms: int, gpus: int, checkpoint_loss_ms: int = HOURLY_CHECKPOINT_MS
) -> int:
    """Work that a failure is assumed to discard where no step log tells (methods G-3).

    Half a checkpoint interval, but no more than the attempt ran. Never part of the ledger, where
    such an attempt stays `not_measured`.
    """
    return min(runtime_ms, checkpoint_loss_ms) * gpus


def mfu(
    parameters: float, kept_tokens_per_s: float, gpus: int, peak_flops: float, attention: float = 0
) -> float:
    """Model FLOPs utilisation (methods G-5): (6 P tokens/s + attention FLOP/s) / (GPUs x peak).

    `parameters` are the active ones; `peak_flops` the dense peak (FLOP/s) of one GPU for the
    number format in use, never the sparse one. Tokens of steps that were lost do not count.
    """
    return (6 * parameters * kept_tokens_per_s + attention) / (gpus * peak_flops)


def _ratio(part: int, whole: int, *needs: int) -> float | None:
    return part / whole if whole > 0 and all(need > 0 for need in needs) else None
