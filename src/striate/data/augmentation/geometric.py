"""Geometric augmentations: alternating flip, random resized crop, shear and perspective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.core.scalars import check_range
from striate.data.augmentation import affine
from striate.data.augmentation.augmentations import AUGMENTATIONS, Draws, Geometric, signed
from striate.data.augmentation.rectangles import TRIES, fitting, placed


@dataclass(frozen=True, kw_only=True)
class AlternatingFlip(Geometric):
    """Mirror an image left to right in every other epoch, half of the images in the first one.

    K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, arXiv:2404.00498, section 3.6. Unlike `flip`,
    any two consecutive epochs show both forms of an image. Its sample index decides which form is first.

    Args:
        probability: fraction of the images that alternate, from 0 to 1; the others stay.
    """

    draws = 2
    warp = affine.Warp.WHOLE

    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "probability", at_least=0, at_most=1)

    def drawn(self, index: np.ndarray, *, epoch: int, seed: int) -> Draws:
        """Return the draws of the first epoch; in every other one, half is added to the first draw, modulo 1."""
        draws = super().drawn(index, epoch=0, seed=seed)
        draws[:, 0] = (draws[:, 0] + epoch % 2 / 2) % 1
        return draws

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        mirrored = (draws[:, 0] < 0.5) & (draws[:, 1] < self.probability)
        return affine.diagonal(np.where(mirrored, -1.0, 1.0), 1.0, len(draws))


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop(Geometric):
    """Show a random rectangle of an image in its full size.

    The area is uniform, the aspect ratio log-uniform, and the place uniform: C. Szegedy et al., "Going deeper with
    convolutions", CVPR 2015, arXiv:1409.4842, section 6, whose crops are 8 % to 100 % of the area with ratios from 3/4
    to 4/3. As in torchvision, ten rectangles are tried; where none fits, the largest central one of an allowed ratio is
    shown. The crop is taken from the network's input, so that it is always enlarged.

    Args:
        fraction: largest part of the area that is cut away, from 0 to below 1.
        aspect: largest ratio of the sides; the smallest is its inverse.
    """

    draws = 2 * TRIES + 2
    warp = affine.Warp.UPRIGHT

    fraction: float = 0.92
    aspect: float = 4 / 3

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, below=1)
        check_range(self, "aspect", at_least=1)

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        rows, columns, fits = fitting(draws, 1 - self.fraction, 1.0, self.aspect, height, width)
        top, left = placed(draws[:, -2], height, rows), placed(draws[:, -1], width, columns)
        whole_rows = min(height, round(width * self.aspect))
        whole_columns = min(width, round(height * self.aspect))
        rows, columns = np.where(fits, rows, whole_rows), np.where(fits, columns, whole_columns)
        top = np.where(fits, top, (height - whole_rows) // 2)
        left = np.where(fits, left, (width - whole_columns) // 2)
        centres = affine.translation(left + (columns - width) / 2, top + (rows - height) / 2)
        return centres @ affine.diagonal(columns / width, rows / height, len(draws))


@dataclass(frozen=True, kw_only=True)
class Shear(Geometric):
    """Shear along both axes about the centre: rows by one random angle, columns by another.

    As `RandomAffine(0, shear=(-d, d, -d, d))` of torchvision.

    Args:
        degrees: largest angle, from 0 to 60.
    """

    draws = 2

    degrees: float = 10.0

    def __post_init__(self) -> None:
        check_range(self, "degrees", at_least=0, at_most=60)

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        slopes = np.tan(np.radians(self.degrees * signed(draws)))
        return affine.shear(slopes[:, 0], slopes[:, 1])


@dataclass(frozen=True, kw_only=True)
class Perspective(Geometric):
    """Move each corner inwards by random distances, as an image looks from a random direction.

    As `RandomPerspective` of torchvision, but corners are moved by fractions of pixels. The matrix of each image maps
    four corners to four corners: R. Hartley and A. Zisserman, "Multiple view geometry", 2nd edition, section 2.3.

    Args:
        fraction: largest move as a fraction of half the side, from 0 to 0.6; beyond, corners may fold over.
    """

    draws = 8
    warp = affine.Warp.PROJECTIVE

    fraction: float = 0.3

    def __post_init__(self) -> None:
        check_range(self, "fraction", at_least=0, at_most=0.6)

    def matrices(self, draws: Draws, height: int, width: int) -> affine.Matrices:
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)
        moved = corners * (1 - self.fraction * draws.reshape(-1, 4, 2))
        return affine.projection(moved, corners)


AUGMENTATIONS.add("alternating_flip", AlternatingFlip)
AUGMENTATIONS.add("random_resized_crop", RandomResizedCrop)
AUGMENTATIONS.add("shear", Shear)
AUGMENTATIONS.add("perspective", Perspective)
