"""Random changes of one picture that leave its label as it is, vectorised over the batch, on its device.

What a picture gets is a function of (seed, epoch, sample index) alone: not of the batch that it is in, of the order, or
of how often it was asked for. Pictures come in shares of full intensity (`transforms.to_shares`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from striate.core.errors import ConfigError
from striate.core.registry import Registry
from striate.core.rng import Stream
from striate.core.spec import RGB, InputSpec
from striate.data.augmentation import affine
from striate.data.augmentation.mirroring import mirroring

Draws = Float64[np.ndarray, "n d"]  # uniform in [0, 1), one row for each picture


@dataclass(frozen=True)
class Augmentation:
    """How much each change may do at most; 0 is not at all.

    `flip`: half of the pictures are mirrored left to right. `shift`: by up to this share of the side, in whole pixels,
    in both directions. `rotation_degrees`: by up to this angle, to both sides. `scale`: up to this share larger, or
    smaller by the inverse. `brightness`, `contrast`: by a factor of up to this share above or below 1. `cutout`: a
    square of this share of the shorter side is blanked.
    """

    flip: bool = False
    shift: float = 0.0
    rotation_degrees: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            if not 0 <= getattr(self, name) <= limit:
                raise ConfigError(f"{name} is from 0 to {limit:g}; received {getattr(self, name):g}.")

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the changes that do something, in the order in which they are made."""
        return tuple(field.name for field in dataclasses.fields(self) if getattr(self, field.name))


_LIMITS = {"shift": 0.5, "rotation_degrees": 180.0, "scale": 1.0, "brightness": 1.0, "contrast": 1.0, "cutout": 1.0}


@dataclass(frozen=True)
class Move:
    """A change of place: `matrices(draws, strength, height, width)`, see `warp`. `whole`: by whole pixels only."""

    matrices: Callable[[Draws, float, int, int], affine.Matrices]
    draws: int
    whole: bool


@dataclass(frozen=True)
class Change:
    """A change of values: `apply(images, draws, strength, blank)`; `blank` is the value of an average pixel."""

    apply: Callable[[Tensor, Draws, float, Sequence[float]], Tensor]
    draws: int


# By the names of the settings in `Augmentation`.
AUGMENTATIONS: Registry[Move | Change] = Registry("augmentation")


def augment(
    images: Float[Tensor, "n c h w"],
    index: np.ndarray,
    *,
    epoch: int,
    seed: int,
    augmentation: Augmentation,
    blank: Sequence[float],
) -> Float[Tensor, "n c h w"]:
    """The pictures as `epoch` shows them; `index` holds their sample indices, `blank` the mean of each channel.

    All changes of place are composed, so a picture is resampled once at most; changes of value follow. Values stay in
    0 to 1, or, in pictures that leave that range themselves, in the picture's own.
    """

    def draw(name: str, count: int) -> Draws:
        return Stream(seed, f"augment.{name}").uniform(epoch=epoch, index=index, draws=count)

    height, width = images.shape[2:]
    matrices: list[affine.Matrices] = []
    whole = True
    for name in augmentation.active:
        kind, strength = AUGMENTATIONS[name], float(getattr(augmentation, name))
        if isinstance(kind, Move):
            matrices.append(kind.matrices(draw(name, kind.draws), strength, height, width))
            whole = whole and kind.whole
    if matrices:
        total = _compose(matrices)
        images = affine.move(images, total) if whole else affine.resample(images, total)
    for name in augmentation.active:
        kind, strength = AUGMENTATIONS[name], float(getattr(augmentation, name))
        if isinstance(kind, Change):
            images = kind.apply(images, draw(name, kind.draws), strength, blank)
    return images


def _compose(matrices: list[affine.Matrices]) -> affine.Matrices:
    """One matrix per picture for all moves: the first move is the first that a pixel undergoes."""
    total = matrices[0]
    for matrix in matrices[1:]:
        total = total @ matrix  # one product for each picture, so no batch changes another's rounding
    return total


def default_augmentation(spec: InputSpec, classes: Sequence[str]) -> Augmentation:
    """What is on where nobody says otherwise.

    Colour images are shifted, scaled and changed a little in light, and mirrored where the class names allow it
    (see `striate.data.augmentation.mirroring`, which also gives the reason). Other images may be writing, scans or
    measurements: they are only shifted, turned and scaled a little. So are colour images whose classes are all
    called by one letter or digit.
    """
    writing = all(len(name) == 1 for name in classes)
    if set(spec.channels) == set(RGB) and not writing:
        return Augmentation(flip=mirroring(spec, classes).allowed, shift=0.1, scale=0.1, brightness=0.2, contrast=0.2)
    return Augmentation(shift=0.07, rotation_degrees=8.0, scale=0.1)


def _signed(draws: np.ndarray) -> np.ndarray:
    """From [0, 1) to [-1, 1)."""
    return 2 * draws - 1


def _flip(draws: Draws, strength: float, height: int, width: int) -> affine.Matrices:
    """Left becomes right in one picture of two."""
    return affine.diagonal(np.where(draws[:, 0] < 0.5, -1.0, 1.0), 1.0, len(draws))


def _shift(draws: Draws, strength: float, height: int, width: int) -> affine.Matrices:
    """By a whole number of pixels, each from -reach to reach equally likely: padding by `reach`, then a random crop."""
    reach_x, reach_y = round(strength * width), round(strength * height)
    x = np.floor(draws[:, 0] * (2 * reach_x + 1)) - reach_x
    y = np.floor(draws[:, 1] * (2 * reach_y + 1)) - reach_y
    return affine.translation(x, y)


def _rotate(draws: Draws, degrees: float, height: int, width: int) -> affine.Matrices:
    """About the centre."""
    return affine.rotation(np.radians(degrees * _signed(draws[:, 0])))


def _scale(draws: Draws, strength: float, height: int, width: int) -> affine.Matrices:
    """About the centre, by (1 + strength)^u with u uniform in [-1, 1): larger and smaller are equally likely."""
    factor = (1 + strength) ** -_signed(draws[:, 0])
    return affine.diagonal(factor, factor, len(draws))


def _factor(images: Tensor, draws: Draws, strength: float) -> Float[Tensor, "n 1 1 1"]:
    return torch.from_numpy(1 + strength * _signed(draws[:, 0])).to(images).view(-1, 1, 1, 1)


def _brightness(images: Tensor, draws: Draws, strength: float, blank: Sequence[float]) -> Tensor:
    """Black stays black: value · factor."""
    return _in_range(images * _factor(images, draws, strength), images)


def _contrast(images: Tensor, draws: Draws, strength: float, blank: Sequence[float]) -> Tensor:
    """The picture's mean stays: mean + (value - mean) · factor. The mean is over all channels alike, without luma."""
    mean = _mean(images)
    return _in_range((images - mean).mul_(_factor(images, draws, strength)).add_(mean), images)


def _mean(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 1 1"]:
    """Each picture's mean, summed by halving: a library's sum may take another order in a batch of another size."""
    sums = images.reshape(len(images), -1)
    count = sums.shape[1]
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        halved = sums[:, :half] + sums[:, half : 2 * half]
        if sums.shape[1] % 2:
            halved[:, 0] += sums[:, -1]
        sums = halved
    return (sums / count).view(-1, 1, 1, 1)


def _in_range(changed: Tensor, images: Tensor) -> Tensor:
    low = images.amin(dim=(1, 2, 3), keepdim=True).clamp(max=0)
    high = images.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    return torch.clamp(changed, low, high)


def _cutout(images: Tensor, draws: Draws, strength: float, blank: Sequence[float]) -> Tensor:
    """DeVries and Taylor 2017, arXiv:1708.04552: the centre is any pixel, so the square may hang over the border."""
    height, width = images.shape[2:]
    side = max(1, round(strength * min(height, width)))

    def inside(draw: np.ndarray, size: int) -> np.ndarray:
        start = np.floor(draw * size).astype(np.int64)[:, None] - side // 2
        return (np.arange(size) >= start) & (np.arange(size) < start + side)

    square = inside(draws[:, 0], height)[:, :, None] & inside(draws[:, 1], width)[:, None, :]
    mask = torch.from_numpy(square[:, None]).to(images.device)
    return torch.where(mask, torch.tensor(blank).to(images).view(1, -1, 1, 1), images)


AUGMENTATIONS.add("flip", Move(_flip, draws=1, whole=True))
AUGMENTATIONS.add("shift", Move(_shift, draws=2, whole=True))
AUGMENTATIONS.add("rotation_degrees", Move(_rotate, draws=1, whole=False))
AUGMENTATIONS.add("scale", Move(_scale, draws=1, whole=False))
AUGMENTATIONS.add("brightness", Change(_brightness, draws=1))
AUGMENTATIONS.add("contrast", Change(_contrast, draws=1))
AUGMENTATIONS.add("cutout", Change(_cutout, draws=2))
