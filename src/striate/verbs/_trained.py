"""The run or classifier that a verb takes: a run as `train` returns it, its path, or a classifier; or several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from striate.core.errors import ConfigError, DataError, ModelError, command
from striate.core.progress import Progress, silent

if TYPE_CHECKING:
    from numpy import ndarray

    from striate.classifier import Classifier, Ensemble
    from striate.data.dataset import Dataset
    from striate.runs.folder import Run

Trained: TypeAlias = "Run | Classifier | str | os.PathLike[str]"
Several: TypeAlias = "Trained | Ensemble | Sequence[Trained]"


def leading_runs(words: Sequence[object]) -> int:
    """Return how many of `words` are runs, before the first that is none.

    A run is a run or classifier in memory, the folder of one, or the name of weights in the catalogue.
    """
    return len(list(takewhile(_is_trained, words)))


def _is_trained(word: object) -> bool:
    if not isinstance(word, (str, os.PathLike)):
        return type(word).__module__.startswith("striate.classifier.")
    path = Path(word)
    if os.path.lexists(path):
        files = ("recipe.json", "classifier.json", "classifier/classifier.json")
        return any(os.path.exists(path / file) for file in files)
    from striate.models.weights import entries

    return entries.is_entry(str(word))


def together(run: Several, more: Sequence[object]) -> list[Trained]:
    """Return the runs that answer together: `run`, which may be several, and `more`.

    Raises:
        ConfigError: there is none.
    """
    from striate.classifier import Ensemble

    runs: list[Trained] = []
    for each in (run, *more):
        if isinstance(each, Ensemble):
            runs += each.members
        elif isinstance(each, (list, tuple)):
            runs += each
        else:
            runs.append(each)  # pyright: ignore[reportArgumentType]
    if not runs:
        raise ConfigError("Name at least one run; received an empty list.")
    return runs


def predictor_of(
    runs: Sequence[Trained],
    device: str = "auto",
    *,
    weights: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Classifier | Ensemble:
    """Return the classifier of one run, or the ensemble of those of several.

    Raises:
        RunError, ModelError, ConfigError: as for `classifier_of`, or the classifiers differ in their classes.
    """
    from striate.classifier import Ensemble

    if len(runs) == 1:
        return classifier_of(runs[0], device, weights=weights, progress=progress)
    if weights is not None:
        raise ConfigError("weights are those of one network; received several runs. Leave the weights out.")
    return Ensemble(classifier_of(run, device, progress=progress) for run in runs)


def classifier_of(
    trained: Trained,
    device: str = "auto",
    *,
    weights: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Classifier:
    """Return the classifier, on `device`; with `weights`, that of the model of the zoo that `trained` names.

    Without a folder at this path, a name of the catalogue of weights or a repository of the Hugging Face hub gives the
    classifier of these weights.

    Raises:
        RunError: there is no classifier at this path, or it is damaged.
        ModelError: there are no such weights, or they do not fit the model.
        ConfigError: `trained` is of another type, or this machine has no such device.
    """
    from striate.classifier import Classifier, Ensemble, load_classifier, pretrained_classifier
    from striate.core.device import device_named
    from striate.models import MODELS
    from striate.models.weights import is_published, pretrained

    place = device_named(device)  # refuse a wrong name before anything is read
    if weights is not None:
        if not isinstance(trained, str):
            raise ConfigError("With weights, the first argument is the name of a network, as in 'resnet50'.")
        return pretrained_classifier(pretrained(weights, trained, progress=progress)).to(place)
    if isinstance(trained, Classifier):
        return trained if device == "auto" else trained.to(place)
    if isinstance(trained, (Ensemble, list, tuple)):
        raise ConfigError("This needs one run, and received several. Pass one of them, as in ensemble.members[0].")
    path, name = path_of(trained), str(trained)
    if not os.path.lexists(path) and is_published(name):
        return pretrained_classifier(pretrained(name, progress=progress)).to(place)
    if not os.path.lexists(path) and name.partition(".")[0] in MODELS:
        raise ModelError(
            f"The catalogue has no weights {name!r}. Pass a file of weights with --weights, list what there is with "
            f"'striate list-models --weights', or train: {command('train', 'DATA', '--model', name.partition('.')[0])}"
        )
    return load_classifier(path).to(place)


def in_runtime(predictor: Classifier | Ensemble, run: Trained, runtime: str) -> Classifier | Ensemble:
    """Return the classifier of `run` with the runtime of its export for this processor, if `runtime` is auto.

    Without such an export, on another device, and for several runs, torch computes.

    Raises:
        ConfigError: there is no such runtime.
        RunError: the export is damaged, or a file in it was changed.
    """
    from striate.classifier import Classifier

    if runtime not in ("auto", "torch"):
        raise ConfigError(
            f"runtime is auto, the fastest of an export for this processor, or torch; received {runtime!r}."
        )
    if runtime == "torch" or not isinstance(predictor, Classifier) or predictor.device.type != "cpu":
        return predictor
    folder = folder_of(run)
    runs = () if folder is None else (folder, folder.parent) if folder.name == "classifier" else (folder,)
    exported = [path / "exports" / "cpu" for path in runs if os.path.exists(path / "exports" / "cpu" / "card.json")]
    if not exported:
        return predictor
    from striate.exporting import cpu_files

    return cpu_files.in_runtime(predictor, exported[0])


def folder_of(trained: Trained) -> Path | None:
    """Return the folder of a run or of a classifier; None for a classifier in memory or without a run."""
    from striate.classifier import Classifier

    if isinstance(trained, Classifier):
        return None
    path = path_of(trained)
    return path if os.path.exists(path) else None


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
    """Return the data of a run as the user named them for its training.

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


def training_images(run: Trained, classifier: Classifier, progress: Progress) -> tuple[Dataset, ndarray]:
    """Return the data of a run, and the indices of the images that it was trained on.

    Raises:
        ConfigError: this is a classifier without its run, which has no data.
        DataError: the data are no longer there, or none of those images.
        RunError: the run is damaged.
    """
    import numpy as np

    from striate.data.audit import audit
    from striate.data.sources.opening import open_data
    from striate.runs.evaluate import matched
    from striate.runs.images import own_splits

    source = own_data(run)
    dataset, known, _ = matched(open_data(source, minimum_classes=1, progress=progress), classifier.labels)
    index = audit(dataset, channels=classifier.input.channels, progress=progress).index
    indices = np.intersect1d(own_splits(run_of(run), dataset, index)["train"], known)
    if not len(indices):
        raise DataError(f"{source} has none of the images that the run was trained on: put them back.")
    return dataset, indices
