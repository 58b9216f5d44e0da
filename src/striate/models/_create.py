"""Build a model by name: one of the zoo, a registered one, or a network written down.

On the meta device, without weights, or with its initial weights.
"""

from __future__ import annotations

import contextlib
import functools
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

import torch
from torch import nn

from striate.core.errors import ModelError
from striate.core.rng import Stream, torch_random_state_kept
from striate.models._own import OWN_MODELS
from striate.models._padding import repad, split_padding
from striate.models._zoo import MODELS, Network
from striate.models.notation import build_written, is_notation, parse, written_classes
from striate.models.surgery import MOST_OUTPUTS
from striate.models.truncated import truncate
from striate.tracing import EmptyMapError, output_shape, smallest_side

_LARGEST = 2**16
_DEFAULT_INPUT, _DEFAULT_CLASSES = (3, 224, 224), 1000  # ImageNet's, for a written network, which has no card


class Arguments(TypedDict):
    """Arguments of a model in the zoo: number of classes and channels, and (height, width) of the input."""

    classes: int
    channels: int
    size: tuple[int, int]


def check_model(name: str) -> None:
    """Check that `name` is the name of a model, one that ends earlier (NAME@PLACE), or a valid written network.

    Raises:
        ModelError: it is none of these.
    """
    if _is_written(name):
        written_classes(parse(name))
    elif name not in OWN_MODELS:
        model, padding, place = _parts(name)
        _check_family(model)
        MODELS[model]
        if place is not None or padding is not None:
            meta_model(name)


def split_place(name: str) -> tuple[str, str | None]:
    """Split NAME@PLACE, a model of the zoo that ends at one of its feature maps; the place is None without one."""
    base, at, place = name.partition("@")
    return (base, place) if at and split_padding(base)[0] in MODELS else (name, None)


def _parts(name: str) -> tuple[str, str | None, str | None]:
    """Split NAME+RULE@PLACE into the name of the zoo, the padding rule and the place; None for what it lacks."""
    base, place = split_place(name)
    return *split_padding(base), place


def default_input(name: str) -> tuple[tuple[int, int, int], int]:
    """Return the (channels, height, width) and the number of classes of a model's card.

    Written and registered networks have no card: for them, those of ImageNet are returned, and the classes that a
    written network's last layer states.

    Raises:
        ModelError: as `check_model`.
    """
    if _is_written(name):
        return _DEFAULT_INPUT, written_classes(parse(name)) or _DEFAULT_CLASSES
    if name in OWN_MODELS:
        return _DEFAULT_INPUT, _DEFAULT_CLASSES
    model, _, _ = _parts(name)
    _check_family(model)
    card = MODELS[model].card
    return card.input, card.classes


def create_model(
    name: str,
    *,
    classes: int | None = None,
    channels: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int | None = None,
) -> Network:
    """Build a model for images of `size` with its paper's initial weights.

    `size` is (height, width), or one number for both. What is not passed is the card's, see `default_input`; with a
    size and no channels, there are three. `name` is one of the zoo's; NAME@PLACE, which ends at a feature map of that
    model with the mean of each channel and a linear layer (`striate.models.truncated.truncate`); NAME+same or
    NAME+symmetric, with another padding rule than the model's own (`striate.models._padding`); or a network written
    down: see `striate.models.notation`. With a `seed` the weights depend on it alone, and torch's random state stays as
    found; without one they are drawn from that state, as torch's own modules do.

    Raises:
        ModelError: there is no such model (the nearest name is offered), the images are too small for it (the smallest
            size is named), or an argument has the wrong type.
        NotationError: a written network has a mistake, or a layer that does not fit its input.
    """
    channels, size, classes = _complete(name, channels, size, classes)
    _check_memory(name, _weight_bytes(name, channels, size, classes))
    with torch.device("cpu"), _seeded(seed):
        return _builder(name)(channels=channels, size=size, classes=classes)


def build_model(
    name: str, *, classes: int, channels: int = 3, size: tuple[int, int], seed: int | None = None
) -> nn.Module:
    """Build a model by any name: as `create_model` does, or one that `register_model` was given.

    Raises:
        ModelError: as `create_model`; or the registered model does not return logits for such images.
    """
    if name not in OWN_MODELS:
        return create_model(name, classes=classes, channels=channels, size=size, seed=seed)
    with torch.device("cpu"), _seeded(seed):
        return OWN_MODELS[name].build(channels=channels, size=size, classes=classes)


def meta_model(
    name: str, *, classes: int | None = None, channels: int | None = None, size: int | tuple[int, int] | None = None
) -> Network:
    """Build the model on the meta device: as `create_model`, with all shapes, without weights and memory.

    Raises:
        ModelError: as `create_model`.
    """
    channels, size, classes = _complete(name, channels, size, classes)
    if max(channels, *size) > _LARGEST:
        raise ModelError(
            f"A model takes images of at most {_LARGEST:,} channels, rows and columns; received {channels} channels, "
            f"{size[0]}×{size[1]} pixels."
        )
    if classes > MOST_OUTPUTS:
        raise ModelError(f"A model has at most {MOST_OUTPUTS:,} classes; received {classes:,}.")
    if classes < 1 or channels < 1 or min(size) < 1:
        raise ModelError(
            f"A model needs at least 1 class, 1 channel and images of 1×1 pixels; received "
            f"{classes} classes, {channels} channels, {size[0]}×{size[1]} pixels."
        )
    try:
        return _sketch(name, channels, size, classes)
    except EmptyMapError as error:
        raise ModelError(_too_small(name, channels, size, classes, error)) from error


def build_sketch(name: str, *, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
    """Build the model as `build_model` does: on the meta device, as `meta_model`, if it is not a registered one.

    A registered model need not work on that device; it is built with its weights, and torch's random state is left as
    found.

    Raises:
        ModelError: as `build_model`.
    """
    if name not in OWN_MODELS:
        return meta_model(name, classes=classes, channels=channels, size=size)
    with torch_random_state_kept():
        return OWN_MODELS[name].build(channels=channels, size=size, classes=classes)


def _complete(
    name: str, channels: int | None, size: int | tuple[int, int] | None, classes: int | None
) -> tuple[int, tuple[int, int], int]:
    """Return channels, (height, width) and classes, checked for their kinds and completed from the card."""
    if not isinstance(name, str):
        raise ModelError(f"A model is named by a string, as in 'resnet18'; received {_told(name)}.")
    default, default_classes = default_input(name)
    if channels is None:
        channels = default[0] if size is None else 3
    if classes is None:
        classes = default_classes
    pair: Any = default[1:] if size is None else (size, size) if _is_count(size) else size
    if not (isinstance(pair, Sequence) and len(pair) == 2 and all(map(_is_count, pair))):
        raise ModelError(f"size is (height, width) in pixels, or one whole number for both; received {_told(size)}.")
    for what, count in (("classes", classes), ("channels", channels)):
        if not _is_count(count):
            raise ModelError(f"{what} is a whole number; received {_told(count)}.")
    return int(channels), (int(pair[0]), int(pair[1])), int(classes)


@functools.lru_cache(maxsize=512)
def _weight_bytes(name: str, channels: int, size: tuple[int, int], classes: int) -> int:
    """Return the bytes of the weights, or raise as `meta_model`; cached, since the pass takes longer than to build."""
    sketch = meta_model(name, classes=classes, channels=channels, size=size)
    return sum(parameter.nbytes for parameter in sketch.parameters())


def _check_memory(name: str, needed: int) -> None:
    """Refuse a network whose weights alone are larger than this machine's memory."""
    there = _memory()
    if there is not None and needed > there:
        raise ModelError(
            f"The weights of {name} for this input and number of classes take {needed / 1e9:,.1f} GB, more than the "
            f"{there / 1e9:,.1f} GB of memory that this machine has. Choose fewer classes or a smaller size."
        )


def _memory() -> int | None:
    """Return the machine's memory in bytes; None if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _is_count(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _told(value: object) -> str:
    return f"{value!r} ({type(value).__name__})"


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Draw weights from `seed` alone and leave torch's random state as found; without one, draw from that state."""
    if seed is None:
        yield
        return
    if not _is_count(seed):
        raise ModelError(f"seed is a whole number; received {_told(seed)}.")
    with torch_random_state_kept(Stream(seed, "weights.initial").torch_seed()):
        yield


def _check_family(name: str) -> None:
    """Refuse the name of a family that is not also that of a model, and list its members."""
    members = [] if name in MODELS else [model for model in MODELS if MODELS[model].family == name]
    if members:
        raise ModelError(f"{name!r} is a family of models. Choose one of {', '.join(members)}.")


def _is_written(name: str) -> bool:
    return _parts(name)[0] not in MODELS and name not in OWN_MODELS and is_notation(name)


def _builder(name: str) -> Callable[..., Network]:
    if _is_written(name):
        return functools.partial(build_written, name)
    model, padding, place = _parts(name)
    if padding is None and place is None:
        return MODELS[model].build
    return functools.partial(_build_changed, model, padding, place)


def _build_changed(
    name: str, padding: str | None, place: str | None, *, channels: int, size: tuple[int, int], classes: int
) -> Network:
    """Build a model of the zoo with another padding rule, or up to one of its feature maps."""
    own_classes = classes if place is None else MODELS[name].card.classes
    network = MODELS[name].build(channels=channels, size=size, classes=own_classes)
    if padding is not None:
        repad(network, padding)
    return network if place is None else truncate(network, place, size=size, classes=classes)


_FITTING: set[tuple[str, int, tuple[int, int], int]] = set()
"""Arguments for which a sketch has passed an image through all layers, which takes longer than to build it."""


def _sketch(name: str, channels: int, size: tuple[int, int], classes: int) -> Network:
    with torch.device("meta"):
        network = _builder(name)(channels=channels, size=size, classes=classes)
    if (name, channels, size, classes) not in _FITTING:
        output_shape(network, (channels, *size))
        _FITTING.add((name, channels, size, classes))
    return network


def _too_small(name: str, channels: int, size: tuple[int, int], classes: int, error: EmptyMapError) -> str:
    """Return the message with the smallest size; for a written network, with the layer that does not fit."""

    written = _is_written(name)
    side = _smallest_side(name, channels, classes)
    who, where = ("This network", f" {error}") if written else (name, "")
    return (
        f"{who} needs images of at least {side}×{side} pixels; received {size[0]}×{size[1]}. "
        f"Choose a larger size or another model.{where}"
        if side
        else f"No image up to 4096×4096 is large enough for this network.{where}"
    )


@functools.cache
def _smallest_side(name: str, channels: int, classes: int) -> int | None:
    """Find the side of the smallest square image that the network takes; cached, since it builds a dozen models."""

    def admits(side: int) -> bool:
        try:
            _sketch(name, channels, (side, side), classes)
        except ModelError:
            return False
        return True

    return smallest_side(admits)
