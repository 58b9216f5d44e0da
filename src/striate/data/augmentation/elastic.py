"""Elastic distortion of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.core.scalars import check_range
from striate.data.augmentation import affine
from striate.data.augmentation.augmentations import AUGMENTATIONS, Draws, Photometric, generator
from striate.data.augmentation.pixels import smoothed


@dataclass(frozen=True, kw_only=True)
class Elastic(Photometric):
    """Move each pixel by a smooth random field.

    P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR 2003, section 2. The moves of each pixel along both axes are independent and uniform from -1 to 1,
    then smoothed with a Gaussian and multiplied by `alpha`, so that their standard deviation is about
    0.16 · alpha / sigma pixels. The kernel ends at three times sigma. Fields and images continue beyond the border as
    their mirror images.

    Args:
        alpha: factor of the smoothed moves, in pixels; the paper has 34 for handwriting of 29 × 29 pixels.
        sigma: standard deviation of the Gaussian in pixels, from 0.5 to 20.
    """

    alpha: float = 34.0
    sigma: float = 4.0

    def __post_init__(self) -> None:
        check_range(self, "alpha", at_least=0)
        check_range(self, "sigma", at_least=0.5, at_most=20)

    def apply(self, images: Float[Tensor, "n c h w"], draws: Draws, blank: Sequence[float]) -> Tensor:
        n, _, height, width = images.shape
        moves = np.empty((n, 2, height, width), np.float32)
        for field, draw in zip(moves, draws[:, 0].tolist(), strict=True):
            generator(draw).random(out=field, dtype=np.float32)
        field = torch.from_numpy(2 * moves - 1).to(images)
        field = smoothed(field, np.full(n, self.sigma), reach=math.ceil(3 * self.sigma))
        return affine.displaced(images, field.mul_(self.alpha))


AUGMENTATIONS.add("elastic", Elastic)
