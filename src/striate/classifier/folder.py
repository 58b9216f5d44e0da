"""A classifier as a folder that can be copied anywhere: `model.safetensors`, `classifier.json`, and `images.npz`, by
which the images of its training are known again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from striate.classifier.classifier import Arguments, Classifier
from striate.classifier.provenance import Provenance
from striate.classifier.seen import SeenImages
from striate.core.config import from_json, to_json
from striate.core.errors import ModelError, RunError, StriateError
from striate.core.files import file_digest, make_folder, write_atomically, write_json
from striate.core.spec import InputSpec, LabelSpec
from striate.models import build_model, check_model

FORMAT = 1
_WEIGHTS, _DESCRIPTION = "model.safetensors", "classifier.json"


def save_classifier(classifier: Classifier, folder: Path) -> None:
    """Write `classifier` into `folder`.

    The weights come first and the description, which carries their digest, last: a kill in between leaves either the
    old pair or a pair that `load_classifier` refuses by its digest.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    make_folder(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.model.state_dict().items()}
    write_atomically(folder / _WEIGHTS, save_tensors(tensors))
    if classifier.seen is not None:
        classifier.seen.write(folder)
    description = {
        "format": FORMAT,
        "model": {"name": classifier.model_name, "arguments": classifier.arguments},
        "input": to_json(classifier.input),
        "labels": to_json(classifier.labels),
        "temperature": classifier.temperature,
        "weights_sha256": file_digest(folder / _WEIGHTS),
        "provenance": asdict(classifier.provenance),
    }
    write_json(folder / _DESCRIPTION, description)


def load_classifier(folder: str | os.PathLike[str]) -> Classifier:
    """Read a classifier, from its own folder or from the run that holds it.

    Raises:
        RunError: there is none, it is of another format, or a part of it is missing or damaged; the sentence says
            which part.
    """
    folder = Path(folder)
    if not (folder / _DESCRIPTION).exists() and (folder / "classifier" / _DESCRIPTION).exists():
        folder = folder / "classifier"
    description = _read_description(folder)
    try:
        input_spec = from_json(InputSpec, description["input"])
        labels = from_json(LabelSpec, description["labels"])
        name, stored = description["model"]["name"], description["model"]["arguments"]
        arguments = Arguments(
            classes=stored["classes"], channels=stored["channels"], size=(stored["size"][0], stored["size"][1])
        )
        _check_known(name, folder)
        model = build_model(name, **arguments)
        provenance = Provenance(**description["provenance"])
        temperature = float(description["temperature"])
    except StriateError as error:
        raise RunError(f"{folder / _DESCRIPTION} does not describe a classifier: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder / _DESCRIPTION} is incomplete or damaged ({error}). Restore it from a copy."
        ) from error
    model.load_state_dict(_read_weights(folder, description, model.state_dict()))
    seen = SeenImages.read(folder)
    return Classifier(model.eval(), name, arguments, input_spec, labels, provenance, temperature, seen)


def _check_known(name: str, folder: Path) -> None:
    try:
        check_model(name)
    except ModelError as error:
        raise RunError(
            f"{folder / _DESCRIPTION} names a model that is not known here: {error} If {name!r} is a model of your "
            "own, register it first: striate.register_model(…)."
        ) from error


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"There is no classifier in {folder}: {_DESCRIPTION} is not there.") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}). Restore it from a copy.") from error
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT:
        raise RunError(f"{path} has format {found!r}; this version of Striate reads format {FORMAT}.")
    return description


def _read_weights(
    folder: Path, description: dict[str, Any], expected: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    path = folder / _WEIGHTS
    try:
        if file_digest(path) != description["weights_sha256"]:
            raise RunError(f"{path} is not the file that {_DESCRIPTION} describes: its digest differs.")
        tensors = load_tensors(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"The weights of the classifier are missing: {path} is not there.") from error
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read ({error}). Restore it from a copy.") from error
    if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in expected.items()}:
        raise RunError(f"The weights in {path} do not fit the network that {_DESCRIPTION} names.")
    return tensors
