"""One attempt of a training run: start-up, restore, steps, checkpoints, pauses, and its stop.

A pause (checkpoint, evaluation, wait for data, a stretch without any log) begins only where two
more steps still fit before the stop, so that every stop strikes between two steps' ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transforms.simulate.history import Save, TrainLog
from transforms.simulate.moments import MINUTE, SECOND, between
from transforms.simulate.scenario import Training

CHUNK = 512
ROOM = 3  # a pause needs its own length and this many steps


@dataclass(frozen=True)
class Start:
    """Where an attempt begins: at `step`, from a checkpoint of the step before it if any."""

    at: int
    step: int
    from_checkpoint: bool


def grow(
    plan: Training,
    start: Start,
    stop: int,
    rng: np.random.Generator,
    began: int,
    can_move: bool = False,
    in_first_step: bool = False,
) -> TrainLog:
    """Live through an attempt until `stop`, or until the plan's last step and its final save.

    `can_move`: a stop before the third step is put off until then (a failure's instant can be
    chosen, a time limit's cannot). `in_first_step`: the stop comes inside the very first step.
    `began` is the scenario's begin, which the plan's offsets count from.
    """
    job_start = start.at + between(rng, 6_000, 15_000)
    log = TrainLog(
        job_start=job_start, init_began=job_start + between(rng, 900, 2_500), stopped=stop
    )
    init_ended = log.init_began + between(rng, 3 * MINUTE, 6 * MINUTE)
    now = init_ended
    if start.from_checkpoint:
        now += between(rng, 2 * MINUTE, 5 * MINUTE)
    first = plan.step_ms * 11 // 10
    if in_first_step:
        stop = log.stopped = now + first // 2
    elif can_move:
        stop = log.stopped = max(stop, now + ROOM * first)
    if init_ended > stop:
        return log
    log.init_ended = init_ended
    if start.from_checkpoint:
        if now > stop:
            return log
        log.restore = (init_ended, now, start.step - 1)
    _step_through(plan, log, now, start.step, stop, rng, began)
    return log


def _step_through(
    plan: Training,
    log: TrainLog,
    now: int,
    step: int,
    stop: int,
    rng: np.random.Generator,
    began: int,
) -> None:
    """Fill the steps and pauses of `log` from `now` on."""
    chunks: list[tuple[int, np.ndarray, np.ndarray]] = []
    save_due = now + plan.save_every_ms
    wait_due = step + int(rng.geometric(1 / 500))
    gap_due = step + int(rng.geometric(1 / 6_000))
    longest = plan.step_ms * 3 // 2
    last = plan.last_step

    def fits(length: int) -> bool:
        return now + length + ROOM * longest <= stop

    while True:
        count = min(CHUNK, wait_due - step, gap_due - step, -step % plan.eval_every_steps + 1)
        if last is not None:
            count = min(count, last - step + 1)
        lengths = _step_lengths(plan, now - began, max(count, 1), rng)
        ends = now + np.cumsum(lengths)
        past_due = int(np.searchsorted(ends, save_due, side="left")) + 1
        done = min(int(np.searchsorted(ends, stop, side="right")), past_due)
        if done:
            chunks.append((step, ends[:done] - lengths[:done], ends[:done]))
            now, step = int(ends[done - 1]), step + done
        if last is not None and step > last:
            now = _final_save(log, step - 1, now)
            break
        if done < len(ends) and int(ends[done]) > stop:
            break
        if now >= save_due and fits(length := between(rng, 10 * SECOND, 40 * SECOND)):
            log.saves.append(_save(step - 1, now, length, stop, rng))
            now += length
            save_due = now + plan.save_every_ms
        elif now >= save_due:
            save_due = stop + plan.save_every_ms
        if (step - 1) % plan.eval_every_steps == 0 and step > 1:
            now += _pause(log, "eval", now, between(rng, 45_000, 90_000), fits)
        if step >= wait_due:
            now += _pause(log, "data_wait", now, between(rng, 4_000, 70_000), fits)
            wait_due = step + int(rng.geometric(1 / 500))
        if step >= gap_due:
            now += _pause(log, "", now, between(rng, 20_000, 120_000), fits)
            gap_due = step + int(rng.geometric(1 / 6_000))
    if chunks:
        log.step = np.concatenate([n + np.arange(len(e), dtype=np.int64) for n, _, e in chunks])
        log.began = np.concatenate([b for _, b, _ in chunks])
        log.ended = np.concatenate([e for _, _, e in chunks])


def _pause(log: TrainLog, kind: str, now: int, length: int, fits: Callable[[int], bool]) -> int:
    """Pause if there is room for it; '' leaves no trace in the log. Returns its length."""
    if not fits(length):
        return 0
    if kind:
        log.pauses.append((kind, now, now + length))
    return length


def _step_lengths(
    plan: Training, since_began: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Milliseconds of the next steps: a narrow spread, a rare hiccup, a straggler's stretch."""
    noise = 1 + np.abs(rng.normal(0, 0.012, count))
    hiccup = np.where(rng.random(count) < 0.01, rng.uniform(1.05, 1.3, count), 1.0)
    slow = 1.22 if plan.slow and plan.slow[0] <= since_began < plan.slow[1] else 1.0
    factors = np.minimum(noise * hiccup * slow, 1.49)
    return np.rint(plan.step_ms * factors).astype(np.int64)


def _save(step: int, now: int, blocked: int, stop: int, rng: np.random.Generator) -> Save:
    """A checkpoint in the background; one in forty fails, and one cut off never gets safe."""
    safe = now + max(blocked, between(rng, MINUTE, 3 * MINUTE))
    fails = bool(rng.random() < 0.025)
    if safe >= stop:
        return Save(step, now, now + blocked)
    if fails:
        return Save(step, now, now + blocked, failed=safe)
    return Save(step, now, now + blocked, durable=safe)


def _final_save(log: TrainLog, step: int, now: int) -> int:
    """The last checkpoint blocks until it is safe; then the run is finished."""
    safe = now + 30 * SECOND
    log.saves.append(Save(step, now, safe, durable=safe))
    log.finished = log.stopped = safe
    return safe
