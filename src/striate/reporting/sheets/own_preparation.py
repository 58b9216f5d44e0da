"""The preparation of images for a user's module: given by the user, or found with the module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.spec import RGB, InputSpec, channel_names
from striate.models.weights import Pretrained
from striate.models.weights.preparation import input_spec_of, input_spec_of_preset

Preparation = InputSpec | Callable[[Any], Tensor]
"""A specification, or a function from a PIL image to a tensor (c, h, w)."""

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CROP = 0.875  # 224 of 256


@dataclass(frozen=True)
class Brought:
    """A preparation of images (None if unknown) and the names of the classes (None if unknown).

    `note` is a sentence about assumptions, or "".
    """

    preparation: Preparation | None
    classes: tuple[str, ...] | None = None
    note: str = ""


def brought(model: nn.Module, *, preparation: Any = None, weights: Any = None) -> Brought:
    """Find the preparation for `model`: the given one, else the one that the model carries.

    `preparation` is an `InputSpec`, a preset of torchvision (`weights.transforms()`), or a function of a PIL image.
    `weights` are torchvision's (`ResNet50_Weights.DEFAULT`), which also name the classes. A model of timm carries
    `pretrained_cfg`, one of this zoo a card and, with pretrained weights, their description.

    Raises:
        ConfigError: both are given, or one is of another type.
    """
    if preparation is not None and weights is not None:
        raise ConfigError("`preparation` and `weights` both define how images are prepared: give one of them.")
    if weights is not None:
        return _of_weights(weights)
    if preparation is not None:
        return Brought(_as_preparation(preparation))
    found = getattr(model, "pretrained", None)
    if isinstance(found, Pretrained) and found.input is not None:
        return Brought(found.input, found.labels, " ".join(found.notes))
    config = getattr(model, "pretrained_cfg", None)
    if config is not None:
        return Brought(input_spec_of(config if isinstance(config, Mapping) else vars(config)))
    card = getattr(model, "card", None)
    if card is not None and hasattr(card, "input"):
        return _of_card(card)
    return Brought(None)


def _of_weights(weights: Any) -> Brought:
    transforms, meta = getattr(weights, "transforms", None), getattr(weights, "meta", {})
    if not callable(transforms):
        raise ConfigError(
            f"`weights` are torchvision's, such as ResNet50_Weights.DEFAULT; received {type(weights).__name__}."
        )
    names = meta.get("categories") if isinstance(meta, Mapping) else None
    return Brought(_as_preparation(transforms()), None if names is None else _unique(names))


def _as_preparation(given: Any) -> Preparation:
    if isinstance(given, InputSpec):
        return given
    if all(hasattr(given, name) for name in ("crop_size", "resize_size", "mean", "std", "interpolation")):
        with suppress(ConfigError):  # otherwise it is used as a function
            return input_spec_of_preset(given)
    if not callable(given):
        raise ConfigError(
            "`preparation` is an InputSpec, torchvision's weights.transforms(), or a function from a PIL image "
            f"to a tensor (c, h, w); received {type(given).__name__}."
        )
    return cast(Preparation, given)


def _of_card(card: Any) -> Brought:
    """Take the size of the input from a card; assume the scale, with a note."""
    channels, height, width = card.input
    if channels == len(RGB):
        note = "Assumption: images are scaled by ImageNet's mean and std; the card of the model has none."
        mean, std = _IMAGENET
        spec = InputSpec(channels=RGB, height=height, width=width, mean=mean, std=std, crop=_CROP, decode_scale=0.0)
        return Brought(spec, note=note)
    spec = InputSpec(
        channels=channel_names(channels), height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels
    )
    return Brought(spec, note="Assumption: images are scaled from 0 to 1; the card of the model has no scale.")


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Make names unique: append the class number to repeated ones, such as "crane" in ImageNet."""
    often = Counter(names)
    return tuple(name if often[name] == 1 else f"{name} ({number})" for number, name in enumerate(names))
