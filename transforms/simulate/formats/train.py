"""Training logs: one NDJSON file a run, in the order in which its events came.

Some runs tell a start-up or a pause as one event with its seconds, others as begin and end; some
write times as ISO 8601, others as epoch seconds. One line of every run is torn.
"""

import json

import numpy as np

from transforms.simulate.formats.slurm import job_id
from transforms.simulate.history import Attempt, History, Task
from transforms.simulate.moments import SECOND, iso, iso_many
from transforms.simulate.scenario import Training

Event = tuple[int, int, str]  # instant, order among equals, the line


def train_log(history: History, task: Task, plan: Training) -> tuple[list[str], int]:
    """The lines of a run, and the number of its torn line."""
    lines: list[str] = []
    for attempt in task.attempts:
        if attempt.log:
            events = sorted(_Writer(history, plan, attempt).events())
            lines += [line for _, _, line in events]
    torn = len(lines) // 2
    lines.insert(torn, lines[torn][: len(lines[torn]) // 2])
    return lines, torn + 1


class _Writer:
    """Writes one attempt. Equal instants keep the order in which their causes follow."""

    def __init__(self, history: History, plan: Training, attempt: Attempt) -> None:
        self.plan, self.attempt = plan, attempt
        self.horizon = history.scenario.ends
        self.head = (
            f'"run":"{plan.run}","job_id":"{job_id(history, attempt)}","restart":{attempt.restart}'
        )
        self.found: list[Event] = []

    def _time(self, ms: int) -> str:
        if self.plan.told_in_seconds:
            return f"{ms // SECOND}.{ms % SECOND:03d}"
        return f'"{iso(ms)}"'

    def _add(self, at: int, order: int, event: str, **more: object) -> None:
        if at > self.horizon:
            return
        rest = "".join(f',"{key}":{json.dumps(value)}' for key, value in more.items())
        line = f'{{"t":{self._time(at)},{self.head},"event":"{event}"{rest}}}'
        self.found.append((at, order, line))

    def events(self) -> list[Event]:
        log = self.attempt.log
        assert log
        self._add(log.job_start, 0, "job_start", gpus=self.attempt.job.gpus)
        self._lasting("init", log.init_began, log.init_ended, 1)
        if log.restore:
            began, ended, step = log.restore
            self._add(began, 3, "restore_begin", step=step)
            self._add(ended, 4, "restore_end", step=step, bytes=self.plan.checkpoint_bytes, ok=True)
        self._steps(log.step, log.began, log.ended)
        for save in log.saves:
            self._add(save.began, 7, "checkpoint_begin", step=save.step)
            self._add(save.unblocked, 8, "checkpoint_unblocked", step=save.step)
            if save.durable:
                self._add(
                    save.durable,
                    9,
                    "checkpoint_durable",
                    step=save.step,
                    bytes=self.plan.checkpoint_bytes,
                )
            if save.failed:
                self._add(save.failed, 9, "checkpoint_failed", step=save.step)
        for kind, began, ended in log.pauses:
            self._lasting(kind, began, ended, 5)
        if log.detected:
            self._add(log.detected, 10, "fault_detected", note="no step for too long")
        if log.finished:
            self._add(log.finished, 11, "finished")
            self._add(log.finished, 12, "job_end")
        return self.found

    def _lasting(self, kind: str, began: int, ended: int | None, order: int) -> None:
        """Begin and end; or, in a log that tells seconds, one event at the end."""
        if self.plan.told_in_seconds and ended is not None:
            self._add(ended, order, kind, seconds=round((ended - began) / SECOND, 3))
            return
        self._add(began, order, f"{kind}_begin")
        if ended is not None:
            self._add(ended, order + 1, f"{kind}_end")

    def _steps(self, step: np.ndarray, began: np.ndarray, ended: np.ndarray) -> None:
        if not len(step):
            return
        times = (
            [self._time(ms) for ms in ended.tolist()]
            if self.plan.told_in_seconds
            else [f'"{text}"' for text in iso_many(ended)]
        )
        rest = f'"tokens":{self.plan.tokens_per_step}'
        rows = zip(ended.tolist(), times, step.tolist(), (ended - began).tolist(), strict=True)
        self.found += [
            (
                at,
                6,
                f'{{"t":{time},{self.head},"event":"step","step":{number},'
                f'"seconds":{length / SECOND:.3f},{rest}}}',
            )
            for at, time, number, length in rows
        ]
