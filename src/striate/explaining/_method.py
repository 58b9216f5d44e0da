"""Turn formulas into registered methods: the decorator on which those of attributions and attacks are built."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from striate.core.registry import Registry

Entry = TypeVar("Entry")
Formula = TypeVar("Formula", bound=Callable[..., Any])


def registers_method(
    registry: Registry[Entry],
    describe: Callable[[str, Callable[..., Any], Formula], Entry],
    run: Callable[..., Any],
) -> Callable[[Formula], Any]:
    """Return a decorator that registers a formula under its name and replaces it by the function that users call.

    `describe(name, function, formula)` makes the registered entry. `run(entry, formula, *arguments, **settings)`
    carries out a call of the function: it checks the arguments, borrows the model, runs the formula and makes the
    result. The function's signature, which `help` shows, has the arguments of `run` after the first two, then the
    settings of the formula, which are its keyword-only parameters.
    """

    def decorate(formula: Formula) -> Any:
        name = formula.__name__
        signature = _signature(run, formula)

        def function(*args: Any, **settings: Any) -> Any:
            try:
                signature.bind(*args, **settings)
            except TypeError as error:
                raise TypeError(f"{name}() {error}") from None
            return run(entry, formula, *args, **settings)

        functools.update_wrapper(function, formula)
        vars(function)["__signature__"] = signature
        entry = describe(name, function, formula)
        registry.add(name, entry)
        return function

    return decorate


def _signature(run: Callable[..., Any], formula: Callable[..., Any]) -> inspect.Signature:
    taken = list(inspect.signature(run).parameters.values())[2:]
    positional = [one for one in taken if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    own = [one for one in taken if one.kind is inspect.Parameter.KEYWORD_ONLY]
    told = inspect.signature(formula).parameters.values()
    settings = [one for one in told if one.kind is inspect.Parameter.KEYWORD_ONLY]
    returned = inspect.signature(run).return_annotation
    return inspect.Signature([*positional, *settings, *own], return_annotation=returned)
