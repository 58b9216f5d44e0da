"""Augmentations of colour: exposure, saturation, hue, colour cast and grey."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.core.scalars import check_range
from striate.core.spec import RGB
from striate.data.augmentation.augmentations import (
    AUGMENTATIONS,
    Draws,
    Photometric,
    blended,
    bounds,
    factor,
    in_range,
    per_image,
    signed,
)

Colours = Float[Tensor, "n 3 h w"]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601

# Principal components of the RGB values of ImageNet's training images, in shares of full intensity, as published with
# fb.resnet.torch (Facebook 2016): a column of `_COMPONENTS` for each of `_SPREAD`.
_SPREAD = np.array([0.2175, 0.0188, 0.0045])
_COMPONENTS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@dataclass(frozen=True, kw_only=True)
class Exposure(Photometric):
    """Raise values to the power (1 + fraction)^u with u uniform in [-1, 1): darker and lighter are equally likely.

    This is a random gamma correction: black and white stay. Values of an image that exceeds 0 to 1 are fractions of its
    range.

    Args:
        fraction: the largest power is 1 + fraction, from 0 to 4; the smallest is its inverse.
    """

    fraction: float = 0.3

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=4)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        low, high = bounds(images)
        powers = ((1 + self.fraction) ** signed(draws[:, 0])).astype(np.float32)
        return _power((images - low) / (high - low), powers).mul_(high - low).add_(low)


class Colour(Photometric):
    """An augmentation of the colours of RGB images."""

    def of_channels(
        self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float], channels: Sequence[str]
    ) -> Float[Tensor, "n c h w"]:
        """Apply it to the colours among `channels`, in any order; images without colours stay."""
        return in_colours(images, channels, lambda colours: self.apply(colours, draws, blank))


@dataclass(frozen=True, kw_only=True)
class Saturation(Colour):
    """Multiply the distance of each pixel from its grey, the luma, by a factor.

    Args:
        fraction: largest distance of the factor from 1, from 0 to 1.
    """

    fraction: float = 0.4

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=1)

    def apply(self, images: Colours, draws: Draws, blank: Sequence[float]) -> Colours:
        return saturated(images, factor(images, draws, self.fraction))


@dataclass(frozen=True, kw_only=True)
class Hue(Colour):
    """Turn the hue of each pixel, its angle in HSV, by a random part of the circle; lightest and darkest colour stay.

    A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978.

    Args:
        fraction: largest part of the circle, in both directions, from 0 to 0.5.
    """

    fraction: float = 0.05

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=0.5)

    def apply(self, images: Colours, draws: Draws, blank: Sequence[float]) -> Colours:
        turn = per_image(images, 6 * self.fraction * signed(draws[:, 0]))
        red, green, blue = images.split(1, dim=1)
        value = images.amax(dim=1, keepdim=True)
        chroma = value - images.amin(dim=1, keepdim=True)
        divisor = torch.where(chroma > 0, chroma, 1)
        hue = torch.where(
            value == red,
            (green - blue) / divisor,
            torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
        ).add_(turn)
        changed = torch.empty_like(images)
        for place, start in enumerate((5, 3, 1)):
            sector = hue + start
            sector -= 6 * torch.floor(sector / 6)
            share = torch.minimum(sector, 4 - sector).clamp_(0, 1)
            changed[:, place : place + 1] = value - chroma * share
        return changed


@dataclass(frozen=True, kw_only=True)
class ColourCast(Colour):
    """Add a random colour to all pixels, along the principal components of ImageNet's colours.

    The colour is Σ_k α_k λ_k p_k with α_k normal: A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification
    with deep convolutional neural networks", NIPS 2012, section 4.1. Components p and spreads λ are those of ImageNet's
    training images, whatever the data.

    Args:
        std: standard deviation of α, from 0 to 2; AlexNet has 0.1.
    """

    draws = 4

    std: float = 0.1

    def __post_init__(self) -> None:
        check_range(self, "std", at_least=0, at_most=2)

    def apply(self, images: Colours, draws: Draws, blank: Sequence[float]) -> Colours:
        weights = self.std * _normal(draws)[:, None, :3] * _SPREAD
        colour = (_COMPONENTS * weights).sum(axis=2)
        return in_range(images + torch.from_numpy(colour).to(images)[:, :, None, None], images)


@dataclass(frozen=True, kw_only=True)
class Grey(Colour):
    """Replace the colours of an image by their luma.

    Args:
        probability: fraction of the images, from 0 to 1.
    """

    probability: float = 0.2

    def __post_init__(self) -> None:
        check_range(self, "probability", at_least=0, at_most=1)

    def apply(self, images: Colours, draws: Draws, blank: Sequence[float]) -> Colours:
        chosen = torch.from_numpy(draws[:, 0] < self.probability).to(images.device).view(-1, 1, 1, 1)
        return torch.where(chosen, _luma(images), images)


def in_colours(
    images: Float[Tensor, "n c h w"], channels: Sequence[str], change: Callable[[Colours], Colours]
) -> Float[Tensor, "n c h w"]:
    """Apply a change to the colours among `channels`, in any order; images without colours stay."""
    if tuple(channels) == RGB:
        return change(images)
    if not set(RGB) <= set(channels):
        return images
    places = [list(channels).index(name) for name in RGB]
    changed = images.clone()
    changed[:, places] = change(images[:, places])
    return changed


def saturated(images: Colours, factors: Float[Tensor, "n 1 1 1"]) -> Colours:
    """Multiply distances of pixels from their luma."""
    return blended(images, _luma(images), factors)


def _luma(images: Colours) -> Float[Tensor, "n 1 h w"]:
    red, green, blue = images.split(1, dim=1)
    return (red * _LUMA[0]).add_(green * _LUMA[1]).add_(blue * _LUMA[2])


def _power(shares: Float[Tensor, "n c h w"], powers: np.ndarray) -> Float[Tensor, "n c h w"]:
    """Raise shares to a power for each image.

    On a CPU with numpy: torch rounds the last numbers of a batch in another way than those before.
    """
    if shares.device.type == "cpu":
        return torch.from_numpy(np.power(shares.contiguous().numpy(), powers[:, None, None, None]))
    return shares ** per_image(shares, powers)


def _normal(draws: Draws) -> Draws:
    """Turn uniform draws into normal ones, two from two (Box and Muller 1958)."""
    radius, angle = np.sqrt(-2 * np.log1p(-draws[:, 0::2])), 2 * np.pi * draws[:, 1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).reshape(len(draws), -1)


AUGMENTATIONS.add("exposure", Exposure)
AUGMENTATIONS.add("saturation", Saturation)
AUGMENTATIONS.add("hue", Hue)
AUGMENTATIONS.add("colour_cast", ColourCast)
AUGMENTATIONS.add("grey", Grey)
