"""Decorators of the verbs: check arguments, show progress, and yield the events of a training."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, Protocol, TypeVar

from striate.core.arguments import check_arguments
from striate.verbs.show_progress import display

Parameters = ParamSpec("Parameters")
Event = TypeVar("Event")
Result = TypeVar("Result")
Out = TypeVar("Out", covariant=True)


def with_progress(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Show a bar on a terminal or in a notebook while `function` works, unless the caller passes `progress`.

    The arguments are checked (`striate.core.arguments`).
    """

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        check_arguments(function, args, kwargs)
        if kwargs.get("progress") is not None:
            return function(*args, **kwargs)
        with display() as shown:
            kwargs["progress"] = shown.progress
            return function(*args, **kwargs)

    return run


class Training(Protocol[Parameters, Event, Out]):
    """A function that trains to the end and returns the run; its `events` yields the events of such a training.

    A `break` out of a loop over the events saves at a `SafePoint`; elsewhere the last checkpoint does not change.
    """

    events: Callable[Parameters, Generator[Event, None, Any]]

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Out: ...


def training(function: Callable[Parameters, Generator[Event, None, Result]]) -> Training[Parameters, Event, Result]:
    """Make a verb of a generator function that yields the events of a training and returns the result.

    `help` and `inspect.signature` show what the call returns, not the generator. The arguments are checked
    (`striate.core.arguments`), also those of `events`.
    """

    @functools.wraps(function)
    def events(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Generator[Event, None, Result]:
        check_arguments(function, args, kwargs)
        return function(*args, **kwargs)

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with display() as shown:
            if kwargs.get("progress") is None:
                kwargs["progress"] = shown.progress
            training = events(*args, **kwargs)
            while True:
                try:
                    shown.event(next(training))
                except StopIteration as done:
                    return done.value

    signature = inspect.signature(function)
    verb: Any = run
    verb.__signature__ = signature.replace(return_annotation=_returned(signature.return_annotation))
    verb.events = events
    return verb


def _returned(annotation: str) -> str:
    """Return the last argument of `Generator[…, …, Result]`, as the annotation spells it."""
    subscript = ast.parse(annotation, mode="eval").body
    if not isinstance(subscript, ast.Subscript) or not isinstance(subscript.slice, ast.Tuple):
        raise TypeError(f"A training's function is annotated to return Generator[Event, None, Result]: {annotation}.")
    return ast.unparse(subscript.slice.elts[-1])
