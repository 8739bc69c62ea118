"""How an attempt of PBS or Torque ended, in the words of job states.

    Exit_status=0      COMPLETED            Exit_status=271    FAILED, by signal 15
    Exit_status=-14    NODE_FAIL: contact with a host of the job was lost
    Exit_status=-3     REQUEUED             (negative ones are the server's own)

From -10 on the two number differently: a record that tells virtual nodes or run counts is PBS's.
A job that was removed while it ran, or reached its time limit, ends by a signal: that it was
removed is in a record of its own, that it was too long shows in its times.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LOST = ("NODE_FAIL", "contact with a host of the job was lost")
_RESTARTED = ("NODE_FAIL", "a host of the job restarted")
_NOT_BEGUN = ("BOOT_FAIL", "the job could not be started")
_RETRIED = ("REQUEUED", None)
_BOTH: dict[int, tuple[str, str | None]] = {
    -1: _NOT_BEGUN,
    -2: _NOT_BEGUN,
    -3: _RETRIED,
    -4: _RESTARTED,
    -5: _RESTARTED,
    -6: _RESTARTED,
    -7: _NOT_BEGUN,
}
_PBS: dict[int, tuple[str, str | None]] = {
    -11: _RETRIED,
    -12: _RETRIED,
    -14: _LOST,
    -15: _RETRIED,
    -16: _RETRIED,
    -18: _RETRIED,
    -20: _LOST,
}
_TORQUE: dict[int, tuple[str, str | None]] = {
    -10: ("OUT_OF_MEMORY", None),
    -11: ("TIMEOUT", None),
    -12: ("TIMEOUT", None),
}
_SIGNALLED = 256


@dataclass(frozen=True)
class Ending:
    """State and exit of an attempt, who removed it, and what the server said of it."""

    state: str
    exit_code: int | None = None
    signal: int | None = None
    remover: str | None = None
    reason: str | None = None


def ending(values: Mapping[str, str], *, was_rerun: bool, remover: str | None) -> Ending | None:
    """How the attempt ended, from its last record's attributes; None where it cannot be read.

    `remover` is who removed the job while it ran, '' where that is not told, null if nobody.
    """
    told = values.get("Exit_status", "")
    if not told:
        return Ending("REQUEUED") if was_rerun else None
    if not re.fullmatch(r"-?[0-9]{1,5}", told):
        return None
    status = int(told)
    if status < 0:
        is_pbs = "exec_vnode" in values or "run_count" in values
        known = _BOTH | (_PBS if is_pbs else _TORQUE)
        state, reason = known.get(status, ("REQUEUED" if was_rerun else "FAILED", None))
        return Ending(state, reason=reason or f"Exit_status {status}")
    code, signal = (0, status - _SIGNALLED) if status >= _SIGNALLED else (status, 0)
    if was_rerun:
        return Ending("REQUEUED", code, signal)
    if remover is not None:
        return Ending("CANCELLED", code, signal, remover or None)
    used, limit = (
        seconds(values.get(f"{kind}.walltime", "")) for kind in ("resources_used", "Resource_List")
    )
    if status and used is not None and limit is not None and used >= limit:
        return Ending("TIMEOUT", code, signal)
    return Ending("FAILED" if status else "COMPLETED", code, signal)


def seconds(span: str) -> int | None:
    """`hours:minutes:seconds`, or plain seconds."""
    if not (found := re.fullmatch(r"(?:(\d{1,9}):(\d{1,2}):)?(\d{1,9})", span, re.ASCII)):
        return None
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return (hours * 60 + minutes) * 60 + rest
