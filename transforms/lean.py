"""Libraries imported without what they merely support, and would load for nobody."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Within the block these packages look as if they were not installed; loaded ones stay.

    With other threads about, which may want the packages just now, nothing is hidden.
    """
    hidden = [name for name in names if name not in sys.modules and threading.active_count() == 1]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how importlib spells "there is none"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
