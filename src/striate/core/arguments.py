"""Check the arguments of public functions by their annotations."""

from __future__ import annotations

import builtins
import functools
import inspect
import os
import types
import typing
from collections import ChainMap, defaultdict
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from striate.core.errors import ConfigError, nearest
from striate.core.progress import Progress

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_UNIONS = (typing.Union, types.UnionType)


def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return `function` with a check that each argument is of its annotated type.

    A name that is imported for the type checker only counts as Any. NumPy's integers and floating numbers are numbers,
    lists are sequences and tuples, and 0 and 1 are booleans, but booleans are no numbers. A call with wrong or missing
    arguments raises Python's own TypeError.

    Raises:
        ConfigError: (when the function is called) an argument is of another type.
    """

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        check_arguments(function, args, kwargs)
        return function(*args, **kwargs)

    return run


def check_arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Check the arguments of a call of `function`, as `checked` describes.

    Raises:
        ConfigError: an argument is of another type.
    """
    signature, hints = _declared(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:  # the call itself raises it, with the name of the function
        return
    for name, value in given.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        for one in value if several else (value,):
            if name in hints and not _fits(one, hints[name]):
                raise ConfigError(f"{name} is {_words(hints[name])}; received {_shown(one)}.{_hint(one, hints[name])}")


@functools.cache
def _declared(function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    target: Any = inspect.unwrap(function)
    names = ChainMap(target.__globals__, dict(vars(builtins)), {"Progress": Progress}, defaultdict(lambda: Any))
    return inspect.signature(target), typing.get_type_hints(target, localns=names)


def _fits(value: object, hint: Any) -> bool:
    """Return whether `value` is of the type `hint`."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        return any(_fits(value, one) for one in inner)
    if origin is typing.Literal:
        return isinstance(value, str) and value in inner
    if isinstance(hint, TypeVar):
        return hint.__bound__ is None or _fits(value, hint.__bound__)
    if origin is tuple:
        return isinstance(value, (tuple, list)) and len(value) == len(inner) and all(map(_fits, value, inner))
    kind = origin or hint
    if kind is bool:
        return _is_bool(value) or (isinstance(value, int) and value in (0, 1))
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not _is_bool(value)
    if kind is Sequence:
        return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    if kind is Path:
        return isinstance(value, os.PathLike)
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def _is_bool(value: object) -> bool:
    kind = type(value)
    return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


_WORDS = {
    str: "a text", Path: "a path", int: "a whole number", float: "a number", bool: "True or False",
    type(None): "None", tuple: "a tuple", Sequence: "a list", Mapping: "a dictionary", Callable: "a function",
}  # fmt: skip


def _words(hint: Any) -> str:
    """Describe a type in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, TypeVar):
        return _words(hint.__bound__)
    if origin is typing.Literal:
        return _joined([repr(one) for one in inner])
    if origin is tuple:
        return "a tuple of " + " and ".join(map(_words, inner))
    if origin in _UNIONS:
        return _joined(list(dict.fromkeys(map(_words, inner))))
    return _WORDS.get(origin or hint) or f"a {(origin or hint).__name__}"


def _joined(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _shown(value: object) -> str:
    shown = repr(value)[:80]
    return shown if isinstance(value, str) or value is None else f"{shown} ({type(value).__name__})"


def _hint(value: object, hint: Any) -> str:
    """Suggest the closest of the texts that are possible."""
    known = [text for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is typing.Literal
             for text in typing.get_args(one)]  # fmt: skip
    close = nearest(value, known) if known and isinstance(value, str) else ""
    return f" {close}" if close.startswith("Did") else ""
