"""Sentences for mistakes on the command line: what the command takes, what was received, and the remedy."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Sequence
from typing import Any

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    Token,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    convert,
)

from striate.cli.commands import COMMANDS
from striate.cli.hints import meant

_KINDS = {int: "a whole number", float: "a number", bool: "no value"}


def sentence(error: CycloptsError) -> str:
    """Return a mistake as one sentence and its remedy."""
    verb = " ".join(error.command_chain or ())
    named = " ".join(["striate", *error.command_chain]) if error.command_chain else "striate"
    see = f"See {named} --help."
    match error:
        case UnknownOptionError() if verb == "train" and (hint := meant(_option(error.token))):
            return f"There is no option {_option(error.token)}. {hint}"
        case UnusedCliTokensError():
            return f"'{named}' does not take {' '.join(map(repr, error.unused_tokens or ()))}. {see}"
        case UnknownCommandError():
            word = (error.unused_tokens or [""])[0]
            similar = difflib.get_close_matches(word, COMMANDS, 1)
            remedy = f"Did you mean {similar[0]}? All commands:" if similar else "All commands:"
            return f"There is no command {word!r}. {remedy} striate --help."
        case MissingArgumentError(argument=argument) if argument is not None:
            option = error.keyword or argument.name
            needs = f"{option} needs a value" if option.startswith("-") else f"'{named}' needs {option}"
            return f"{needs}. {see}"
        case RepeatArgumentError():
            return f"{_option(error.token)} was given more than once. Give it once."
        case CoercionError(token=token, target_type=kind) if token is not None and kind in _KINDS:
            option = token.keyword or (error.argument.name if error.argument else "an argument")
            return f"{option} takes {_KINDS[kind]}; received {token.value!r}."
    return str(error)


def _option(token: Token) -> str:
    return str(token.keyword or token.value)


def converted(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert the words of an option to its type, and refuse fractions of whole numbers, which cyclopts would round.

    Raises:
        CoercionError: a word is no value of the type.
    """
    kinds = _members(kind)
    if int in kinds and not kinds & {float, str}:
        for token in tokens:
            if "." in token.value:
                raise CoercionError(token=token, target_type=int)
    return convert(kind, tokens)


def _members(kind: Any) -> set[Any]:
    inner = typing.get_args(kind)
    return {kind}.union(*map(_members, inner)) if inner else {kind}
