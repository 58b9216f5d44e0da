"""The run or classifier that a verb takes: a run as `train` returns it, its path, or a classifier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from striate.core.errors import ConfigError

if TYPE_CHECKING:
    from striate.classifier import Classifier
    from striate.runs.folder import Run

Trained: TypeAlias = "Run | Classifier | str | os.PathLike[str]"


def classifier_of(trained: Trained, device: str = "auto") -> Classifier:
    """Return the classifier, on `device`.

    Raises:
        RunError: there is no classifier at this path, or it is damaged.
        ConfigError: `trained` is of another type, or this machine has no such device.
    """
    from striate.classifier import Classifier, load_classifier
    from striate.core.device import device_named

    place = device_named(device)  # a wrong name is said before anything is read
    if isinstance(trained, Classifier):
        return trained if device == "auto" else trained.to(place)
    return load_classifier(path_of(trained)).to(place)


def folder_of(trained: Trained) -> Path | None:
    """Return the folder of a run or of a classifier; None for a classifier in memory."""
    from striate.classifier import Classifier

    return None if isinstance(trained, Classifier) else path_of(trained)


def path_of(trained: str | os.PathLike[str]) -> Path:
    """Return the path of a run.

    Raises:
        ConfigError: `trained` is of another type.
    """
    if not isinstance(trained, (str, os.PathLike)):
        raise ConfigError(
            "A run is given as 'train' returns it, or as the path of its folder; "
            f"received an object of type {type(trained).__name__}."
        )
    return Path(trained)


def run_of(trained: Trained) -> Run | None:
    """Return the run of a folder, its own or the one around its classifier; None where there is none."""
    from striate.runs.folder import Run

    folder = folder_of(trained)
    if folder is None:
        return None
    candidates = [Run(folder)]
    if folder.name == "classifier":
        candidates.append(Run(folder.parent))
    return next((run for run in candidates if os.path.exists(run.recipe_file)), None)


def own_data(trained: Trained) -> str:
    """Return the name of the data of a run, as they were named when it was trained.

    Raises:
        ConfigError: this is a classifier without its run, which has no data.
        RunError: the run is damaged.
    """
    from striate.runs.plan import Plan

    run = run_of(trained)
    if run is None:
        where = folder_of(trained) or "This classifier"
        raise ConfigError(f"{where} is a classifier without its run and has no data of its own: name the data.")
    return Plan.read(run).data
