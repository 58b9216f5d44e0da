"""Registry of data sets with a name: `digits`, `shapes`, `mnist` … Each module registers its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from striate.core.config import override
from striate.core.errors import ConfigError, DataError
from striate.core.progress import Progress, silent
from striate.core.registry import Registry
from striate.data.dataset import Dataset


@dataclass(frozen=True)
class NoOptions:
    """Options of a data set that has none."""


@dataclass(frozen=True)
class Named:
    """A named data set and its functions.

    `open(options)` opens it, with `options` a frozen dataclass whose defaults are those of the set. Before that,
    `provide(progress)`, if there is one, downloads missing files. `recipe` is the name of the recipe that suits the
    data.
    """

    title: str
    open: Callable[[Any], Dataset]
    options: type = NoOptions
    provide: Callable[[Progress], None] | None = None
    recipe: str = "photos"


OWN_LOADERS = "(loaders of your own)"  # stands for a name or a path in the recipe of a run

DATASETS: Registry[Named] = Registry("data set", DataError)


def is_named(source: str | Path) -> TypeGuard[str]:
    """Return whether `source` is the name of a data set; a `Path` never is, so that it can mean a folder."""
    return isinstance(source, str) and source.partition(":")[0] in DATASETS


def open_named(text: str, progress: Progress = silent) -> Dataset:
    """Open a data set by its name and, where it has any, options: `"digits"`, `"shapes:count=2000,seed=1"`.

    Raises:
        DataError: there is no data set of this name, or its files could not be downloaded.
        ConfigError: it does not have such an option.
    """
    name, _, settings = text.partition(":")
    entry = DATASETS[name]
    try:
        options = override(entry.options(), [setting for setting in settings.split(",") if setting])
    except ConfigError as error:
        raise ConfigError(f"{text}: {error}") from error
    if entry.provide:
        entry.provide(progress)
    return entry.open(options)
