"""The GPU-time ledger: every GPU-millisecond of the fleet, and of each run, in exactly one leaf.

    lines      attempts as numbered timelines, and which attempt wrote which log row
    steps      one row each, ideal or slow, provisional
    lineage    which restart took which steps away
    startup    launch, initialisation and restore, until they count as hung
    claims     what each moment of an attempt may be called, by priority
    unused     what training leaves idle of an allocation: spares, and GPUs lost on the way
    telemetry  what GPUs' own samples show idle of an allocation
    waits      runs that want to go
    owners     who answers for a loss
    nodes      who has the GPUs of each node
    timeline   the sweep that gives each moment to one claim
    accounts   the two tables: `gpu_time` (the fleet's GPUs) and `run_time` (each run's own)
    readouts   the metrics that a reader may know, from the same sums

Instants are cut to whole milliseconds before anything is subtracted, so that sums are exact.
"""

from transforms.ledger.accounts import gpu_accounts

__all__ = ["gpu_accounts"]
