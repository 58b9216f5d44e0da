"""The form of a verb that takes time: call it for its result, or read its events while it works."""

from __future__ import annotations

import ast
import functools
import inspect
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
    """Make a verb of a generator function that yields events and returns the result.

    `help(verb)` and `inspect.signature(verb)` show what the call returns, not the generator.
    """

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        from striate.verbs.show_progress import display

        with display() as show:
            events = function(*args, **kwargs)
            while True:
                try:
                    show(next(events))
                except StopIteration as done:
                    return done.value

    signature = inspect.signature(function)
    made: Any = run
    made.__signature__ = signature.replace(return_annotation=_returned(signature.return_annotation))
    made.events = function
    return made


def _returned(annotation: str) -> str:
    """Return the last argument of `Generator[…, …, Result]`, as the annotation spells it."""
    subscript = ast.parse(annotation, mode="eval").body
    if not isinstance(subscript, ast.Subscript) or not isinstance(subscript.slice, ast.Tuple):
        raise TypeError(f"A verb's function is annotated to return Generator[Event, None, Result]; found {annotation}.")
    return ast.unparse(subscript.slice.elts[-1])
