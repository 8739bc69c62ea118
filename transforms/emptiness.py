"""Answers that have no rows, found once: few clusters keep every table that there may be.

    @empty_from("node_states", "outages")
    def out_of_service(node_states, outages, fleet): ...

promises that the answer has no rows where those frames have none, whatever else is given. A query
over nothing is planned like any other, and an account of a day is hundreds of them; so the answer,
which then is but columns and their types, is kept from the first time.
"""

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar

import polars as pl

P = ParamSpec("P")
R = TypeVar("R")

_answers: dict[Hashable, Any] = {}


def empty_from(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Promise that a function of frames answers without rows where all frames `names` have none.

    The answer is one frame, or a tuple or mapping of frames, and is nobody's to change. It is kept
    for each set of columns and types that the function is given; of what is no frame it must not
    depend.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = list(inspect.signature(function).parameters)
        places = [(name, parameters.index(name)) for name in names]

        @functools.wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R:
            for name, at in places:
                frame: Any = args[at] if at < len(args) else kwargs[name]
                if not frame.is_empty():
                    return function(*args, **kwargs)
            given = (*enumerate(args), *kwargs.items())
            key = (
                function,
                *((n, *f.schema.items()) for n, f in given if isinstance(f, pl.DataFrame)),
            )
            if key not in _answers:
                _answers[key] = function(*args, **kwargs)
            return _answers[key]  # type: ignore[no-any-return]

        return answer

    return decorate
