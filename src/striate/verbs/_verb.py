"""The form of a verb that takes time: call it for its result, or read its events while it works."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Generic, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Event = TypeVar("Event")
Result = TypeVar("Result")


class Verb(Generic[Parameters, Event, Result]):
    """A generator function that yields events and returns a result, made callable for the result alone.

    `train("photos/")` works to the end and returns; `train.events("photos/")` yields what happens, and leaving that
    loop (`break`) stops the work at a safe point. Both have the one signature of the function.
    """

    def __init__(self, function: Callable[Parameters, Generator[Event, None, Result]]) -> None:
        functools.update_wrapper(self, function)
        self.events = function

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Do the whole work and return its result."""
        events = self.events(*args, **kwargs)
        while True:
            try:
                next(events)
            except StopIteration as done:
                return done.value
