"""Modules and verbs under their former names: using one warns and gives what took its place."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from striate.core.progress import Progress, silent

if TYPE_CHECKING:
    from striate.core.spec import InputSpec

_MOVED = {
    "striate.data.augment": "striate.data.augmentation.augment",
    "striate.data.colour": "striate.data.preparation.colour",
    "striate.data.decode": "striate.data.images.decode",
    "striate.data.loader": "striate.data.loading.loader",
    "striate.data.measure": "striate.data.preparation.measure",
    "striate.data.memory": "striate.data.loading.cache",
    "striate.data.opening": "striate.data.sources.opening",
    "striate.data.picture": "striate.data.images.decoded",
    "striate.data.transforms": "striate.data.preparation.arrays",
    "striate.models.describe": "striate.tracing",
    "striate.models.folding": "striate.tracing",
    "striate.verbs._pictures": "striate.verbs._images",
}
VERBS = {"nearest": "striate.verbs.retrieve"}
_RENAMED = {"Picture": "DecodedImage", "hold": "load_cached"}


def _default_augmentation(spec: InputSpec, classes: Sequence[str]) -> SimpleNamespace:
    """Return what is left of `default_augmentation`: whether images are mirrored."""
    return SimpleNamespace(flip=import_module("striate.data.augmentation.mirroring").mirroring(spec, classes).allowed)


def _measure(*data: Any, progress: Progress = silent, **options: Any) -> InputSpec:
    """Measure an input with the options that are now the fields of one argument."""
    module = import_module("striate.data.preparation.measure")
    return module.measure(*data, module.InputSettings(**options), progress=progress)


_CHANGED = {
    "striate.data.augment": {"default_augmentation": _default_augmentation},
    "striate.data.measure": {"measure": _measure},
}


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in _MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        now = _MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is now {now}.", DeprecationWarning, stacklevel=2)
        found = import_module(now)
        module.__getattr__ = lambda name: getattr(found, _RENAMED.get(name, name))
        module.__dict__.update(_CHANGED.get(module.__name__, {}))


def install() -> None:
    """Let former names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def verb(name: str) -> Any:
    """Return the verb that took the place of `name`."""
    now = VERBS[name].rpartition(".")[2]
    warnings.warn(f"striate.{name} is now striate.{now}.", DeprecationWarning, stacklevel=3)
    return getattr(import_module(VERBS[name]), now)
