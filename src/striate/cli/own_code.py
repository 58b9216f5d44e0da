"""Import a user's own modules before a command, so that what they register is known: `--import MODULE`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from striate.core.errors import ConfigError, first_line
from striate.core.files import expanded

OPTION = "--import"
VARIABLE = "STRIATE_IMPORT"


def named_modules(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the modules to import, those of the environment variable first, and the words without the option.

    Raises:
        ConfigError: the option has no value.
    """
    modules = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    left, given = [], iter(words)
    for word in given:
        if word == "--":
            left += [word, *given]
        elif word == OPTION:
            modules.append(next(given, ""))
        elif word.startswith(f"{OPTION}="):
            modules.append(word.partition("=")[2])
        else:
            left.append(word)
    if "" in modules:
        raise ConfigError(
            f"{OPTION} needs a module or a Python file, as in {OPTION} my_losses or {OPTION} my_losses.py."
        )
    return modules, left


def import_module(name: str) -> ModuleType:
    """Import a module, found from the working folder too, or a Python file.

    Raises:
        ConfigError: there is no such module or file, or it fails.
    """
    path = expanded(name)
    is_file = name.endswith(".py")
    if is_file and not path.is_file():
        raise ConfigError(f"{OPTION}: there is no file {name}.")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return _executed(path) if is_file else importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise ConfigError(f"{OPTION} {name}: {_failure(error)}") from error
        raise ConfigError(
            f"{OPTION}: there is no module {name!r}, neither in the working folder nor installed. Name a file as in "
            f"{OPTION} {name}.py."
        ) from error
    except Exception as error:  # the module may raise any
        raise ConfigError(f"{OPTION} {name}: {_failure(error)}") from error


def _executed(path: Path) -> ModuleType:
    """Return the module of a file, which is imported once, under the name of the file."""
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path.absolute()):
        return known
    if known is not None:
        raise ConfigError(f"{OPTION} {path}: a module {path.stem!r} is loaded already. Rename the file.")
    spec = importlib.util.spec_from_file_location(path.stem, path.absolute())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # a dataclass looks up its module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _failure(error: Exception) -> str:
    """Return an error of a module in one sentence, with the place at which it was raised."""
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"{first_line(error)}. Correct the module."
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {first_line(error)} (line {place.lineno} of {place.filename}). Correct the module."
