"""Errors that are sentences: what was expected, what was received, what to do next.

Everything a user can get wrong raises a `StriateError`; the command line prints its sentence and no traceback.
Any other exception is a defect of ours.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable


class StriateError(Exception):
    """A mistake that a user can mend; `str(error)` is the whole message."""


class ConfigError(StriateError):
    """A setting that does not exist, has the wrong type, or cannot be."""


class DataError(StriateError):
    """Data that are missing, unreadable, or not what they should be."""


class ModelError(StriateError):
    """A network that does not exist, or cannot be built for this input."""


class RunError(StriateError):
    """A run folder that is taken, incomplete, damaged, or busy."""


class BusyError(RunError):
    """A run folder in which another process is writing."""


class TrainingError(StriateError):
    """A training that cannot go on."""


def command(*words: object) -> str:
    """A command of ours as it can be pasted into a shell, whatever its words hold.

    >>> command("resume", "my runs/it's one")
    'striate resume \'my runs/it\'"\'"\'s one\''
    """
    return shlex.join(["striate", *map(str, words)])


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the likely meant one, or all that are known.

    >>> nearest("lenet", ["lenet5", "mlp"])
    "Did you mean 'lenet5'?"
    """
    known = list(known)
    folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {folded[close[0]]!r}?"
    return f"Known are: {', '.join(known)}." if known else "None is known."
