"""Errors for users: the rule, the value received, and the remedy, in one sentence.

Every mistake of a user raises a `StriateError`; the command line prints its message without a traceback. Any other
exception is a bug in Striate.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable


class StriateError(Exception):
    """A mistake that a user can correct; `str(error)` is the whole message."""


class ConfigError(StriateError):
    """A setting that does not exist, has the wrong type, or is out of range."""


class DataError(StriateError):
    """Data that are missing, unreadable, or invalid."""


class ModelError(StriateError):
    """A model that does not exist, or cannot be built for this input."""


class RunError(StriateError):
    """A run folder that exists already, is incomplete, damaged, or busy."""


class BusyError(RunError):
    """A run folder in which another process is writing."""


class TrainingError(StriateError):
    """A training that cannot continue."""


def command(*words: object) -> str:
    """Return a `striate` command line with its words quoted for a shell.

    >>> command("resume", "my runs/it's one")
    'striate resume \'my runs/it\'"\'"\'s one\''
    """
    return shlex.join(["striate", *map(str, words)])


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without a trailing period; the name of its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known name for an unknown one; list all known names if none is close.

    >>> nearest("lenet", ["lenet5", "mlp"])
    "Did you mean 'lenet5'?"
    """
    known = list(known)
    close = closest(name, known)
    if close is not None:
        return f"Did you mean {close!r}?"
    return f"Known are: {', '.join(known)}." if known else "None is known."


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest to an unknown one; None if none is close."""
    folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return folded[close[0]] if close else None
