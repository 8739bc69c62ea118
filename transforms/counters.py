"""Counters that only count up, read from samples: what they rose by, and what cannot be known.

    100 105 3 7    rose by 12, with one reset: what came before the reset, after 105, is lost

A rise belongs to the sample that shows it. Of a sample whose predecessor is missing, or lies
before the period ahead of its own, nothing is known: the counter may have stood anywhere
(methods Q-1, Q-2). So what one hour says rests on that hour and the one before, and hours add up.

Three kinds of counter behave differently. Most start anew with the driver or the node: a fall is
a reset, and so is a reboot between two samples even without a fall. Those kept on the board
(aggregate ECC, retired pages, remapped rows) survive all that, and fall only where another board
answers: its series is closed, and nothing is added. Classic InfiniBand counters are narrow and
stick at their largest value: constant there, they are full, not quiet.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8]

HOUR_US = 3_600_000_000

FIRST, RESET, WRAP, FULL, OTHER_BOARD, TWICE = 1, 2, 4, 8, 16, 32
"""Marks of a sample: no predecessor; restarted; wrapped; stuck at its largest value; another
board's; a second value of one instant (the larger counts)."""
LOWER_BOUND = RESET | FULL
"""What was counted before a reset, or beyond the largest value, is lost."""

_KEPT_ON_BOARD = re.compile(r"_aggregate|^retired_pages_|^remapped_rows_")
_INFINIBAND_LIMITS = {
    "link_downed": 255.0,
    "link_recoveries": 255.0,
    "integrity_errors": 15.0,
    "buffer_overruns": 15.0,
    "rx_constraint_errors": 255.0,
    "tx_constraint_errors": 255.0,
    "symbol_errors": 65535.0,
    "rx_errors": 65535.0,
    "rx_remote_errors": 65535.0,
    "rx_relay_errors": 65535.0,
    "tx_discards": 65535.0,
    "vl15_dropped": 65535.0,
    "qp1_dropped": 65535.0,
    "tx_wait_ticks": 4294967295.0,
    "rx_bytes": 4294967295.0 * 4,
    "tx_bytes": 4294967295.0 * 4,
    "rx_packets": 4294967295.0,
    "tx_packets": 4294967295.0,
}
"""Widths of PortCounters (InfiniBand specification, vol. 1, 16.1.3.5): there they stop. Ports with
wide counters pass these values without stopping."""
_ADAPTER_WIDTH = 2.0**32
_ADAPTER_FASTEST_PER_S = 1e6
_ADAPTER_COUNTERS = frozenset(
    (
        *("out_of_sequence", "packet_sequence_errors", "ack_timeouts", "implied_naks"),
        *("duplicate_requests", "receiver_not_ready", "out_of_buffer", "rx_reads", "rx_writes"),
        *("rx_atomics", "rx_dct_connects"),
    )
)
"""Queue counters of mlx5 adapters are 32 bits wide (mlx5_ifc.h: query_q_counter_out), and wrap."""


@dataclass(frozen=True)
class Rule:
    """How a counter behaves. A wrap is believed only if it rose by no more than `fastest_per_s`."""

    is_kept_on_board: bool = False
    sticks_at: float = np.inf
    wraps_at: float = np.inf
    fastest_per_s: float = 0.0


@dataclass(frozen=True)
class Rises:
    """For each sample: its rise (NaN where unknown or no value), its predecessor's instant (us;
    -1 where there is none), and its marks."""

    rise: Floats
    since_us: Ints
    marks: Marks


def rule(metric: str) -> Rule:
    """The behaviour of a counter of the one table of metrics, by its name."""
    if metric in _ADAPTER_COUNTERS:
        return Rule(wraps_at=_ADAPTER_WIDTH, fastest_per_s=_ADAPTER_FASTEST_PER_S)
    return Rule(
        is_kept_on_board=bool(_KEPT_ON_BOARD.search(metric)),
        sticks_at=_INFINIBAND_LIMITS.get(metric, np.inf),
    )


def rises(
    at_us: Ints,
    value: Floats,
    device: Ints,
    rule: Rule = Rule(),
    boot: Floats | None = None,
    period_us: int = HOUR_US,
) -> Rises:
    """What each sample of a counter rose by (methods Q-1).

    Rows lie together by `device` and, within one, in order of time. NaN is no value. `boot` is
    the instant of the node's last boot as known at that sample (NaN where not told): two that
    differ by more than a minute are two epochs. `period_us` of 0 lets predecessors lie anywhere.
    """
    from transforms.sample_loops import rises_of  # compiled code: loaded where it is used

    rise, since, marks = rises_of(
        at_us,
        value,
        device,
        np.empty(0) if boot is None else boot,
        rule.is_kept_on_board,
        rule.sticks_at,
        rule.wraps_at,
        rule.fastest_per_s / 1e6,
        period_us,
    )
    return Rises(rise, since, marks)
