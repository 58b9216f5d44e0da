"""Augmentations that map the levels of an image: posterize, solarize, autocontrast and equalize.

They are those of Pillow's `ImageOps`, on 256 levels from 0 to full intensity. Values of an image that exceeds 0 to 1
are fractions of its range.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.core.scalars import check_range
from striate.data.augmentation.augmentations import AUGMENTATIONS, Draws, Photometric, bounds, in_range, per_image

_HIGHEST = 255
_LEVELS = _HIGHEST + 1


class Levels(Photometric):
    """An augmentation of a fraction of the images, its option `probability`; the others stay."""

    probability: float

    def __post_init__(self) -> None:
        check_range(self, "probability", at_least=0, at_most=1)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        rows = torch.from_numpy(np.flatnonzero(draws[:, 0] < self.probability)).to(images.device)
        changed = images.clone()
        changed[rows] = self.mapped(images[rows])
        return changed

    @abstractmethod
    def mapped(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return images with other levels."""


@dataclass(frozen=True, kw_only=True)
class Posterize(Levels):
    """Keep the first bits of the eight of each level.

    Args:
        probability: fraction of the images, from 0 to 1.
        bits: how many are kept, from 1 to 7.
    """

    probability: float = 0.5
    bits: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "bits", at_least=1, at_most=7)

    def mapped(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return posterized(images, np.full(len(images), self.bits))


@dataclass(frozen=True, kw_only=True)
class Solarize(Levels):
    """Invert levels from a threshold on.

    Args:
        probability: fraction of the images, from 0 to 1.
        threshold: lowest level that is inverted, as a fraction of full intensity, from 0 to 1.
    """

    probability: float = 0.5
    threshold: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "threshold", at_least=0, at_most=1)

    def mapped(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return solarized(images, np.full(len(images), self.threshold))


@dataclass(frozen=True, kw_only=True)
class Autocontrast(Levels):
    """Stretch the levels of each channel to the whole range; a channel of one level stays.

    Levels are not rounded, other than in Pillow.

    Args:
        probability: fraction of the images, from 0 to 1.
    """

    probability: float = 0.5

    def mapped(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return autocontrasted(images)


@dataclass(frozen=True, kw_only=True)
class Equalize(Levels):
    """Map the levels of each channel so that all are about equally frequent (histogram equalization).

    Args:
        probability: fraction of the images, from 0 to 1.
    """

    probability: float = 0.5

    def mapped(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return equalized(images)


def posterized(images: Float[Tensor, "n c h w"], bits: np.ndarray) -> Float[Tensor, "n c h w"]:
    """Keep the first `bits` bits of each image's levels."""
    levels, low, unit = whole_levels(images)
    step = per_image(images, 2.0 ** (8 - bits))
    return levels.div_(step).floor_().mul_(step).mul_(unit).add_(low)


def solarized(images: Float[Tensor, "n c h w"], thresholds: np.ndarray) -> Float[Tensor, "n c h w"]:
    """Invert the levels of each image from its threshold on."""
    low, high = bounds(images)
    least = per_image(images, thresholds) * (high - low) + low
    inverted = (images - least).sign_().add_(1).clamp_(max=1)  # 0 or 1; `torch.where` takes three times as long
    return inverted.mul_((low + high) - 2 * images).add_(images)


def autocontrasted(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Stretch the levels of each channel."""
    low, high = bounds(images)
    least, most = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    flat = most == least
    scale = torch.where(flat, 1, (high - low) / torch.where(flat, 1, most - least))
    return in_range((images - least).mul_(scale).add_(torch.where(flat, least, low)), images)


def equalized(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Equalize the histogram of each channel, as Pillow does."""
    n, c, h, w = images.shape
    levels, low, unit = whole_levels(images)
    number = levels.int().view(n * c, h * w)
    number += torch.arange(n * c, device=images.device, dtype=torch.int32)[:, None] * _LEVELS
    counts = torch.bincount(number.view(-1), minlength=n * c * _LEVELS).view(n * c, _LEVELS)
    highest = counts.gather(1, number.amax(dim=1, keepdim=True).long() % _LEVELS)
    step = (h * w - highest) // _HIGHEST
    before = counts.cumsum(1) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=_HIGHEST)
    table = torch.where(step > 0, table, torch.arange(_LEVELS, device=images.device))
    return table.view(-1).to(images).index_select(0, number.view(-1)).view(n, c, h, w).mul_(unit).add_(low)


def whole_levels(images: Float[Tensor, "n c h w"]) -> tuple[Tensor, Tensor, Tensor]:
    """Return whole levels from 0 to 255, the value of level 0, and the difference of two levels, for each image."""
    low, high = bounds(images)
    unit = (high - low) / _HIGHEST
    return (images - low).div_(unit).round_(), low, unit


AUGMENTATIONS.add("posterize", Posterize)
AUGMENTATIONS.add("solarize", Solarize)
AUGMENTATIONS.add("autocontrast", Autocontrast)
AUGMENTATIONS.add("equalize", Equalize)
