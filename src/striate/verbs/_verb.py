"""The form of a verb that takes time: call it for its result, or read its events while it works."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, Protocol, TypeVar

Parameters = ParamSpec("Parameters")
Event = TypeVar("Event")
Result = TypeVar("Result")


class Verb(Protocol[Parameters, Event, Result]):
    """A function that works to the end and returns, with the same work as a stream of events beside it.

    `train("photos/")` returns the run; `train.events("photos/")` yields what happens, and leaving that loop (`break`)
    stops the work at a safe point. Both have one signature.
    """

    events: Callable[Parameters, Generator[Event, None, Result]]

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result: ...


def verb(function: Callable[Parameters, Generator[Event, None, Result]]) -> Verb[Parameters, Event, Result]:
    """Make a verb of a generator function that yields events and returns the result."""

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        events = function(*args, **kwargs)
        while True:
            try:
                next(events)
            except StopIteration as done:
                return done.value

    made: Any = run
    made.events = function
    return made
