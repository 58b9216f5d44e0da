"""Find pretrained weights by file, folder, catalogue name or hub id, and bring them to the paths of a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from striate.core.errors import ModelError
from striate.core.files import expanded
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.models._create import Arguments, default_input, meta_model
from striate.models._own import OWN_MODELS
from striate.models._padding import split_padding
from striate.models._zoo import Network
from striate.models.weights import entries, hub
from striate.models.weights.described import Described, described_by_config, described_by_striate
from striate.models.weights.dialects import DIALECTS, Dialect, recognise
from striate.models.weights.dialects.dialect import head_prefixes
from striate.models.weights.files import WeightsFile, read_file
from striate.models.weights.load import by, fits

_PREFIXES = ("timm/", "hf-hub:", "hf_hub:")
FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Pretrained weights and their description.

    `state` holds the tensors by the paths of `model`, built with `arguments`; a network that was built from them keeps
    this description without its tensors. `dialect` is the library whose names the file has. `input`, the
    preparation of images, and `labels`, the class names, are None if unknown. `source` is the path or address, `digest`
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


def pretrained(
    weights: str | os.PathLike[str],
    model: str | None = None,
    *,
    size: tuple[int, int] | None = None,
    progress: Progress = silent,
) -> Pretrained:
    """Find weights and bring them to the paths of a model of the zoo.

    `weights` is the path of a file, the folder of a classifier or a run, a folder with the files of a hub repository, a
    name of the catalogue, or a repository of the Hugging Face hub. `model` is a name of the zoo; it may be left out
    where the source names the model. `size` (height, width) of the images is used where the source has none; by default
    it is the card's. `progress` counts the bytes of a download.

    Raises:
        ModelError: there are no such weights, the file is damaged, or they do not fit the model; the message names the
            tensor, its shape and the expected one.
        RunError: the cache cannot be written.
    """
    text = _text_of(weights)
    path = expanded(text)
    if os.path.isdir(path):
        return _of_folder(path, model)
    if os.path.lexists(path):
        return _of_file(path, model, size)
    if entries.is_entry(text):
        return _of_entry(entries.entry(text), model, progress)
    repository = hub.repository_of(text)
    if repository is not None:
        return _of_hub(repository, model, progress)
    raise ModelError(
        f"There are no weights {text!r}: neither a file, nor a name of the catalogue. {entries.suggestion(text)}"
    )


def _text_of(weights: object) -> str:
    if isinstance(weights, os.PathLike):
        weights = os.fspath(weights)
    if not isinstance(weights, str) or not weights:
        raise ModelError(
            "Weights are named by a text or a path, as in 'resnet50', 'resnet50.safetensors' or "
            f"'timm/resnet50.a1_in1k'; received {weights!r:.80}."
        )
    return weights


def is_published(weights: str) -> bool:
    """Return whether `weights` is a name of the catalogue, or can only be a repository of the hub."""
    return entries.is_entry(weights) or (weights.startswith(_PREFIXES) and hub.repository_of(weights) is not None)


def _of_file(path: Path, model: str | None, size: tuple[int, int] | None) -> Pretrained:
    file = read_file(path)
    entry = entries.entry_with(file.digest)
    if entry is not None and model in (None, entry.model):
        return _by_entry(file, entry, str(path))
    if model is None:
        raise ModelError(
            f"{path} does not say which model its weights are for. Name it, as in "
            f"striate.create('resnet50', weights={str(path)!r})."
        )
    return _fitted(file, Described(model), path.name, str(path), size)


def _of_folder(path: Path, model: str | None) -> Pretrained:
    for folder in (path, path / "classifier"):
        if (folder / "classifier.json").exists():
            described = _agreed(described_by_striate(folder / "classifier.json"), model, path)
            return _fitted(_own_file(folder, described), described, path.name, str(path))
    if (path / "config.json").exists():
        described = described_by_config(hub.parse_config(path / "config.json"), str(path), model)
        file = next((path / name for name in FILES if (path / name).exists()), path / FILES[0])
        return _fitted(read_file(file), described, path.name, str(path))
    raise ModelError(
        f"{path} is a folder without weights that are known here: a classifier has classifier.json, a model of the "
        "Hugging Face hub config.json. Or pass the path of a file."
    )


def _own_file(folder: Path, described: Described) -> WeightsFile:
    """Read the weights that `classifier.json` describes: the next ones, where a training is replacing both.

    Raises:
        ModelError: there are none, or they are packed.
    """
    if described.packed:
        raise ModelError(f"{folder} is compressed, and its weights are packed. Start from the run that was compressed.")
    there = [read_file(folder / name) for name in ("next.safetensors", FILES[0]) if (folder / name).exists()]
    found = next((file for file in there if file.digest == described.digest), None)
    if found is not None:
        return found
    path = folder / FILES[0]
    if not there:
        raise ModelError(f"There is no file of weights at {path}.")
    raise ModelError(f"{path} is not the file that classifier.json describes: its digest differs. Restore it.")


def _of_entry(entry: entries.Entry, model: str | None, progress: Progress) -> Pretrained:
    if model is not None and split_padding(model)[0] != entry.model:
        raise ModelError(f"{entry.name} are weights of {entry.model}, not of {model}.")
    path, digest = entry.provide(progress)
    source = entry.addresses[0] if entry.addresses else str(path)
    found = _by_entry(read_file(path, digest=digest), entry, source)
    if model not in (None, entry.model, found.model):
        raise ModelError(f"{entry.name} are weights of {found.model}, not of {model}.")
    return found


def _of_hub(repository: hub.Repository, model: str | None, progress: Progress) -> Pretrained:
    described = described_by_config(hub.read_config(repository), repository.name, model)
    path, digest = hub.provide_file(repository, FILES[0], progress=progress)
    return _fitted(read_file(path, digest=digest), described, repository.name, repository.address(FILES[0]))


def _by_entry(file: WeightsFile, entry: entries.Entry, source: str) -> Pretrained:
    described = Described(entry.model, input=entry.input, labels=entry.labels, dialect=entry.dialect)
    notes = (entry.notes,) if entry.notes else ()
    found = _fitted(file, described, entry.name, source)
    return replace(found, licence=entry.licence, top1=entry.top1, top5=entry.top5, notes=found.notes + notes)


def _agreed(described: Described, model: str | None, path: Path) -> Described:
    if model not in (None, described.model):
        raise ModelError(f"{path} holds weights of {described.model}, not of {model}.")
    return described


def _fitted(
    file: WeightsFile, described: Described, name: str, source: str, size: tuple[int, int] | None = None
) -> Pretrained:
    """Bring the tensors of a file to the paths of the model; they determine its classes and channels."""
    model, tensors = described.model, file.tensors
    if model in OWN_MODELS:
        raise ModelError(
            f"{model} is a model of your own, and only models of the zoo and written networks take weights over. "
            "To go on from a run of it, train the module itself: model=striate.load(RUN).model, without weights."
        )
    (channels, *sides), classes = default_input(model)
    spec = described.input
    size = spec.size if spec is not None else size or (sides[0], sides[1])
    channels = channels if spec is None else len(spec.channels)
    classes = classes if described.labels is None else len(described.labels)
    sketch = meta_model(model, classes=classes, channels=channels, size=size)
    if tensors.keys() >= sketch.state_dict().keys():
        if spec is None:
            more = meta_model(model, classes=classes, channels=channels + 1, size=size)
            channels = _own_channels(tensors, sketch, more, channels)
            sketch = meta_model(model, classes=classes, channels=channels, size=size)
        dialect, state, spec = "striate", dict(tensors), described.input
        _check_own(tensors, sketch, source)
    else:
        chosen = _dialect(tensors, sketch, described, source)
        rules = chosen.rules(sketch)
        model, dialect, state = chosen.model(sketch), chosen.name, chosen.convert(tensors, sketch)
        spec = described.input or (rules.input if rules else None)
    if split_padding(described.model)[1] is not None and model != described.model:
        raise ModelError(f"{source} holds weights of {model}, not of {described.model}.")
    heads = [path for path in state if path.startswith(head_prefixes(sketch))]
    classes = next((len(state[path]) for path in heads if path.startswith(f"{sketch.head}.")), classes)
    labels, notes = described.labels, ()
    if labels is None and classes == 1000:
        labels = entries.labels_of(entries.IMAGENET)
        notes = ("Assumption: the 1,000 classes are ImageNet's, in their order.",)
    if labels is not None and classes == len(labels) + 1:  # the first is the background
        state |= {path: state[path][1:] for path in heads}
        classes = len(labels)
    if labels is not None and classes != len(labels):
        raise ModelError(f"{source} has {classes:,} outputs, and its description {len(labels):,} classes.")
    arguments = Arguments(classes=classes, channels=channels, size=size if spec is None else spec.size)
    return Pretrained(name, model, arguments, state, dialect, source, file.digest, spec, labels, notes=notes)


def _dialect(tensors: Mapping[str, Tensor], sketch: Network, described: Described, source: str) -> Dialect:
    try:
        return DIALECTS[described.dialect] if described.dialect else recognise(tensors, sketch, source=source)
    except ModelError as error:
        if all(name.startswith("layers/") for name in tensors):
            raise ModelError(
                f"{source} numbers its layers and does not name them, as early Keras 3 does. Save the model with its "
                "configuration: model.save('model.keras')"
            ) from error
        raise ModelError(f"{source} does not fit {described.model}: {error}") from error


def _own_channels(tensors: Mapping[str, Tensor], sketch: Network, more: Network, channels: int) -> int:
    """Return the channels of the images that the first layer of a file with our names reads.

    `sketch` has this number of `channels`, `more` one more. The inputs of a fully connected layer depend on the size of
    the images too, so from these only 1 and 3 are inferred.
    """
    longer = more.state_dict()
    for path, place in sketch.state_dict().items():
        found, axes = tensors[path], [axis for axis, side in enumerate(longer[path].shape) if side != place.shape[axis]]
        if axes and found.ndim == place.ndim:
            count, rest = divmod(found.shape[axes[0]] * channels, place.shape[axes[0]])
            return count if not rest and (place.ndim != 2 or count in (1, 3)) else channels
    return channels


def _check_own(tensors: Mapping[str, Tensor], sketch: Network, source: str) -> None:
    """Check the shapes of tensors with our names; the last layer may have another number of classes."""
    for path, place in sketch.state_dict().items():
        head = path.startswith(head_prefixes(sketch))
        if not fits(tensors[path], place, head=head):
            raise ModelError(
                f"{source} does not fit {sketch.card.name}: {path!r} is {by(tensors[path].shape)}, and the network has "
                f"{by(place.shape)}. Perhaps they are for another size of images, or for a variant of this network."
            )
