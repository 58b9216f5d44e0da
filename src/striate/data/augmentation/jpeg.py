"""Artefacts of JPEG compression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from striate.core.scalars import check_range
from striate.core.spec import RGB, channel_names
from striate.data.augmentation.augmentations import AUGMENTATIONS, Draws, Photometric
from striate.data.augmentation.colours import in_colours
from striate.data.augmentation.levels import whole_levels

Planes = Float[Tensor, "n c h w"]
Levels = Int[Tensor, "_ _ _ _"]
Tables = Float64[np.ndarray, "n 8 8"]

# ITU-T T.81, annex K.1: steps of the coefficients of brightness and of colour at quality 50.
_LUMA = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_HALF = 1 << 15  # of the fixed-point numbers of libjpeg's colours, which have 16 bits after the point
_TIE = 1e-2  # makes coefficients and levels halfway between two round as in exact arithmetic

_FREQUENCY, _PLACE = np.arange(8)[:, None], np.arange(8)
_COSINES = np.where(_FREQUENCY == 0, 0.125**0.5, 0.5 * np.cos(np.pi * (2 * _PLACE + 1) * _FREQUENCY / 16))
_DCT = torch.from_numpy(np.kron(_COSINES, _COSINES)).float()  # of blocks as rows of 64 values


@dataclass(frozen=True, kw_only=True)
class Jpeg(Photometric):
    """Compress to a JPEG of random quality and decompress again.

    Colours become brightness and two differences of half the resolution (4:2:0). Blocks of 8 × 8 values are transformed
    by a discrete cosine transform, and its coefficients rounded to multiples of steps: ITU-T T.81 (1992), with the
    tables of its annex K and the rounding of libjpeg, so that most values equal Pillow's. Channels that are not colours
    are compressed one by one as grey images.

    Args:
        probability: fraction of the images, from 0 to 1.
        lowest: lowest quality, from 1 to 100.
        highest: highest quality, from 1 to 100.
    """

    draws = 2

    probability: float = 0.5
    lowest: int = 30
    highest: int = 90

    def __post_init__(self) -> None:
        check_range(self, "probability", at_least=0, at_most=1)
        check_range(self, "lowest", at_least=1, at_most=self.highest)
        check_range(self, "highest", at_most=100)

    def apply(self, images: Planes, draws: Draws, blank: Sequence[float]) -> Planes:
        return self.of_channels(images, draws, blank, channel_names(images.shape[1]))

    def of_channels(self, images: Planes, draws: Draws, blank: Sequence[float], channels: Sequence[str]) -> Planes:
        rows = np.flatnonzero(draws[:, 0] < self.probability)
        if not len(rows):
            return images
        quality = self.lowest + np.floor(draws[rows, 1] * (self.highest - self.lowest + 1))
        at = torch.from_numpy(rows).to(images.device)
        levels, low, unit = whole_levels(images[at])
        coloured = set(RGB) <= set(channels)
        grey = [place for place, name in enumerate(channels) if not (coloured and name in RGB)]
        if grey:
            levels[:, grey] = _coded(levels[:, grey].int(), _steps(_LUMA, quality)).to(levels)
        levels = in_colours(levels, channels, lambda colours: compressed(colours, quality))
        changed = images.clone()
        changed[at] = levels.mul_(unit).add_(low)
        return changed


def compressed(colours: Float[Tensor, "n 3 h w"], quality: Float64[np.ndarray, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Compress and decompress RGB images, whose values are whole levels from 0 to 255."""
    height, width = colours.shape[2:]
    red, green, blue = colours.int().split(1, dim=1)
    luma = (19595 * red + 38470 * green + 7471 * blue + _HALF) >> 16
    of_blue = (-11059 * red - 21709 * green + 32768 * blue + (128 << 16) + _HALF - 1) >> 16
    of_red = (32768 * red - 27439 * green - 5329 * blue + (128 << 16) + _HALF - 1) >> 16
    luma = _coded(luma, _steps(_LUMA, quality))
    chroma = _coded(_halved(torch.cat([of_blue, of_red], dim=1)), _steps(_CHROMA, quality))
    of_blue, of_red = (_doubled(chroma)[..., :height, :width] - 128).split(1, dim=1)
    red = luma + ((91881 * of_red + _HALF) >> 16)
    green = luma + ((-22554 * of_blue - 46802 * of_red + _HALF) >> 16)
    blue = luma + ((116130 * of_blue + _HALF) >> 16)
    return torch.cat([red, green, blue], dim=1).clamp_(0, 255).to(colours)


def _steps(table: np.ndarray, quality: Float64[np.ndarray, " n"]) -> Tables:
    """Return the steps of the coefficients at the quality of each image, as libjpeg scales them."""
    percent = np.where(quality < 50, 5000 // np.maximum(quality, 1), 200 - 2 * quality)
    return np.clip((table * percent[:, None, None] + 50) // 100, 1, 255)


def _coded(planes: Levels, steps: Tables) -> Levels:
    """Round the coefficients of each block of 8 × 8 levels to multiples of the steps."""
    n, c, height, width = planes.shape
    blocks = _continued(planes, 8).float() - 128
    down, across = blocks.shape[2] // 8, blocks.shape[3] // 8
    blocks = blocks.view(n, c, down, 8, across, 8).transpose(3, 4).reshape(n, -1, 64)
    dct, step = _DCT.to(blocks), torch.from_numpy(steps).to(blocks).view(n, 1, 64)
    # One product for each image, so that no batch changes another's rounding.
    coefficients = torch.stack([image @ dct.T for image in blocks])
    sizes = coefficients.abs().add_(_TIE).div_(step).add_(0.5).floor_().mul_(step)
    values = torch.stack([image @ dct for image in sizes.copysign_(coefficients)])
    levels = values.add_(128.5 + _TIE).floor_().clamp_(0, 255).int()
    joined = levels.view(n, c, down, across, 8, 8).transpose(3, 4).reshape(n, c, 8 * down, 8 * across)
    return joined[..., :height, :width]


def _continued(planes: Levels, multiple: int) -> Levels:
    """Repeat the last row and column until both sides are a multiple."""
    for axis in (2, 3):
        size = planes.shape[axis]
        places = torch.arange(size + -size % multiple, device=planes.device).clamp_(max=size - 1)
        planes = planes.index_select(axis, places)
    return planes


def _halved(planes: Levels) -> Levels:
    """Return means of 2 × 2 levels, rounded down and up in turn."""
    even = _continued(planes, 2)
    sums = even[..., 0::2, 0::2] + even[..., 0::2, 1::2] + even[..., 1::2, 0::2] + even[..., 1::2, 1::2]
    return (sums + _in_turn(sums, 1, 2)) >> 2


def _doubled(planes: Levels) -> Levels:
    """Double both sides: each new level has 9, 3, 3 and 1 sixteenths of the four nearest old ones."""
    sums = _between(_between(planes, 2), 3)
    return (sums + _in_turn(sums, 8, 7)) >> 4


def _between(planes: Levels, axis: int) -> Levels:
    """Return three times each level plus its neighbour, once for the one before and once for the one after."""
    size = planes.shape[axis]
    places = torch.arange(size, device=planes.device)
    before = planes.index_select(axis, (places - 1).clamp(min=0))
    after = planes.index_select(axis, (places + 1).clamp(max=size - 1))
    both = torch.stack([planes * 3 + before, planes * 3 + after], dim=axis + 1)
    return both.flatten(axis, axis + 1)


def _in_turn(planes: Levels, first: int, second: int) -> Int[Tensor, " w"]:
    places = torch.arange(planes.shape[3], device=planes.device)
    return torch.where(places % 2 == 0, first, second).to(planes)


AUGMENTATIONS.add("jpeg", Jpeg)
