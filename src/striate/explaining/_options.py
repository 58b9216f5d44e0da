"""A function as people call it, around a formula that is given something else."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Wrapper = TypeVar("Wrapper", bound=Callable[..., Any])


def around(formula: Callable[..., Any]) -> Callable[[Wrapper], Wrapper]:
    """As `functools.wraps(formula)`, but `help` shows what the wrapper takes, then the settings of the formula.

    Settings are what the formula takes by name only.
    """

    def named(wrapper: Wrapper) -> Wrapper:
        own = inspect.signature(wrapper)
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        taken = [one for one in own.parameters.values() if one.kind not in variable]
        told = inspect.signature(formula).parameters.values()
        settings = [one for one in told if one.kind is inspect.Parameter.KEYWORD_ONLY]
        functools.update_wrapper(wrapper, formula)
        vars(wrapper)["__signature__"] = own.replace(parameters=[*taken, *settings])
        return wrapper

    return named
