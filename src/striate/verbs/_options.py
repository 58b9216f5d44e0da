"""The options of training verbs, as settings of the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._size import size_of

if TYPE_CHECKING:
    from striate.core.config import Overrides

SETTINGS = {
    "model": "model",
    "weights": "weights",
    "transfer": "transfer.name",
    "folds": "transfer.folds",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "optimizer": "optimizer.name",
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "seed": "seed",
    "device": "device",
    "precision": "precision",
    "workers": "loader_threads",
}
"""The setting of each option; `size` sets two, the height and the width of the input."""


def changes_of(settings: Overrides, *, size: object = None, **options: object) -> dict[str, object]:
    """Return the changes of a recipe by options and settings; an option that is None changes nothing.

    A network that is passed as `model` is registered under its own name.

    Raises:
        ConfigError: a setting is given twice, or the size cannot be read.
        ModelError: the network cannot be registered.
    """
    from striate.models import registered
    from striate.runs.plan import together

    found = {SETTINGS[name]: value for name, value in options.items() if value is not None}
    if not isinstance(found.get("model", ""), str):
        found["model"] = registered(found["model"])  # pyright: ignore[reportArgumentType]
    if isinstance(found.get("weights"), Path):
        found["weights"] = str(found["weights"])
    if size is not None:
        found["input.height"], found["input.width"] = size_of(size)
    return together(found, settings)
