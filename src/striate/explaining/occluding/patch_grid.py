"""Positions and content of the patches of an occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from striate.core.errors import ConfigError

Sides = int | Sequence[int]
"""Size in pixels: one number for a square, or (height, width)."""

Pattern = Literal["grey", "mean", "blurred", "noise"]
Fill = Pattern | float | Tensor
"""Content of a patch: a pattern, a number, or a tensor that broadcasts to an image (c, h, w).

"grey": zero, the mean colour of the training images if the input is scaled by their mean; "mean": the mean of the image
itself, channel by channel; "blurred": the image after a Gaussian blur with a standard deviation of a quarter of the
patch's shorter side; "noise": normal noise with the mean and standard deviation of the image, channel by channel.
"""


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions of patches on images of one size: rows `tops` … `bottoms` (excluded), columns `lefts` … `rights`.

    Position number r · len(lefts) + c has row r and column c of the grid. The first patch lies in the upper left
    corner. If the stride does not end at the border, the border cuts the last patch of a row or column, so that every
    pixel is covered.
    """

    tops: Int[np.ndarray, " rows"]
    bottoms: Int[np.ndarray, " rows"]
    lefts: Int[np.ndarray, " columns"]
    rights: Int[np.ndarray, " columns"]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    @property
    def grid(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.tops), len(self.lefts)

    def box(self, number: int) -> tuple[slice, slice]:
        """Return the rows and columns of the image under patch `number`."""
        row, column = divmod(number, len(self.lefts))
        return slice(self.tops[row], self.bottoms[row]), slice(self.lefts[column], self.rights[column])


def positions(size: tuple[int, int], patch: Sides | None, stride: Sides | None) -> Positions:
    """Compute the positions of patches on images of `size`.

    The default patch is a seventh of the image, the default stride half of the patch.

    Raises:
        ConfigError: the patch does not fit into the image, or the stride leaves pixels uncovered.
    """
    sides = tuple(max(1, side // 7) for side in size) if patch is None else _pair(patch, "patch")
    steps = tuple(max(1, side // 2) for side in sides) if stride is None else _pair(stride, "stride")
    for side, whole in zip(sides, size, strict=True):
        if side > whole:
            raise ConfigError(f"A patch of {sides} pixels does not fit into an image of {size}: make it smaller.")
    for step, side, whole in zip(steps, sides, size, strict=True):
        if step > side < whole:
            raise ConfigError(f"A stride of {steps} pixels leaves gaps between patches of {sides}: make it smaller.")
    starts = [np.arange(0, whole - side + step, step) for step, side, whole in zip(steps, sides, size, strict=True)]
    ends = [np.minimum(start + side, whole) for start, side, whole in zip(starts, sides, size, strict=True)]
    return Positions(starts[0], ends[0], starts[1], ends[1])


def covers(
    images: Float[Tensor, "n c h w"], fill: Fill | str, places: Positions, seed: int
) -> Float[Tensor, "n c h w"]:
    """Return the content of patches over each whole image; `seed` is the seed of the noise.

    Raises:
        ConfigError: there is no such fill, or a tensor does not fit the images.
    """
    if isinstance(fill, Tensor):
        return _as_given(images, fill)
    if not isinstance(fill, str):
        return torch.full_like(images, fill)
    match fill:
        case "grey":
            return torch.zeros_like(images)
        case "mean":
            return images.mean((2, 3), keepdim=True).expand_as(images)
        case "blurred":
            sides = (int((places.bottoms - places.tops).max()), int((places.rights - places.lefts).max()))
            return _blurred(images, min(sides) / 4)
        case "noise":
            drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)).to(images)
            spread = images.std((2, 3), keepdim=True, correction=0)
            return images.mean((2, 3), keepdim=True) + spread * drawn
        case _:
            known = ", ".join(repr(look) for look in get_args(Pattern))
            raise ConfigError(f"A patch is {known}, a number or a tensor; received {fill!r}.")


def _pair(sides: Sides, what: str) -> tuple[int, int]:
    pair: tuple[Any, ...] = tuple(sides) if isinstance(sides, Sequence) else (sides, sides)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise ConfigError(f"A {what} must be in pixels: one number from 1 on, or (height, width); received {sides!r}.")
    return pair


def _as_given(images: Float[Tensor, "n c h w"], fill: Tensor) -> Float[Tensor, "n c h w"]:
    try:
        return fill.detach().to(images).expand_as(images)
    except RuntimeError:
        raise ConfigError(
            f"What shows under a patch must broadcast to the images, {tuple(images.shape)}; received a tensor of "
            f"shape {tuple(fill.shape)}."
        ) from None


def _blurred(images: Float[Tensor, "n c h w"], deviation: float) -> Float[Tensor, "n c h w"]:
    """Blur with a Gaussian of standard deviation `deviation` (pixels), cut at three of them, and replicated borders."""
    reach = max(1, round(3 * deviation))
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / deviation) ** 2)
    weights = (weights / weights.sum()).to(images.dtype)
    n, c, h, w = images.shape
    single = F.pad(images.reshape(n * c, 1, h, w), (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(single, weights[None, None, :, None]), weights[None, None, None]).reshape(images.shape)
