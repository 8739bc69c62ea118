"""The bar of PyTorch Lightning as a clock: whole seconds of each epoch, set by stamps beside it.

The epochs of an attempt lie one after the other on one clock, whose zero is not told. A stamp after
a state says that zero was no later, one before a state that it was no earlier (a second less, which
the bar cuts off). The first stamp after a state sets the clock and tells what was held until then;
later ones set it right for the steps that follow, never for those that were told.
"""

from dataclasses import dataclass, field

from transforms.sources.console_run import ConsoleRun
from transforms.sources.train_rows import SECOND_US

_SHORTEST_US = 60 * SECOND_US
"""The bar's clock has whole seconds: over a minute they are off by a sixtieth."""
_PAUSE_US = 2 * SECOND_US
"""The same step shown so much later: the time went to no step."""


@dataclass(frozen=True)
class _Event:
    """A state of the bar, or the end of a validation, on the attempt's clock (microseconds)."""

    line_no: int
    line: str
    at: int
    step: int = 0
    epoch_step: int = 0  # steps before this epoch
    epoch_at: int = 0
    took: int | None = None  # of a validation


@dataclass
class Bar:
    """The bar of one attempt. `resumes_at` is the step that a restored checkpoint's name tells."""

    run: ConsoleRun
    resumes_at: int | None = None
    epoch: int = -1
    step: int | None = None
    zero: int | None = None
    held: list[_Event] = field(default_factory=list)
    _at: int = 0
    _epoch_at: int = 0
    _epoch_step: int = 0
    _total: int | None = None  # batches of an epoch
    _stamp: int | None = None
    _last: tuple[int, int] | None = None  # step and instant of the last state that was taken
    _told: tuple[int, int] = (0, 0)  # the same of the last that was told

    @property
    def has_moved(self) -> bool:
        return self.step is not None

    def shown_at(self) -> int | None:
        """The instant of the last state, once the clock is set."""
        return None if self.zero is None else self.zero + self._at

    def moves(
        self, line_no: int, line: str, epoch: int, n: int, total: int | None, clock: int
    ) -> bool:
        """The bar shows `n` batches of `epoch`; false if nobody knows which steps these are."""
        if epoch != self.epoch:
            self._total = total if total is not None else self._total
            if self._total is not None:
                self._epoch_step = epoch * self._total
            elif epoch == self.epoch + 1:
                self._epoch_step = self.step or 0
            else:
                return False
            self.epoch, self._epoch_at = epoch, self._at
        at = max(self._epoch_at + clock, self._at)
        if self.zero is not None and self._stamp is not None:
            earliest = self._stamp - at - SECOND_US
            if earliest > self.zero:
                self.tell(line_no)
                self.zero = earliest
        self.step, self._at, self._stamp = self._epoch_step + n, at, None
        self._take(_Event(line_no, line, at, self.step, self._epoch_step, self._epoch_at))
        return True

    def checks(self, line_no: int, line: str, took: int) -> None:
        """A validation is over that took so long by its own bar."""
        if self.has_moved:
            self._at += took
            self._take(_Event(line_no, line, self._at, took=took))

    def stamped(self, at: int) -> None:
        """A stamp: the last state was shown by then."""
        if not self.has_moved:
            return
        self._stamp = at
        latest = at - self._at
        if self.zero is not None:
            self.zero = min(self.zero, latest)
            return
        self.zero = latest
        for event in self.held:
            self._take(event)
        self.held.clear()

    def tell(self, line_no: int) -> None:
        """Tell the steps since the last that were told, if any time went by."""
        if self._last is None:
            return
        (step, at), (before, began) = self._last, self._told
        if step > before and at > began:
            if self.run.told.has_room(step - before):
                self.run.told.steps(self.run.who, line_no, before + 1, step - before, began, at)
                self.run.interval.step, self.run.interval.at = step, at
            self._told = self._last

    def _take(self, event: _Event) -> None:
        if self.zero is None:
            self.held.append(event)
        elif event.took is not None:
            self._validated(event.line_no, self.zero + event.at, event.took)
        else:
            self._shown(event, self.zero)

    def _shown(self, event: _Event, zero: int) -> None:
        at, epoch_at = zero + event.at, zero + event.epoch_at
        if self._last is None:
            before = event.epoch_step
            if self.resumes_at is not None and before < self.resumes_at <= event.step:
                before = self.resumes_at
            self._last = self._told = (before, epoch_at)
            self.run.starts_training(event.line_no, before, epoch_at)
        step, last_at = self._last
        if event.epoch_step > self._told[0] and step <= event.epoch_step:
            self.tell(event.line_no)
            is_untold = self._told[0] < step == event.epoch_step
            step, last_at = event.epoch_step, max(epoch_at, self._told[1])
            self._last = (step, last_at)
            if not is_untold:  # an epoch of less than a second is told with what follows it
                self._told = self._last
        if event.step == step and at - last_at >= _PAUSE_US:
            self.tell(event.line_no)
            self._last = self._told = (step, at)
        elif event.step > step and at >= last_at:
            self._last = (event.step, at)
            if at - self._told[1] >= _SHORTEST_US:
                self.tell(event.line_no)

    def _validated(self, line_no: int, ended: int, took: int) -> None:
        if self._last is None or took == 0:
            return
        self.tell(line_no)
        began = max(ended - took, self._told[1])
        if ended > began:
            self.run.told.mark(self.run.who, line_no, "eval", began, ended)
            self._last = self._told = (self._last[0], ended)
