"""Find pretrained weights by file, catalogue name or hub id, and bring them to the paths of a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from torch import Tensor

from striate.core.errors import ModelError, nearest
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.models._create import default_input, meta_model
from striate.models.weights import entries
from striate.models.weights.files import WeightsFile, read_file


class Arguments(TypedDict):
    """Arguments of a model: number of classes and channels, and (height, width) of the input."""

    classes: int
    channels: int
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Weights that were trained before, with all that is known of them.

    `state` holds the tensors by the paths of `model`, built with `arguments`; a network that was built from them keeps
    this description without its tensors. `dialect` is the library whose names the file has. `input` and `labels` are
    None where nothing says how images are prepared and what the classes are. `source` is the path or address, `digest`
    that of the file; `top1` and `top5` are the published accuracies in per cent.
    """

    name: str
    model: str
    arguments: Arguments
    state: Mapping[str, Tensor] = field(repr=False)
    dialect: str
    source: str
    digest: str
    input: InputSpec | None = None
    labels: tuple[str, ...] | None = field(default=None, repr=False)
    licence: str = ""
    top1: float | None = None
    top5: float | None = None
    notes: tuple[str, ...] = ()


def pretrained(weights: str | os.PathLike[str], model: str | None = None, *, progress: Progress = silent) -> Pretrained:
    """Find weights and bring them to the paths of a model of the zoo.

    `weights` is the path of a file, a name of the catalogue, or a repository of the Hugging Face hub. `model` is a name
    of the zoo; it may be left out where the catalogue or the hub knows it. `progress` counts bytes of a download.

    Raises:
        ModelError: there are no such weights, the file is damaged, or they do not fit the model; the message says which
            tensor does not, its shape and the expected one.
        RunError: the cache cannot be written.
    """
    text = os.fspath(weights)
    if os.path.lexists(Path(text).expanduser()):
        return _of_file(Path(text).expanduser(), model)
    if entries.is_entry(text):
        return _of_entry(entries.entry(text), model, progress)
    raise ModelError(
        f"There are no weights {text!r}: neither a file, nor a name of the catalogue. {nearest(text, entries.names())}"
    )


def is_published(weights: str) -> bool:
    """Return whether `weights` has the form of a name of the catalogue or of a repository of the hub."""
    return entries.is_entry(weights)


def _of_file(path: Path, model: str | None) -> Pretrained:
    file = read_file(path)
    entry = entries.entry_with(file.digest)
    if entry is not None and model in (None, entry.model):
        return _described(file, entry, str(path))
    if model is None:
        raise ModelError(
            f"{path} does not say which model its weights are for. Name it, as in "
            f"striate.create('resnet50', weights={str(path)!r})."
        )
    return _fitted(file, model, name=path.name, source=str(path))


def _of_entry(entry: entries.Entry, model: str | None, progress: Progress) -> Pretrained:
    if model not in (None, entry.model):
        raise ModelError(f"{entry.name} are weights of {entry.model}, not of {model}.")
    path = entry.provide(progress)
    whole = entry.digest if entry.digest and entry.digest.startswith("sha256:") else None
    return _described(read_file(path, digest=whole), entry, entry.addresses[0] if entry.addresses else str(path))


def _described(file: WeightsFile, entry: entries.Entry, source: str) -> Pretrained:
    found = _fitted(file, entry.model, name=entry.name, source=source, size=entry.input.size)
    return Pretrained(
        found.name, found.model, found.arguments, found.state, found.dialect, found.source, found.digest,
        input=entry.input, labels=entry.labels, licence=entry.licence, top1=entry.top1, top5=entry.top5,
        notes=(entry.notes,) if entry.notes else (),
    )  # fmt: skip


def _fitted(
    file: WeightsFile, model: str, *, name: str, source: str, size: tuple[int, int] | None = None
) -> Pretrained:
    """Bring the tensors of a file to the paths of `model`, whose classes and channels they tell."""
    (channels, *sides), classes = default_input(model)
    size = size or (sides[0], sides[1])
    sketch = meta_model(model, classes=classes, channels=channels, size=size)
    state = file.tensors
    _check(state, sketch.state_dict(), model, source)
    arguments = Arguments(classes=classes, channels=channels, size=size)
    return Pretrained(name, model, arguments, state, "striate", source, file.digest)


def _check(state: Mapping[str, Tensor], places: Mapping[str, Tensor], model: str, source: str) -> None:
    for path, place in places.items():
        if path not in state or state[path].shape != place.shape:
            found = _shape(state[path]) if path in state else "not there"
            raise ModelError(f"{source} does not fit {model}: {path!r} is {found}, and {model} has {_shape(place)}.")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
