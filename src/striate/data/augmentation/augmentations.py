"""Augmentations: random changes of an image that keep its label, vectorised over the batch, on its device.

Images hold fractions of full intensity (`arrays.to_shares`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from striate.core.registry import Registered, Registry
from striate.core.rng import Stream
from striate.core.scalars import check_range
from striate.data.augmentation import affine
from striate.data.augmentation.rectangles import covered

Draws = Float64[np.ndarray, "n d"]  # uniform in [0, 1), one row for each image

AUGMENTATIONS: Registry[type[Augmentation]] = Registry("augmentation")


@dataclass(frozen=True, kw_only=True)
class Augmentation(Registered):
    """A random change of training images, with its options.

    The first option is its strength: 0 turns the augmentation off. The draws of an image are a function of the seed,
    the augmentation's name, the epoch and the image's index, so they do not depend on other augmentations.
    """

    registry = AUGMENTATIONS

    draws: ClassVar[int] = 1
    """Number of uniform draws per image."""

    @property
    def stream(self) -> str:
        """Name of the random stream of the draws."""
        return f"augment.{self.name}"

    def drawn(self, index: np.ndarray, *, epoch: int, seed: int) -> Draws:
        """Return the draws of the images of these sample indices in an epoch."""
        return Stream(seed, self.stream).uniform(epoch=epoch, index=index, draws=self.draws)

    @property
    def active(self) -> bool:
        """Whether the strength is not 0."""
        return all(getattr(self, option.name) for option in fields(self)[:1])


class Geometric(Augmentation):
    """An augmentation that moves pixels. Consecutive ones are composed, so that an image is resampled once at most."""

    warp: ClassVar[affine.Warp] = affine.Warp.AFFINE
    """How freely its matrices move pixels: the less, the faster."""

    @abstractmethod
    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        """Return a matrix for each row of `draws` that maps points of the new image to points of the old one."""


class Photometric(Augmentation):
    """An augmentation that changes values of pixels."""

    @abstractmethod
    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        """Return changed images, on the device of `images`; `blank` is the mean value of each channel.

        The result is scaled in place afterwards.
        """

    def of_channels(
        self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float], channels: Sequence[str]
    ) -> Float[Tensor, "n c h w"]:
        """Return changed images, where the names of the channels are known."""
        return self.apply(images, draws, blank)


@dataclass(frozen=True, kw_only=True)
class FromData(Augmentation):
    """The augmentations that suit the data, decided when the data are known (see `default_augmentations`).

    It stands first in a list. Augmentations after it replace those of their names, and others follow at the end.
    """


@dataclass(frozen=True, kw_only=True)
class Flip(Geometric):
    """Mirror an image left to right.

    Args:
        probability: fraction of the images that are mirrored, from 0 to 1.
    """

    warp = affine.Warp.WHOLE

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_range(self, "probability", at_least=0, at_most=1)

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        return affine.diagonal(np.where(draws[:, 0] < self.probability, -1.0, 1.0), 1.0, len(draws))


@dataclass(frozen=True, kw_only=True)
class Shift(Geometric):
    """Shift by whole pixels in both directions, each number up to the largest equally likely.

    The same as padding by the largest shift and a random crop.

    Args:
        fraction: largest shift as a fraction of the side, from 0 to 0.5.
    """

    draws = 2
    warp = affine.Warp.WHOLE

    fraction: float = 0.1

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=0.5)

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        reach_x, reach_y = round(self.fraction * width), round(self.fraction * height)
        x = np.floor(draws[:, 0] * (2 * reach_x + 1)) - reach_x
        y = np.floor(draws[:, 1] * (2 * reach_y + 1)) - reach_y
        return affine.translation(x, y)


@dataclass(frozen=True, kw_only=True)
class Rotation(Geometric):
    """Rotate about the centre, in both directions.

    Args:
        degrees: largest angle, from 0 to 180.
    """

    degrees: float = 10.0

    def __post_init__(self) -> None:
        check_range(self, "degrees", at_least=0, at_most=180)

    @property
    def stream(self) -> str:
        """Name of the random stream, the same as in the first version, so that runs can be repeated."""
        return "augment.rotation_degrees"

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        return affine.rotation(np.radians(self.degrees * signed(draws[:, 0])))


@dataclass(frozen=True, kw_only=True)
class Scale(Geometric):
    """Scale about the centre by (1 + fraction)^u with u uniform in [-1, 1): larger and smaller are equally likely.

    Args:
        fraction: by how much an image is enlarged at most, from 0 to 1; the smallest scale is the inverse.
    """

    warp = affine.Warp.UPRIGHT

    fraction: float = 0.1

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=1)

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        smaller = (1 + self.fraction) ** -signed(draws[:, 0])
        return affine.diagonal(smaller, smaller, len(draws))


@dataclass(frozen=True, kw_only=True)
class Brightness(Photometric):
    """Multiply all values by a factor; black stays black.

    Args:
        fraction: largest distance of the factor from 1, from 0 to 1.
    """

    fraction: float = 0.2

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=1)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        return brightened(images, factor(images, draws, self.fraction))


@dataclass(frozen=True, kw_only=True)
class Contrast(Photometric):
    """Multiply the distance from the image's mean by a factor. The mean is over all channels alike, without luma.

    Args:
        fraction: largest distance of the factor from 1, from 0 to 1.
    """

    fraction: float = 0.2

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=1)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        return contrasted(images, factor(images, draws, self.fraction))


@dataclass(frozen=True, kw_only=True)
class Cutout(Photometric):
    """Set a square to the mean of each channel (DeVries and Taylor 2017, arXiv:1708.04552).

    The centre is any pixel, so that the square may extend beyond the border.

    Args:
        fraction: side of the square as a fraction of the shorter side, from 0 to 1.
    """

    draws = 2

    fraction: float = 0.25

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=1)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        height, width = images.shape[2:]
        side = max(1, round(self.fraction * min(height, width)))
        top, left = (np.floor(draws[:, axis] * size) - side // 2 for axis, size in enumerate((height, width)))
        sides = np.full(len(draws), float(side))
        return blanked(images, covered(top, left, sides, sides, height, width), blank)


def blanked(images: Float[Tensor, "n c h w"], mask: Bool[np.ndarray, "n 1 h w"], blank: Sequence[float]) -> Tensor:
    """Set the pixels in the mask to the mean of each channel."""
    mean = torch.tensor(blank).to(images).view(1, -1, 1, 1)
    return torch.where(torch.from_numpy(mask).to(images.device), mean, images)


def brightened(images: Float[Tensor, "n c h w"], factors: Float[Tensor, "n 1 1 1"]) -> Tensor:
    """Multiply values."""
    return in_range(images * factors, images)


def contrasted(images: Float[Tensor, "n c h w"], factors: Float[Tensor, "n 1 1 1"]) -> Tensor:
    """Multiply distances from the mean of each image."""
    return blended(images, _mean(images), factors)


def blended(images: Tensor, others: Tensor, factors: Float[Tensor, "n 1 1 1"]) -> Tensor:
    """Multiply distances of images from others, which are then no longer needed."""
    return in_range((images - others).mul_(factors).add_(others), images)


def signed(draws: np.ndarray) -> np.ndarray:
    """Map [0, 1) to [-1, 1)."""
    return 2 * draws - 1


def generator(draw: float) -> np.random.Generator:
    """Return a counter-based generator (Salmon et al. 2011) whose key is a draw."""
    return np.random.Generator(np.random.Philox(key=int(draw * 2**53)))


def factor(images: Tensor, draws: Draws, fraction: float) -> Float[Tensor, "n 1 1 1"]:
    """Return a factor for each image, by its first draw uniform within `fraction` of 1."""
    return per_image(images, 1 + fraction * signed(draws[:, 0]))


def per_image(images: Tensor, numbers: Float[np.ndarray, " n"]) -> Float[Tensor, "n 1 1 1"]:
    """Return a number for each image in the form in which all its values can be multiplied by it."""
    return torch.from_numpy(numbers).to(images).view(-1, 1, 1, 1)


def _mean(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 1 1"]:
    """Return the mean of each image, summed by halving: a library's sum may depend on the size of the batch."""
    sums = images.reshape(len(images), -1)
    count = sums.shape[1]
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        halved = sums[:, :half] + sums[:, half : 2 * half]
        if sums.shape[1] % 2:
            halved[:, 0] += sums[:, -1]
        sums = halved
    return (sums / count).view(-1, 1, 1, 1)


def bounds(images: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n 1 1 1"], Float[Tensor, "n 1 1 1"]]:
    """Return 0 and 1, or the range of an image that exceeds them."""
    low = images.amin(dim=(1, 2, 3), keepdim=True).clamp(max=0)
    return low, images.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)


def in_range(changed: Tensor, images: Tensor) -> Tensor:
    """Clamp to 0 to 1, or to the range of an image that exceeds it."""
    low, high = bounds(images)
    if images.device.type == "cpu" and bool((high - low == 1).all()):
        return changed.clamp_(0, 1)  # five times as fast as tensors of bounds
    return torch.clamp(changed, low, high)


AUGMENTATIONS.add("from_data", FromData)
AUGMENTATIONS.add("flip", Flip)
AUGMENTATIONS.add("shift", Shift)
AUGMENTATIONS.add("rotation", Rotation)
AUGMENTATIONS.add("scale", Scale)
AUGMENTATIONS.add("brightness", Brightness)
AUGMENTATIONS.add("contrast", Contrast)
AUGMENTATIONS.add("cutout", Cutout)
AUGMENTATIONS.expect(
    "striate.data.augmentation.geometric", ("alternating_flip", "random_resized_crop", "shear", "perspective")
)
AUGMENTATIONS.expect("striate.data.augmentation.levels", ("posterize", "solarize", "autocontrast", "equalize"))
AUGMENTATIONS.expect("striate.data.augmentation.colours", ("exposure", "saturation", "hue", "colour_cast", "grey"))
AUGMENTATIONS.expect("striate.data.augmentation.pixels", ("blur", "noise", "sharpness", "erasing"))
AUGMENTATIONS.expect("striate.data.augmentation.elastic", ("elastic",))
AUGMENTATIONS.expect("striate.data.augmentation.jpeg", ("jpeg",))
AUGMENTATIONS.expect("striate.data.augmentation.mixing", ("mixup", "cutmix"))
AUGMENTATIONS.expect("striate.data.augmentation.policies", ("randaugment", "trivialaugment", "augmix"))
