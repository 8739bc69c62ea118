"""Console logs of Hugging Face's Trainer: its bar, its saves, its stamped messages.

    [INFO|trainer.py:2134] 2026-03-02 08:00:10,250 >> ***** Running training *****
      7%|6         | 70/1000 [05:21<1:11:14,  4.60s/it]
    [INFO|trainer.py:3410] 2026-03-02 08:05:32,100 >> Saving model checkpoint to out/checkpoint-70

The Trainer stamps only its messages (with `log_level info`), not its steps. The bar counts steps
and whole seconds since training began, so a step lies where `Running training` was stamped plus
the bar's clock; told in stretches of a minute or more in which steps share the time evenly. A bar without that
message, and `{'loss': ...}` lines, which have neither step nor time, tell nothing. Nor does
trainer_state.json: it has steps without times, and is refused.

A resumed run's bar passes quickly over the steps that were made before: they are none of this
attempt. Saves say only when they were begun; the step after one has its time.
"""

import re
from dataclasses import dataclass

from transforms.sources.base import Origin, Parsed, Source, rejects
from transforms.sources.console import colourless, console_lines, holding, stamped
from transforms.sources.console_run import ConsoleRun
from transforms.sources.text import decode
from transforms.sources.train_rows import SECOND_US, Told
from transforms.tables.observed import CHECKPOINTS, RUN_MARKS, STEPS

_WORDS = (
    r"\d%\|[^|]*\| \d+/\d+ \[|\*\*\*\*\* Running training \*\*\*\*\*|Saving model checkpoint to"
    r"|Training completed\.|Continuing training from global step|Total optimization steps|>>(?: |$)"
)
_BAR = re.compile(r"\d%\|[^|]*\| (\d{1,12})/(\d{1,12}) \[(?:(\d{1,4}):)?(\d{1,2}):(\d\d)<")
_START = re.compile(r"\*\*\*\*\* Running training \*\*\*\*\*")
_TOTAL = re.compile(r"Total optimization steps\s*=\s*([\d,]{1,15})")
_RESUMED = re.compile(r"Continuing training from global step (\d{1,12})")
_SAVE = re.compile(r"Saving model checkpoint to .*?checkpoint-(\d{1,12})\b")
_DONE = re.compile(r"Training completed\.")
_OWN = re.compile(r"\[INFO\|trainer\.py:\d+\] \S+ \S+ >> ")
_SHORTEST_US = 60 * SECOND_US
"""The bar's clock has whole seconds: over a minute they are off by a sixtieth."""

NO_TIMES = "trainer_state.json has steps but no times: give the console log, with log_level info"
NO_START = (
    "bar without a time stamp on `Running training`: run with log_level info, or let the launcher "
    "write times (transformers 5 writes none)"
)


@dataclass
class _Bar:
    """The bar of a training: when it began, where it ends, where it was, what of it is told."""

    began: int | None = None
    last: int | None = None
    step: int = 0
    at: int = 0
    told_step: int = 0
    told_at: int = 0

    def begin(self, at: int | None) -> None:
        """A training begins, on a bar that has not moved."""
        self.began, self.last = at, None
        self.step = self.told_step = 0
        self.at = self.told_at = at or 0

    def tell(self, run: ConsoleRun, line_no: int) -> None:
        """Tell the steps since the last that were told, if any time went by."""
        if self.step > self.told_step and self.at > self.told_at:
            count = self.step - self.told_step
            if run.told.has_room(count):
                run.told.steps(run.who, line_no, self.told_step + 1, count, self.told_at, self.at)
                run.interval.step, run.interval.at = self.step, self.at
            self.told_step, self.told_at = self.step, self.at


def parse(data: bytes, origin: Origin) -> Parsed:
    """Read steps, saves and marks; see the module's docstring for the format."""
    if _is_state(text := decode(data[:_HEAD])):
        return Parsed({}, rejects([(1, NO_TIMES, text[:200])]), records=1, rejected=1)
    lines = console_lines(data)
    ours = stamped(holding(lines, _WORDS), origin, column="line")
    run, bar = ConsoleRun(Told(origin), origin), _Bar()
    refused: list[tuple[int, str, str]] = []
    used = line_no = 0
    latest: int | None = None
    for line_no, line, at in ours.select("line_no", "line", "at").iter_rows():
        if at is not None:
            run.seen(line_no, at)
            latest = at
        elif _DONE.search(line):
            at = latest  # its stamp stands on a line of its own before it
        if (states := list(_BAR.finditer(line))) and not _move(run, bar, line_no, states, at):
            refused.append((line_no, NO_START, line))
        else:
            used += bool(states) | _message(run, bar, line_no, line, at)
    bar.tell(run, line_no)
    run.close()
    return Parsed(
        frames=run.told.frames(),
        rejects=rejects(refused),
        records=len(lines),
        accepted=used,
        rejected=len(refused),
        ignored=len(lines) - used - len(refused),
    )


def _move(
    run: ConsoleRun, bar: _Bar, line_no: int, states: list[re.Match[str]], stamp: int | None
) -> bool:
    """The bar moved on; false if nobody knows when it began. Other bars are none of ours.

    The `stamp` of the line, if it has one, tells the part of a second that its last state cuts off.
    """
    for nth, state in enumerate(states, 1):
        step, last, hours, minutes, seconds = (int(part or 0) for part in state.groups())
        if last != bar.last or step > last:
            continue
        if bar.began is None:
            return False
        at = bar.began + (hours * 3600 + minutes * 60 + seconds) * SECOND_US
        if stamp is not None and nth == len(states):
            at = max(at, min(stamp, at + SECOND_US - 1))
        if step == bar.told_step:
            # Shown again later: what went by since was no step, but a start, a save, an evaluation.
            bar.told_at = bar.at = max(at, bar.at)
        if step <= bar.step or at < bar.at:
            continue
        bar.step, bar.at = step, at
        if at - bar.told_at >= _SHORTEST_US:
            bar.tell(run, line_no)
    return True


def _message(run: ConsoleRun, bar: _Bar, line_no: int, line: str, at: int | None) -> bool:
    """A message of the Trainer; false if it is none of ours."""
    if _START.search(line):
        if bar.began is not None and bar.at == bar.began:
            return False  # another node's
        bar.tell(run, line_no)
        run.begin()
        if at is not None:
            run.seen(line_no, at)
            run.starts_training(line_no, 0, at)
        bar.begin(at)
    elif total := _TOTAL.search(line):
        bar.last = int(total[1].replace(",", "") or 0)
    elif resumed := _RESUMED.search(line):
        bar.step = bar.told_step = int(resumed[1])
    elif at is None:
        return False
    elif save := _SAVE.search(line):
        bar.tell(run, line_no)
        run.told.checkpoint(run.who, line_no, "save", int(save[1]), at, at)
    elif _DONE.search(line):
        bar.at = max(bar.at, min(at, bar.at + SECOND_US - 1))  # the part of a second after the last
        bar.tell(run, line_no)
        run.ends(line_no, "finished", at)
    else:
        return False
    return True


_HEAD = 1 << 16


def _is_state(head: str) -> bool:
    keys = ('"global_step"', '"is_hyper_param_search"', '"log_history"', '"best_model_checkpoint"')
    return head.lstrip().startswith("{") and sum(key in head for key in keys) >= 2


def sniff(head: str, name: str) -> int:
    """Surely, if the Trainer's own stamped messages are there, or its state."""
    if _is_state(head) or _OWN.search(colourless(head)):
        return 2
    return int(bool(_START.search(head)))


SOURCE = Source(
    name="hf_trainer_log",
    title="Console log of Hugging Face's Trainer, with log_level info",
    example="[INFO|trainer.py:2134] 2026-03-02 08:00:10,250 >> ***** Running training *****",
    makes=(STEPS, CHECKPOINTS, RUN_MARKS),
    sniff=sniff,
    parse=parse,
)
