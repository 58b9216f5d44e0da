"""Make a command from a verb and the function that shows its result, with the parameters of both."""

from __future__ import annotations

import builtins
import functools
import inspect
import operator
import re
import types
import typing
from collections import ChainMap, defaultdict
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import Parameter

from striate.cli.show.console import complain
from striate.verbs._trained import leading_runs

_ARGUMENT = re.compile(r"    [a-z_]+: ")
_EXAMPLE = re.compile(r"Example:\n(?:    .*\n)+\n")


def command(
    verb: Callable[..., Any], show: Callable[..., None], *, example: str, uses_run: bool = False
) -> Callable[..., None]:
    """Return a function for the command line: the verb's parameters, then those of `show` that only concern showing.

    `show` receives the call to make, of the verb or, for a training, of its events, and keyword-only switches of its
    own. The help is the verb's docstring with `example`, a command, in place of the one in Python; the switches of
    `show` carry their help in their annotations. With `uses_run`, the command warns if the training of a run
    among its first arguments is not complete.
    """
    parameters = [parameter for parameter in _parameters(verb) if not _of_python(parameter)]
    switches = [p for p in _parameters(show) if p.kind is p.KEYWORD_ONLY]
    names = {switch.name for switch in switches}

    def run(*args: Any, **kwargs: Any) -> None:
        shown = {name: kwargs.pop(name) for name in names & kwargs.keys()}
        if uses_run:
            for used in args[: 1 + leading_runs(args[1:])]:
                _warn_if_unfinished(used)
        show(functools.partial(getattr(verb, "events", verb), *args, **kwargs), **shown)

    signature = inspect.Signature([*parameters, *switches])
    run.__name__ = getattr(verb, "__name__", "command")
    run.__doc__ = _flowing(_for_terminal(inspect.getdoc(verb) or "", example))
    run.__signature__ = signature
    run.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return run


def _warn_if_unfinished(run: str) -> None:
    """Warn on standard error if the training of `run`, the folder of a run or a classifier, is not over."""
    from striate.classifier import standing

    unfinished = standing(run)
    if unfinished is not None:
        complain(f"The training of {run} is unfinished: {unfinished}. Its best weights so far are used.")


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters with their annotations as types.

    Names that are imported only for the type checker count as Any: a command line cannot express such a value, so a
    parameter that takes nothing else has no option.
    """
    target: Any = inspect.unwrap(function)
    names = ChainMap(target.__globals__, dict(vars(builtins)), defaultdict(lambda: Any))
    hints = typing.get_type_hints(target, localns=names, include_extras=True)
    signature = inspect.signature(target)
    return [
        _worded(parameter, hint)
        for name, parameter in signature.parameters.items()
        if (hint := _spelled(hints[name])) not in (Any, type(None))
    ]


def _spelled(hint: Any) -> Any:
    """Return a type hint without what a command line cannot express: functions, Any, and sequences of Any."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    spelled = [each for each in typing.get_args(hint) if not _holds_any(each) and typing.get_origin(each) != Callable]
    return functools.reduce(operator.or_, spelled)


def _holds_any(hint: Any) -> bool:
    return hint is Any or any(map(_holds_any, typing.get_args(hint)))


def _of_python(parameter: inspect.Parameter) -> bool:
    """Return whether a parameter takes Python objects only, annotated as Any; it has no option."""
    return typing.get_args(parameter.annotation)[:1] == (Any,)


def _worded(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    """Return the parameter as the help shows it: its name for its value, not a Python type; no empty default.

    Words may begin with a hyphen only where any number of them is taken: a lone - is the list on standard input.
    """
    shown = Parameter(
        metavar=parameter.name.rstrip("_").upper(),
        show_default=bool(parameter.default),
        allow_leading_hyphen=parameter.kind is parameter.VAR_POSITIONAL,
        validator=_no_option if parameter.kind is parameter.VAR_POSITIONAL else None,
    )
    return parameter.replace(annotation=Annotated[hint, shown])


def _no_option(kind: Any, words: Any) -> None:
    """Refuse a misspelt option among words that may begin with a hyphen."""
    for word in words if isinstance(words, (list, tuple)) else [words]:
        if str(word).startswith("--"):
            raise ValueError(f"There is no option {word}; a file of that name is written ./{word}.")


def usage(run: Callable[..., None], name: str) -> str:
    """Return the first line of a command's help: `Usage: striate predict [OPTIONS] RUN IMAGES...`."""
    words = ["Usage: striate", name]
    parameters = inspect.signature(run).parameters.values()
    if any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters):
        words.append("[OPTIONS]")
    for parameter in parameters:
        word = parameter.name.upper()
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"{word}...")
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            words.append(word if parameter.default is parameter.empty else f"[{word}]")
    return " ".join(words)


def _for_terminal(text: str, example: str) -> str:
    """Return a docstring for the command line: with a command as its example, and without the errors raised."""
    return _EXAMPLE.sub(f"Example: {example}\n\n", text.split("\nRaises:")[0]).rstrip()


def _flowing(text: str) -> str:
    """Return a docstring with each paragraph and argument on one line, which the terminal breaks."""
    lines = [""]
    for line in text.splitlines():
        begins = not line.strip() or not lines[-1].strip() or lines[-1] == "Args:" or _ARGUMENT.match(line)
        if begins:
            lines.append(line)
        else:
            lines[-1] += " " + line.strip()
    return "\n".join(lines[1:])
