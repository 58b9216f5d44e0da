"""Augmentations of neighbourhoods: blur, noise, sharpness and erasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from striate.core.scalars import check_range
from striate.data.augmentation.augmentations import (
    AUGMENTATIONS,
    Draws,
    Photometric,
    blanked,
    blended,
    factor,
    generator,
    in_range,
)
from striate.data.augmentation.rectangles import TRIES, covered, fitting, placed


@dataclass(frozen=True, kw_only=True)
class Blur(Photometric):
    """Blur with a Gaussian, whose standard deviation is uniform from 0 to the largest.

    The kernel ends at three times the largest standard deviation. Beyond the border an image continues as its mirror
    image.

    Args:
        sigma: largest standard deviation in pixels, from 0 to 20.
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "sigma", at_least=0, at_most=20)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        return smoothed(images, np.maximum(self.sigma * draws[:, 0], 1e-3), reach=math.ceil(3 * self.sigma))


def smoothed(images: Float[Tensor, "n c h w"], sigma: Float64[np.ndarray, " n"], *, reach: int) -> Tensor:
    """Convolve rows and columns with a Gaussian of `sigma` for each image, which is continued as its mirror image.

    The kernel ends at `reach` pixels.
    """
    kernel = np.exp(-((np.arange(-reach, reach + 1) / sigma[:, None]) ** 2) / 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    weights = torch.from_numpy(kernel).to(images)[:, :, None, None, None]
    for axis in (2, 3):
        images = _convolved(images, weights, axis)
    return images


def _convolved(images: Float[Tensor, "n c h w"], weights: Float[Tensor, "n k 1 1 1"], axis: int) -> Tensor:
    size, taps = images.shape[axis], weights.shape[1]
    places = np.arange(-(taps // 2), size + taps // 2) % (2 * size)
    mirrored = torch.from_numpy(np.minimum(places, 2 * size - 1 - places)).to(images.device)
    padded = images.index_select(axis, mirrored)
    total = torch.zeros_like(images)
    for tap in range(taps):
        total += padded.narrow(axis, tap, size) * weights[:, tap]
    return total


@dataclass(frozen=True, kw_only=True)
class Noise(Photometric):
    """Add independent normal noise to every value.

    Args:
        std: standard deviation of the noise as a fraction of full intensity, from 0 to 1.
    """

    std: float = 0.05

    def __post_init__(self) -> None:
        check_range(self, "std", at_least=0, at_most=1)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        noise = np.empty(images.shape, np.float32)
        for row, draw in zip(noise, draws[:, 0].tolist(), strict=True):
            generator(draw).standard_normal(out=row, dtype=np.float32)
        return in_range(images + torch.from_numpy(noise).to(images).mul_(self.std), images)


@dataclass(frozen=True, kw_only=True)
class Sharpness(Photometric):
    """Multiply the distance from the blurred image by a factor: below 1 blurs, above 1 sharpens.

    Blurred is the weighted mean of 3 × 3 pixels, of which the central one counts five times. Pixels at the border stay,
    as in Pillow.

    Args:
        fraction: largest distance of the factor from 1, from 0 to 1.
    """

    fraction: float = 0.5

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=1)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        return sharpened(images, factor(images, draws, self.fraction))


def sharpened(images: Float[Tensor, "n c h w"], factors: Float[Tensor, "n 1 1 1"]) -> Tensor:
    """Multiply distances from the blurred image."""
    blurred, (height, width) = images.clone(), images.shape[2:]
    if min(height, width) > 2:
        rows = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])
        sums = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:])
        blurred[:, :, 1:-1, 1:-1] = sums.add_(images[:, :, 1:-1, 1:-1] * 4).div_(13)
    return blended(images, blurred, factors)


@dataclass(frozen=True, kw_only=True)
class Erasing(Photometric):
    """Set a random rectangle to the mean of each channel.

    Z. Zhong et al., "Random erasing data augmentation", AAAI 2020, arXiv:1708.04896, algorithm 1. Like the paper's RE-M
    it fills with the mean; at most ten rectangles are tried, of which the first that fits is erased.

    Args:
        probability: fraction of the images, from 0 to 1.
        least: smallest part of the area, above 0.
        most: largest part of the area, at most 1.
        aspect: largest ratio of the sides; the smallest is its inverse.
    """

    draws = 2 * TRIES + 3

    probability: float = 0.5
    least: float = 0.02
    most: float = 0.4
    aspect: float = 10 / 3

    def __post_init__(self) -> None:
        check_range(self, "probability", at_least=0, at_most=1)
        check_range(self, "least", above=0, at_most=self.most)
        check_range(self, "most", at_most=1)
        check_range(self, "aspect", at_least=1)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        height, width = images.shape[2:]
        rows, columns, fits = fitting(draws, self.least, self.most, self.aspect, height, width)
        top, left = placed(draws[:, -3], height, rows), placed(draws[:, -2], width, columns)
        erased = fits & (draws[:, -1] < self.probability)
        mask = covered(top, left, rows, columns, height, width) & erased[:, None, None, None]
        return blanked(images, mask, blank)


AUGMENTATIONS.add("blur", Blur)
AUGMENTATIONS.add("noise", Noise)
AUGMENTATIONS.add("sharpness", Sharpness)
AUGMENTATIONS.add("erasing", Erasing)
