"""Striate trains convolutional networks on your images, and shows why they decide.

    import striate

    run = striate.train("photos/", model="tiny_vgg")
    print(striate.predict(run, "cat.jpg"))

The verbs named here are also the commands of the command line. Each imports what it needs when it is called, so that
`import striate` is quick and does not load torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate import _former
from striate.core.allocator import tune_process as tune_process
from striate.core.errors import StriateError as StriateError
from striate.verbs.audit import audit as audit
from striate.verbs.clusters import clusters as clusters
from striate.verbs.compare import compare as compare
from striate.verbs.compress import compress as compress
from striate.verbs.concepts import concepts as concepts
from striate.verbs.create import create as create
from striate.verbs.diagnose import diagnose as diagnose
from striate.verbs.evaluate import evaluate as evaluate
from striate.verbs.events import events as events
from striate.verbs.explain import explain as explain
from striate.verbs.export import export as export
from striate.verbs.features import features as features
from striate.verbs.find_lr import find_lr as find_lr
from striate.verbs.finish import finish as finish
from striate.verbs.fool import fool as fool
from striate.verbs.inspect import inspect as inspect
from striate.verbs.list_models import list_models as list_models
from striate.verbs.load import load as load
from striate.verbs.predict import predict as predict
from striate.verbs.recipes import recipes as recipes
from striate.verbs.report import report as report
from striate.verbs.resume import resume as resume
from striate.verbs.retrieve import retrieve as retrieve
from striate.verbs.serve import serve as serve
from striate.verbs.show_progress import show_progress as show_progress
from striate.verbs.summary import summary as summary
from striate.verbs.train import train as train

if TYPE_CHECKING:
    from typing import Any

    from striate.data.loading.own_loaders import Loaders as Loaders
    from striate.models import freeze as freeze
    from striate.models import layer_groups as layer_groups
    from striate.models import register_model as register_model
    from striate.models import replace_head as replace_head
    from striate.models import thaw as thaw

_former.install()

_LOADED_ON_USE = {  # they load torch
    "Loaders": "striate.data.loading.own_loaders",
    **dict.fromkeys(("freeze", "layer_groups", "register_model", "replace_head", "thaw"), "striate.models"),
}

__all__ = [
    "__version__",  # pyright: ignore[reportUnsupportedDunderAll]
    *sorted([name for name, value in vars().items() if callable(value)] + list(_LOADED_ON_USE)),
]


def __getattr__(name: str) -> Any:
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("striate")
    if name in _former.VERBS:
        return _former.verb(name)
    if name not in _LOADED_ON_USE:
        raise AttributeError(f"module 'striate' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_LOADED_ON_USE[name]), name)


def __dir__() -> list[str]:
    return __all__
