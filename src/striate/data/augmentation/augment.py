"""Augment a batch: which augmentations take effect, and how they are applied.

The changes of an image are a function of (seed, epoch, sample index) alone. They do not depend on the batch it is in,
on the order of images, or on how often it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from striate.core.errors import ConfigError
from striate.core.spec import RGB, InputSpec
from striate.data.augmentation import affine
from striate.data.augmentation.augmentations import (
    Augmentation,
    Brightness,
    Contrast,
    Cutout,
    Draws,
    Flip,
    FromData,
    Geometric,
    Photometric,
    Rotation,
    Scale,
    Shift,
)
from striate.data.augmentation.colours import Colour
from striate.data.augmentation.geometric import AlternatingFlip
from striate.data.augmentation.mirroring import mirroring
from striate.data.augmentation.mixing import Mixing


def augment(
    images: Float[Tensor, "n c h w"],
    index: np.ndarray,
    *,
    epoch: int,
    seed: int,
    augmentations: Sequence[Augmentation],
    blank: Sequence[float],
    channels: Sequence[str],
) -> Float[Tensor, "n c h w"]:
    """Apply augmentations in their order to images as `epoch` shows them.

    Consecutive geometric ones are composed, so that they resample an image once. Values stay within 0 to 1, or within
    the range of an image that exceeds it.

    Args:
        images: fractions of full intensity.
        index: the sample index of each image.
        epoch: number of the epoch.
        seed: seed of the run.
        augmentations: geometric and photometric ones, as `augmentations_in_effect` returns them.
        blank: mean value of each channel.
        channels: name of each channel.
    """

    def draw(augmentation: Augmentation) -> Draws:
        return augmentation.drawn(index, epoch=epoch, seed=seed)

    height, width = images.shape[2:]
    for _, group in groupby(augmentations, key=lambda each: isinstance(each, Geometric)):
        changes = list(group)
        moves = [each for each in changes if isinstance(each, Geometric)]
        if moves:
            total = _compose([each.matrices(draw(each), height, width) for each in moves])
            images = affine.warp(images, total, max(each.warp for each in moves))
        for each in changes:
            if isinstance(each, Photometric):
                images = each.of_channels(images, draw(each), blank, channels)
    return images


def mix(
    images: Float[Tensor, "n c h w"],
    targets: Shaped[Tensor, "n ..."],
    index: np.ndarray,
    *,
    epoch: int,
    seed: int,
    augmentations: Sequence[Augmentation],
    blank: Sequence[float],
    channels: Sequence[str],
) -> tuple[Float[Tensor, "n c h w"], Shaped[Tensor, "n ..."]]:
    """Apply augmentations as `augment` does, those that mix images too, which need soft targets; return both.

    What an image is mixed with depends on the images of the batch, whatever their order.
    """
    for mixes, group in groupby(augmentations, key=lambda each: isinstance(each, Mixing)):
        changes = tuple(group)
        if not mixes:
            images = augment(
                images, index, epoch=epoch, seed=seed, augmentations=changes, blank=blank, channels=channels
            )
        for each in changes:
            if isinstance(each, Mixing):
                images, targets = each.mix(images, targets, each.drawn(index, epoch=epoch, seed=seed))
    return images, targets


def _compose(matrices: list[affine.Matrices]) -> affine.Matrices:
    """Return one matrix per image; the first of `matrices` is the first change of a pixel."""
    total = matrices[0]
    for matrix in matrices[1:]:
        total = total @ matrix  # one product for each image, so no batch changes another's rounding
    return total


def check_list(augmentations: Sequence[Augmentation]) -> None:
    """Check that each augmentation occurs once, and `from_data` first.

    Raises:
        ConfigError: the list breaks a rule.
    """
    names = [each.name for each in augmentations]
    if "from_data" in names[1:]:
        raise ConfigError(f"augmentation must hold from_data first or not at all; received {', '.join(names)}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"augmentation must hold each augmentation once; received {', '.join(names)}.")


def augmentations_in_effect(
    listed: Sequence[Augmentation], spec: InputSpec, classes: Sequence[str]
) -> tuple[Augmentation, ...]:
    """Return the augmentations of a recipe's list that take effect on given data, in order.

    `from_data` becomes the augmentations that suit the data. Those listed after it replace the ones of their names in
    their places, and `alternating_flip` that of `flip`. Augmentations of strength 0 are left out.

    Raises:
        ConfigError: an augmentation of colours is listed, and the images have none.
    """
    found: dict[str, Augmentation] = {}
    alternating = next((each for each in listed if isinstance(each, AlternatingFlip)), None)
    for each in listed:
        expanded = default_augmentations(spec, classes) if isinstance(each, FromData) else (each,)
        if isinstance(each, FromData) and alternating is not None:
            expanded = tuple(alternating if isinstance(one, Flip) else one for one in expanded)
        found |= {one.name: one for one in expanded}
    used = tuple(one for one in found.values() if one.active)
    coloured = [one.name for one in used if isinstance(one, Colour)]
    if coloured and not set(RGB) <= set(spec.channels):
        raise ConfigError(
            f"augmentation.{coloured[0]} changes colours, and the images have the channels "
            f"{', '.join(spec.channels)}. Leave it out."
        )
    return used


def default_augmentations(spec: InputSpec, classes: Sequence[str]) -> tuple[Augmentation, ...]:
    """Return the augmentations that suit given data, in their order; some have strength 0.

    Colour images are shifted, scaled and changed in brightness and contrast, and mirrored where the class names allow
    it (see `striate.data.augmentation.mirroring`, which also gives the reason). Other images may be writing, scans or
    measurements: they are only shifted, rotated and scaled slightly. So are colour images whose classes are all named
    by one letter or digit.
    """
    writing = all(len(name) == 1 for name in classes)
    colour = set(spec.channels) == set(RGB) and not writing
    return (
        Flip(probability=0.5 if colour and mirroring(spec, classes).allowed else 0.0),
        Shift(fraction=0.1 if colour else 0.07),
        Rotation(degrees=0.0 if colour else 8.0),
        Scale(fraction=0.1),
        Brightness(fraction=0.2 if colour else 0.0),
        Contrast(fraction=0.2 if colour else 0.0),
        Cutout(fraction=0.0),
    )
