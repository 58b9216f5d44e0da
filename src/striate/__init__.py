"""Striate trains convolutional networks on your images, and shows why they decide.

    import striate

    run = striate.train("photos/", model="tiny_vgg")
    print(striate.predict(run, "cat.jpg"))

The verbs are imported when they are first used, so that `import striate` is quick and loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from striate.core.allocator import tune_process as tune_process
    from striate.data.loading.own_loaders import Loaders as Loaders
    from striate.models import register_model as register_model
    from striate.verbs.audit import audit as audit
    from striate.verbs.evaluate import evaluate as evaluate
    from striate.verbs.explain import explain as explain
    from striate.verbs.finish import finish as finish
    from striate.verbs.fool import fool as fool
    from striate.verbs.inspect import inspect as inspect
    from striate.verbs.list_models import list_models as list_models
    from striate.verbs.load import load as load
    from striate.verbs.nearest import nearest as nearest
    from striate.verbs.predict import predict as predict
    from striate.verbs.report import report as report
    from striate.verbs.resume import resume as resume
    from striate.verbs.show_progress import show_progress as show_progress
    from striate.verbs.summary import summary as summary
    from striate.verbs.train import train as train

_HOMES = {
    "Loaders": "striate.data.loading.own_loaders",
    "audit": "striate.verbs.audit",
    "evaluate": "striate.verbs.evaluate",
    "explain": "striate.verbs.explain",
    "finish": "striate.verbs.finish",
    "fool": "striate.verbs.fool",
    "inspect": "striate.verbs.inspect",
    "list_models": "striate.verbs.list_models",
    "load": "striate.verbs.load",
    "nearest": "striate.verbs.nearest",
    "predict": "striate.verbs.predict",
    "register_model": "striate.models",
    "report": "striate.verbs.report",
    "resume": "striate.verbs.resume",
    "show_progress": "striate.verbs.show_progress",
    "summary": "striate.verbs.summary",
    "train": "striate.verbs.train",
    "tune_process": "striate.core.allocator",
}

__all__ = ["__version__", *sorted(_HOMES)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("striate")
    if name not in _HOMES:
        raise AttributeError(f"module 'striate' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
