"""A classifier as a folder that can be copied anywhere: `model.safetensors`, `classifier.json`, and `images.npz`, by
which the images of its training are known again."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from striate.classifier.classifier import Classifier
from striate.classifier.description import Described, read_description
from striate.classifier.seen import SeenImages
from striate.core.config import to_json
from striate.core.errors import ModelError, RunError, StriateError
from striate.core.files import make_folder, open_regular, rename, write_atomically, write_json
from striate.models import OWN_MODELS, build_model, build_sketch, check_model
from striate.models.weights import load_weights

FORMAT = 1
_WEIGHTS, _DESCRIPTION = "model.safetensors", "classifier.json"
_NEXT_WEIGHTS = "next.safetensors"  # written, but perhaps not yet renamed
_ATTEMPTS = 20  # to read a pair of files while a training replaces them, each a few milliseconds after the other


def save_classifier(classifier: Classifier, folder: Path) -> None:
    """Write `classifier` into `folder`, in the place of the one that is there.

    A kill at any moment leaves the old classifier or the new one: the weights are written beside the old ones, the
    description, which carries their digest, decides which of them hold, and then they take their name.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    make_folder(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.model.state_dict().items()}
    weights = save_tensors(tensors)
    write_atomically(folder / _NEXT_WEIGHTS, weights)
    if classifier.seen is not None:
        classifier.seen.write(folder)
    description = {
        "format": FORMAT,
        "task": classifier.task.name,
        "model": {"name": classifier.model_name, "arguments": classifier.arguments},
        "input": to_json(classifier.input),
        "labels": to_json(classifier.labels),
        "temperature": classifier.temperature,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "provenance": asdict(classifier.provenance),
    }
    write_json(folder / _DESCRIPTION, description)
    rename(folder / _NEXT_WEIGHTS, folder / _WEIGHTS)


def describe_standing(folder: Path, unfinished: str) -> None:
    """Say in `folder`, where the classifier of an unfinished training lies, how far the training is now.

    Raises:
        RunError: there is no classifier, or the folder cannot be written.
    """
    description = _read_description(folder)
    description["provenance"] |= {"unfinished": unfinished}
    write_json(folder / _DESCRIPTION, description)


def standing(path: str | os.PathLike[str]) -> str | None:
    """How far the training of the classifier in `path` is ("epoch 40 of 60"), if it is not over.

    None too where there is no classifier that can be read.
    """
    try:
        provenance = _read_description(_folder(Path(path))).get("provenance")
    except RunError:
        return None
    unfinished = provenance.get("unfinished") if isinstance(provenance, dict) else None
    return unfinished if isinstance(unfinished, str) else None


def load_classifier(folder: str | os.PathLike[str]) -> Classifier:
    """Read a classifier, from its own folder or from the run that holds it.

    Raises:
        RunError: there is none, it is of another format, or a part of it is missing or damaged; the sentence says
            which part.
    """
    folder = _folder(Path(folder))
    description, weights = _read_pair(folder)
    try:
        described = read_description(description)
        _check_known(described.name, folder)
        tensors = _parsed(weights, folder)
        _check_shapes(described, tensors)
        with torch.random.fork_rng(devices=[]):  # the initial weights, which are replaced, are drawn from it
            model = build_model(described.name, **described.arguments)
        load_weights(model, tensors)
    except RunError:
        raise
    except StriateError as error:
        raise RunError(f"{folder / _DESCRIPTION} does not describe a classifier: {error}") from error
    seen = SeenImages.read(folder)
    return Classifier(
        model.eval(),
        described.name,
        described.arguments,
        described.input,
        described.labels,
        described.provenance,
        described.temperature,
        seen,
        described.task,
    )


def _folder(path: Path) -> Path:
    """Where the classifier lies: in `path` itself, or in the run that `path` is."""
    inside = path / "classifier"
    return inside if not _is_there(path / _DESCRIPTION) and _is_there(inside / _DESCRIPTION) else path


def _is_there(path: Path) -> bool:
    """Whether `path` is there, as far as can be told; reading it says what is wrong with it."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _check_known(name: str, folder: Path) -> None:
    try:
        check_model(name)
    except ModelError as error:
        raise RunError(
            f"{folder / _DESCRIPTION} names a model that is not known here: {error} If {name!r} is a model of your "
            "own, register it first: striate.register_model(…)."
        ) from error


def _hint(folder: Path) -> str:
    """What to do about a run without a classifier."""
    if not _is_there(folder / "recipe.json"):
        return ""
    run = shlex.quote(str(folder))
    return (
        f" Its training has not come so far yet. Go on with it: striate resume {run}; or end it: striate finish {run}"
    )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION
    try:
        with open_regular(path) as file:
            description = json.loads(file.read())
    except FileNotFoundError as error:
        raise RunError(f"There is no classifier in {folder}: {_DESCRIPTION} is not there.{_hint(folder)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error}). Restore it from a copy.") from error
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT:
        raise RunError(f"{path} has format {found!r}; this version of Striate reads format {FORMAT}.")
    return description


def _read_pair(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Read the description and the weights that belong to it, also while a training replaces both."""
    found: list[bytes] = []
    for _ in range(_ATTEMPTS):
        description = _read_description(folder)
        digest = description.get("weights_sha256")
        found = [data for name in (_NEXT_WEIGHTS, _WEIGHTS) if (data := _read_if_there(folder / name)) is not None]
        for data in found:
            if hashlib.sha256(data).hexdigest() == digest:
                return description, data
        if _read_description(folder).get("weights_sha256") == digest:  # nobody is replacing them
            break
    path = folder / _WEIGHTS
    if not found:
        raise RunError(f"The weights of the classifier are missing: {path} is not there.")
    raise RunError(f"{path} is not the file that {_DESCRIPTION} describes: its digest differs.")


def _read_if_there(path: Path) -> bytes | None:
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error}). Restore it from a copy.") from error


def _parsed(data: bytes, folder: Path) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:  # a type that torch has not, too
        raise RunError(f"{folder / _WEIGHTS} cannot be read ({error}). Restore it from a copy.") from error


def _check_shapes(described: Described, tensors: dict[str, torch.Tensor]) -> None:
    """Before the network takes memory: a description may ask for more than any machine has.

    Raises:
        ModelError: the weights are those of another network.
    """
    if described.name in OWN_MODELS:
        return
    expected = build_sketch(described.name, **described.arguments).state_dict()
    for name, place in expected.items():
        if name not in tensors or tensors[name].shape != place.shape:
            found = "×".join(map(str, tensors[name].shape)) if name in tensors else "not there"
            raise ModelError(
                f"{_WEIGHTS} does not fit the network {described.name}: {name!r} is {found or 'a single number'}, and "
                f"the network has {'×'.join(map(str, place.shape)) or 'a single number'}."
            )
