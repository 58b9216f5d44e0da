"""Policies: augmentations that draw operations for each image. RandAugment, TrivialAugment and AugMix.

All have the same operations, which are those of this package: contrast is about the mean of all channels, where Pillow
has the luma, and beyond the border an image continues as its mirror image, where the papers have grey or black. Images
without colours keep their saturation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from striate.core.scalars import check_range
from striate.core.spec import channel_names
from striate.data.augmentation import affine
from striate.data.augmentation.augmentations import (
    AUGMENTATIONS,
    Draws,
    Photometric,
    brightened,
    contrasted,
    generator,
    per_image,
)
from striate.data.augmentation.colours import in_colours, saturated
from striate.data.augmentation.levels import autocontrasted, equalized, posterized, solarized
from striate.data.augmentation.pixels import sharpened

Amounts = Float64[np.ndarray, " n"]
Images = Float[Tensor, "n c h w"]


def _across(amounts: Amounts) -> Amounts:
    return np.zeros(len(amounts))


_SHIFTS: dict[str, Callable[[Amounts], affine.Matrices]] = {
    "translate_x": lambda amounts: affine.translation(np.trunc(amounts), _across(amounts)),
    "translate_y": lambda amounts: affine.translation(_across(amounts), np.trunc(amounts)),
}
"""Operations that move whole pixels, by name: matrices from pixels."""

_WARPS: dict[str, Callable[[Amounts], affine.Matrices]] = {
    "shear_x": lambda amounts: affine.shear(amounts, _across(amounts)),
    "shear_y": lambda amounts: affine.shear(_across(amounts), amounts),
    "rotate": lambda amounts: affine.rotation(np.radians(amounts)),
}
"""Operations that resample, by name: matrices from slopes or degrees."""

_CHANGES: dict[str, Callable[[Images, Amounts, Sequence[str]], Images]] = {
    "brightness": lambda images, amounts, channels: brightened(images, per_image(images, 1 + amounts)),
    "contrast": lambda images, amounts, channels: contrasted(images, per_image(images, 1 + amounts)),
    "saturation": lambda images, amounts, channels: in_colours(
        images, channels, lambda colours: saturated(colours, per_image(images, 1 + amounts))
    ),
    "sharpness": lambda images, amounts, channels: sharpened(images, per_image(images, 1 + amounts)),
    "posterize": lambda images, amounts, channels: posterized(images, amounts),
    "solarize": lambda images, amounts, channels: solarized(images, amounts),
    "autocontrast": lambda images, amounts, channels: autocontrasted(images),
    "equalize": lambda images, amounts, channels: equalized(images),
}
"""Operations that change values, by name: amounts are factors less 1, bits or thresholds."""

_MOVES = (*_SHIFTS, *_WARPS)
_SIGNED = {*_MOVES, "brightness", "contrast", "saturation", "sharpness"}


@dataclass(frozen=True)
class _Space:
    """The operations of a policy: how strong each is at the highest magnitude, 1; at magnitude 0 it is weakest.

    `shear` is a slope, `translate` the pixels for a side, `rotate` an angle in degrees, `factor` the distance of the
    factor from 1, and `bits` the bits that are kept at magnitude 0 and at 1; `cuts` rounds their difference down.
    """

    operations: tuple[str, ...]
    shear: float
    translate: Callable[[int], float]
    rotate: float
    factor: float
    bits: tuple[int, int]
    cuts: bool = False

    def amount(self, operation: str, magnitudes: Amounts, height: int, width: int) -> Amounts:
        """Return how strong an operation is at magnitudes from 0 to 1."""
        if operation == "posterize":
            fewer = (self.bits[0] - self.bits[1]) * magnitudes
            return self.bits[0] - (np.trunc(fewer) if self.cuts else np.rint(fewer))
        if operation == "solarize":
            return 1 - magnitudes
        if operation.startswith("translate"):
            return magnitudes * self.translate(width if operation == "translate_x" else height)
        return magnitudes * (getattr(self, operation.split("_")[0]) if operation in _MOVES else self.factor)


_ALL = ("identity", *_MOVES, *_CHANGES)
_RAND = _Space(_ALL, shear=0.3, translate=lambda side: 150 / 331 * side, rotate=30.0, factor=0.9, bits=(8, 4))
_TRIVIAL = _Space(_ALL, shear=0.99, translate=lambda side: 32.0, rotate=135.0, factor=0.99, bits=(8, 2))
_MIXED = _Space(
    (*_MOVES, "posterize", "solarize", "autocontrast", "equalize"),
    shear=0.3, translate=lambda side: side / 3, rotate=30.0, factor=0.0, bits=(4, 0), cuts=True,
)  # fmt: skip


def _operated(
    images: Images,
    space: _Space,
    chosen: Float64[np.ndarray, " n"],
    magnitudes: Amounts,
    sign: Float64[np.ndarray, " n"],
    channels: Sequence[str],
) -> Images:
    """Return each image after one operation, which three numbers from 0 to 1 determine."""
    number = np.floor(chosen * len(space.operations)).astype(np.int64)
    signs = np.where(sign < 0.5, -1.0, 1.0)
    changed = torch.empty_like(images)
    for place, operation in enumerate(space.operations):
        rows = np.flatnonzero(number == place)
        if not len(rows):
            continue
        at = torch.from_numpy(rows).to(images.device)
        amounts = space.amount(operation, magnitudes[rows], *images.shape[2:])
        if operation in _SIGNED:
            amounts *= signs[rows]
        changed.index_copy_(0, at, _one(images.index_select(0, at), operation, amounts, channels))
    return changed


def _one(images: Images, operation: str, amounts: Amounts, channels: Sequence[str]) -> Images:
    """Return images after an operation, which has its own amount for each."""
    if operation in _SHIFTS:
        return affine.warp(images, _SHIFTS[operation](amounts), affine.Warp.WHOLE)
    if operation in _WARPS:
        return affine.warp(images, _WARPS[operation](amounts), affine.Warp.AFFINE)
    return _CHANGES[operation](images, amounts, channels) if operation in _CHANGES else images


class Policy(Photometric):
    """An augmentation that applies operations drawn for each image."""

    def apply(self, images: Images, draws: Draws, blank: Sequence[float]) -> Tensor:
        return self.of_channels(images, draws, blank, channel_names(images.shape[1]))

    @abstractmethod
    def of_channels(self, images: Images, draws: Draws, blank: Sequence[float], channels: Sequence[str]) -> Images:
        """Return changed images."""


@dataclass(frozen=True, kw_only=True)
class RandAugment(Policy):
    """Apply random operations one after the other, all of one magnitude.

    E. D. Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", NeurIPS 2020,
    arXiv:1909.13719, section 3. The 14 operations are equally likely: identity, autocontrast, equalize, rotate,
    solarize, saturation, posterize, contrast, brightness, sharpness, shear and translate along x and y. Their strengths
    at a magnitude are those of torchvision, a third of those in the paper's code; signs are random.

    Args:
        operations: how many are applied to each image, from 0 to 8.
        magnitude: their magnitude, from 0 to 30.
    """

    draws = 16

    operations: int = 2
    magnitude: float = 9.0

    def __post_init__(self) -> None:
        check_range(self, "operations", at_least=0, at_most=self.draws // 2)
        check_range(self, "magnitude", at_least=0, at_most=30)

    def of_channels(self, images: Images, draws: Draws, blank: Sequence[float], channels: Sequence[str]) -> Images:
        magnitudes = np.full(len(images), self.magnitude / 30)
        for chosen, sign in draws.T.reshape(-1, 2, len(draws))[: self.operations]:
            images = _operated(images, _RAND, chosen, magnitudes, sign, channels)
        return images


@dataclass(frozen=True, kw_only=True)
class TrivialAugment(Policy):
    """Apply one random operation of a random magnitude.

    S. G. Müller and F. Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", ICCV 2021,
    arXiv:2103.10158, algorithm 1, with the wide ranges of its table 1. Operations are those of RandAugment, magnitudes
    31 equal steps. Translations reach 32 pixels.

    Args:
        probability: fraction of the images, from 0 to 1.
    """

    draws = 4

    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "probability", at_least=0, at_most=1)

    def of_channels(self, images: Images, draws: Draws, blank: Sequence[float], channels: Sequence[str]) -> Images:
        rows = np.flatnonzero(draws[:, 3] < self.probability)
        at = torch.from_numpy(rows).to(images.device)
        changed, (chosen, level, sign) = images.clone(), draws[rows, :3].T
        changed[at] = _operated(images[at], _TRIVIAL, chosen, np.floor(level * 31) / 30, sign, channels)
        return changed


@dataclass(frozen=True, kw_only=True)
class AugMix(Policy):
    """Blend an image with a blend of chains of random operations: m · image + (1 - m) · Σ_k w_k · chain_k(image).

    D. Hendrycks et al., "AugMix: a simple data processing method to improve robustness and uncertainty", ICLR 2020,
    arXiv:1912.02781, algorithm 1, without its loss. Weights w are drawn from a Dirichlet distribution and m from a beta
    distribution, both with parameters 1. Each chain has one to three operations, whose magnitudes are uniform from 0.1
    to `severity`. Operations and strengths are those of the paper's code: no identity, brightness, contrast, saturation
    or sharpness.

    Args:
        severity: largest magnitude, from 0 to 10; the paper has 3.
        chains: how many are blended, from 1 to 5.
    """

    draws = 1 + 5 * 10

    severity: float = 3.0
    chains: int = 3

    def __post_init__(self) -> None:
        check_range(self, "severity", at_least=0, at_most=10)
        check_range(self, "chains", at_least=1, at_most=self.draws // 10)

    def of_channels(self, images: Images, draws: Draws, blank: Sequence[float], channels: Sequence[str]) -> Images:
        weights = torch.from_numpy(np.stack([self.weights(draw) for draw in draws[:, 0].tolist()])).to(images)
        least = min(0.1, self.severity)
        mixed = images * weights[:, 0].view(-1, 1, 1, 1)
        for chain in range(self.chains):
            drawn = draws[:, 1 + 10 * chain : 11 + 10 * chain].T
            depth, changed = np.floor(drawn[0] * 3), images
            for step, (chosen, level, sign) in enumerate(drawn[1:].reshape(3, 3, -1)):
                rows = np.flatnonzero(depth >= step)
                at = torch.from_numpy(rows).to(images.device)
                magnitudes = (least + (self.severity - least) * level[rows]) / 10
                part = _operated(changed[at], _MIXED, chosen[rows], magnitudes, sign[rows], channels)
                changed = changed.index_copy(0, at, part)
            mixed += changed * weights[:, 1 + chain].view(-1, 1, 1, 1)
        return mixed

    def weights(self, draw: float) -> Float64[np.ndarray, " k"]:
        """Return the weight of the image and of each chain, which sum to 1, by a draw: the key of a generator."""
        drawn = generator(draw)
        own = drawn.beta(1.0, 1.0)
        return np.array([own, *(1 - own) * drawn.dirichlet([1.0] * self.chains)])


AUGMENTATIONS.add("randaugment", RandAugment)
AUGMENTATIONS.add("trivialaugment", TrivialAugment)
AUGMENTATIONS.add("augmix", AugMix)
