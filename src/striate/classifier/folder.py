"""Save and load a classifier as a self-contained folder.

The folder holds `model.safetensors`, `classifier.json`, and `images.npz`, the digests of the images of its training;
after a transfer also `reference-….safetensors`, their features (`striate.classifier.reference`). Weights with few
distinct values may be packed (`striate.classifier.packing`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from striate.classifier.classifier import Classifier
from striate.classifier.description import Described, read_description
from striate.classifier.packing import pack, unpack
from striate.classifier.reference import Reference, remove_others
from striate.classifier.seen import SeenImages
from striate.core.config import to_json
from striate.core.errors import ModelError, RunError, StriateError, nearest
from striate.core.files import make_folder, open_regular, read_json, rename, write_atomically, write_json
from striate.core.rng import torch_random_state_kept
from striate.models import OWN_MODELS, build_model, build_sketch, check_model
from striate.models.weights import load_weights

FORMAT = 1
PACKED_FORMAT = 2
"""Format of a folder whose weights are packed."""
_WEIGHTS, _DESCRIPTION = "model.safetensors", "classifier.json"
_MARKS = (_DESCRIPTION, "recipe.json")  # of a folder that may be named
_NEXT_WEIGHTS = "next.safetensors"  # written, but possibly not renamed yet
_ATTEMPTS = 20  # to read a pair of files while a training replaces them, a few milliseconds apart


def save_classifier(classifier: Classifier, folder: Path, *, packed: bool = False) -> None:
    """Write `classifier` into `folder`, replacing an existing one; `packed`: in the form of Deep Compression.

    A kill at any moment leaves the old classifier or the new one. The new weights are written to a second file, then
    the description with their digest, which decides between the files, and then the second file is renamed.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    make_folder(folder)
    tensors = _apart(classifier.model)
    weights = pack(tensors)[0] if packed else save_tensors(tensors)
    write_atomically(folder / _NEXT_WEIGHTS, weights)
    if classifier.seen is not None:
        classifier.seen.write(folder)
    reference = classifier.reference.write(folder) if classifier.reference else None
    description = {
        "format": PACKED_FORMAT if packed else FORMAT,
        "task": to_json(classifier.task),
        "model": {"name": classifier.model_name, "arguments": classifier.arguments},
        "input": to_json(classifier.input),
        "labels": to_json(classifier.labels),
        "temperature": classifier.temperature,
        "reference": reference,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "provenance": asdict(classifier.provenance),
    }
    write_json(folder / _DESCRIPTION, description)
    rename(folder / _NEXT_WEIGHTS, folder / _WEIGHTS)
    remove_others(folder, reference)


def _apart(model: nn.Module) -> dict[str, Tensor]:
    """Return the state of `model` in tensors that share no memory, as a file must; a layer used twice has two names."""
    tensors: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in model.state_dict().items():
        own = tensor.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        tensors[name] = own.clone() if place in taken else own
        taken.add(place)
    return tensors


def describe_standing(folder: Path, unfinished: str) -> None:
    """Record the position of an unfinished training in the `folder` of its classifier.

    Raises:
        RunError: there is no classifier, or the folder cannot be written.
    """
    description = _read_description(folder)
    description["provenance"] |= {"unfinished": unfinished}
    write_json(folder / _DESCRIPTION, description)


def standing(path: str | os.PathLike[str]) -> str | None:
    """Return the position of an unfinished training ("epoch 40 of 60") from its classifier in `path`.

    None if the training is over or there is no readable classifier.
    """
    try:
        provenance = _read_description(_folder(Path(path))).get("provenance")
    except RunError:
        return None
    unfinished = provenance.get("unfinished") if isinstance(provenance, dict) else None
    return unfinished if isinstance(unfinished, str) else None


def load_classifier(folder: str | os.PathLike[str]) -> Classifier:
    """Load a classifier from its own folder or from the folder of its run.

    Raises:
        RunError: there is none, it is of another format, or a part of it is missing or damaged; the message names the
            part.
    """
    folder = _folder(Path(folder))
    description, weights = _read_pair(folder)
    try:
        described = read_description(description)
        _check_known(described.name, folder)
        tensors = _parsed(weights, folder)
        _check_shapes(described, tensors)
        with torch_random_state_kept():  # the model draws initial weights, which are replaced
            model = build_model(described.name, **described.arguments)
        load_weights(model, tensors)
        reference = _reference(folder, description, model)
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
        reference,
    )


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of the weights of the classifier in `folder`, as its description has it.

    Raises:
        RunError: there is none.
    """
    return str(_read_description(_folder(folder)).get("weights_sha256"))


def _reference(folder: Path, description: dict[str, Any], model: nn.Module) -> Reference | None:
    reference = Reference.read(folder, description.get("reference"))
    if reference is not None and reference.place not in dict(model.named_modules()):
        raise RunError(f"{folder / _DESCRIPTION}: the network has no layer {reference.place!r} for its reference.")
    return reference


def _folder(path: Path) -> Path:
    """Return the folder of the classifier: `path` itself, or `classifier` inside if `path` is a run."""
    inside = path / "classifier"
    return inside if not _is_there(path / _DESCRIPTION) and _is_there(inside / _DESCRIPTION) else path


def _is_there(path: Path) -> bool:
    """Return whether `path` exists; False if that cannot be determined, because reading it raises the clearer error."""
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
            "own, register it first: striate.register_model(…), on the command line by --import MODULE."
        ) from error


def _hint(folder: Path) -> str:
    """Say why there is no classifier in `folder`, and suggest how to obtain one."""
    if not _is_there(folder):
        return f": there is no such folder. {_neighbours(folder)}"
    if not _is_there(folder / "recipe.json"):
        return f": {_DESCRIPTION} is not there."
    run = shlex.quote(str(folder))
    return (
        f": {_DESCRIPTION} is not there. Its training has not saved one yet. Continue it: striate resume {run}; or end "
        f"it: striate finish {run}"
    )


def _neighbours(folder: Path) -> str:
    """Name runs and classifiers in the same folder as `folder`, which does not exist."""
    parent = folder.parent
    with contextlib.suppress(OSError):
        holding = (each for each in sorted(parent.iterdir()) if any(_is_there(each / name) for name in _MARKS))
        if names := [each.name for each in holding]:
            return nearest(folder.name, names)
    return "Train one: striate train DATA"


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION
    try:
        description = read_json(path, "Restore it from a copy.")
    except FileNotFoundError as error:
        raise RunError(f"There is no classifier in {folder}{_hint(folder)}") from error
    found = description.get("format") if isinstance(description, dict) else None
    if found not in (FORMAT, PACKED_FORMAT):
        raise RunError(
            f"{path} has format {found!r}; this version of Striate reads formats {FORMAT} and {PACKED_FORMAT}."
        )
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
        if _read_description(folder).get("weights_sha256") == digest:  # no other process is replacing them
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
        return unpack(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:  # includes types unknown to torch
        raise RunError(f"{folder / _WEIGHTS} cannot be read ({error}). Restore it from a copy.") from error


def _check_shapes(described: Described, tensors: dict[str, torch.Tensor]) -> None:
    """Compare shapes before the model is allocated: a damaged description could exceed any memory.

    Raises:
        ModelError: the weights are of another model.
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
