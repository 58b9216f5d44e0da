"""A function from a registry with its options set, strictly: an option that it does not have is an error."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from striate.core.errors import ConfigError, nearest
from striate.core.registry import Registry

Result = TypeVar("Result")


def options(function: Callable[..., object]) -> tuple[str, ...]:
    """The names of a registered function's options: its keyword-only parameters."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def bind(registry: Registry[Callable[..., Result]], name: str, chosen: Mapping[str, Any]) -> functools.partial[Result]:
    """The function `name` of `registry` with the options `chosen`.

    Raises:
        ConfigError: there is no such function, or it has no such option.
    """
    function = registry[name]
    known = options(function)
    for option in chosen:
        if option not in known:
            hint = nearest(option, known) if known else "It has none."
            raise ConfigError(f"The {registry.kind} {name!r} has no option {option!r}. {hint}")
    return functools.partial(function, **chosen)
