"""Mixing: augmentations that combine images with others of their batch, and their targets alike.

The partner of an image is the next one in a random order of the batch, which is sorted by the draws of its images. So
images and targets depend on which images the batch holds, not on their places in it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

from striate.core.scalars import check_range
from striate.data.augmentation.augmentations import AUGMENTATIONS, Augmentation, Draws, generator, per_image
from striate.data.augmentation.rectangles import covered


@dataclass(frozen=True, kw_only=True)
class Mixing(Augmentation):
    """Combine each image with its partner; its target becomes soft.

    With share λ of the image, its target is λ · its own + (1 - λ) · that of the partner. For each image λ is drawn from
    Beta(alpha, alpha), where the papers have one λ for a batch.

    Args:
        alpha: the larger, the more alike are the shares of both images; 1 is the uniform distribution.
        probability: fraction of the images that are combined, from 0 to 1.
    """

    draws = 5

    alpha: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "alpha", at_least=0)
        check_range(self, "probability", at_least=0, at_most=1)

    def mix(
        self, images: Float[Tensor, "n c h w"], targets: Float[Tensor, "n k"], draws: Draws
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Return images and targets, combined with those of their partners."""
        partner = torch.from_numpy(partners(draws[:, 0]))
        drawn = np.array([generator(draw).beta(self.alpha, self.alpha) for draw in draws[:, 1].tolist()])
        share = np.where(draws[:, 2] < self.probability, drawn, 1.0)
        mixed, share = self.combine(images, images[partner.to(images.device)], share, draws[:, 3:])
        own = torch.from_numpy(share).to(targets)[:, None]
        return mixed, own * targets + (1 - own) * targets[partner.to(targets.device)]

    @abstractmethod
    def combine(
        self,
        images: Float[Tensor, "n c h w"],
        others: Float[Tensor, "n c h w"],
        share: Float64[np.ndarray, " n"],
        places: Float64[np.ndarray, "n 2"],
    ) -> tuple[Float[Tensor, "n c h w"], Float64[np.ndarray, " n"]]:
        """Return images in which `images` have about the share `share`, and the shares that they have."""


@dataclass(frozen=True, kw_only=True)
class Mixup(Mixing):
    """Blend each image with its partner: λ · image + (1 - λ) · partner.

    H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018, arXiv:1710.09412, eq. 1.

    Args:
        alpha: λ is drawn from Beta(alpha, alpha) for each image; ImageNet in the paper has 0.2.
        probability: fraction of the images that are combined, from 0 to 1.
    """

    alpha: float = 0.2

    def combine(
        self,
        images: Float[Tensor, "n c h w"],
        others: Float[Tensor, "n c h w"],
        share: Float64[np.ndarray, " n"],
        places: Float64[np.ndarray, "n 2"],
    ) -> tuple[Float[Tensor, "n c h w"], Float64[np.ndarray, " n"]]:
        own = per_image(images, share)
        return (images * own).add_(others * (1 - own)), share


@dataclass(frozen=True, kw_only=True)
class Cutmix(Mixing):
    """Paste a rectangle of the partner, at its place, into each image.

    S. Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", ICCV 2019,
    arXiv:1905.04899, eq. 1 and 2. The rectangle has the shape of the image and the part 1 - λ of its area. Its centre
    is any pixel, and what lies beyond the border is cut off. The target has the share of pixels that remain.

    Args:
        alpha: λ is drawn from Beta(alpha, alpha) for each image; the paper has 1.
        probability: fraction of the images that are combined, from 0 to 1.
    """

    def combine(
        self,
        images: Float[Tensor, "n c h w"],
        others: Float[Tensor, "n c h w"],
        share: Float64[np.ndarray, " n"],
        places: Float64[np.ndarray, "n 2"],
    ) -> tuple[Float[Tensor, "n c h w"], Float64[np.ndarray, " n"]]:
        cut, (height, width) = np.sqrt(1 - share), images.shape[2:]
        rows, columns = np.rint(height * cut), np.rint(width * cut)
        top, left = np.floor(places[:, 0] * height) - rows // 2, np.floor(places[:, 1] * width) - columns // 2
        pasted = covered(top, left, rows, columns, height, width)
        mask = torch.from_numpy(pasted).to(images.device)
        return torch.where(mask, others, images), 1 - pasted.mean(axis=(1, 2, 3))


def partners(draws: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return for each image the place of its partner: the next in the order of the draws, after the last the first."""
    order = np.argsort(draws, kind="stable")
    found = np.empty(len(draws), np.int64)
    found[order] = np.roll(order, -1)
    return found


def soft(targets: Tensor, classes: int) -> Float[Tensor, "n k"]:
    """Return targets with a column for each class: class numbers as rows of 0 and one 1."""
    return targets.float() if targets.ndim == 2 else F.one_hot(targets.long(), classes).float()


AUGMENTATIONS.add("mixup", Mixup)
AUGMENTATIONS.add("cutmix", Cutmix)
