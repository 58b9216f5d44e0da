"""ROAD, remove and debias: replace pixels by what their neighbours predict, not by a constant colour.

Rong, Leemann, Borisov, Kasneci and Kasneci, "A consistent and efficient evaluation strategy for attribution methods",
ICML 2022, arXiv:2202.00449. A constant colour leaves the outline of the removed pixels, and so their shape, in the
image. With noisy linear imputation (section 4.2) each removed pixel equals the weighted mean of its eight neighbours,
of which direct ones weigh 1/6 and diagonal ones 1/12, and a little noise is added.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Fractions of the image that are removed, the most important pixels first."""

NOISE = 0.01
"""Standard deviation of the noise, as a share of that of the image; the authors' code adds 0.01 to scaled images."""

_TOLERANCE = 1e-3
_MOST_STEPS = 1000


def imputed(
    images: Float[Tensor, "n c h w"], removed: Bool[Tensor, "n h w"], *, noise: float = NOISE, seed: int = 0
) -> Float[Tensor, "n c h w"]:
    """Replace the pixels `removed` by noisy linear imputation; at least one pixel of each image must remain.

    Outside of an image there are no neighbours; at its border the weights of the others sum to less than one and are
    scaled up, as in the authors' code. The equations are solved by conjugate gradients to a thousandth of the image's
    spread. The noise follows from `seed`.
    """
    mask = removed[:, None]
    solution = _solved(images, mask)
    if noise:
        drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)).to(images)
        solution = solution + noise * images.std((1, 2, 3), correction=0, keepdim=True) * drawn
    return torch.where(mask, solution, images)


def removed_count(share: float, pixels: int) -> int:
    """Return how many of `pixels` make up `share`, leaving at least one."""
    return min(round(share * pixels), pixels - 1)


def _solved(images: Tensor, mask: Tensor) -> Tensor:
    """Solve the linear equations D x - W x = 0 at the pixels of `mask`, where x is known elsewhere.

    W sums the weighted neighbours and D their weights. The matrix is symmetric and positive definite.
    """
    weights = _neighbours(torch.ones_like(images[:1, :1]))
    x = _coarse_to_fine(images, ~mask)
    residual = torch.where(mask, _neighbours(x) - weights * x, 0)
    direction, size = residual, _dot(residual, residual)
    enough = _rounding(images) + _TOLERANCE**2 * images.var((2, 3), correction=0, keepdim=True)
    for _ in range(_MOST_STEPS):
        if bool((size <= enough).all()):
            break
        applied = torch.where(mask, weights * direction - _neighbours(direction), 0)
        step = size / _dot(direction, applied).clamp(min=torch.finfo(images.dtype).tiny)
        x, residual = x + step * direction, residual - step * applied
        size, before = _dot(residual, residual), size
        direction = residual + size / before.clamp(min=torch.finfo(images.dtype).tiny) * direction
    return x


def _rounding(images: Tensor) -> Float[Tensor, "n c 1 1"]:
    """Return the squared length of the residual that rounding alone leaves: the smallest that can be reached."""
    kind = torch.finfo(images.dtype)
    largest = images.abs().amax((2, 3), keepdim=True)
    return (4 * kind.eps * largest) ** 2 * images[0, 0].numel() + kind.tiny


def _neighbours(values: Tensor) -> Tensor:
    """Sum the eight neighbours with weights: (1 2 1) down times (1 2 1) across, without the middle, over 12."""
    down = F.pad(values, (1, 1, 1, 1))
    down = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:] - 4 * values) / 12


def _coarse_to_fine(images: Tensor, known: Tensor) -> Tensor:
    """Return a first guess: means of known pixels in squares that double until none is missing, enlarged again."""
    if bool(known.all()) or max(images.shape[2:]) == 1:
        return images
    share = F.avg_pool2d(known.to(images), 2, ceil_mode=True)
    means = F.avg_pool2d(torch.where(known, images, 0), 2, ceil_mode=True)
    means = torch.where(share > 0, means / share.clamp(min=torch.finfo(images.dtype).tiny), 0)
    filled = _coarse_to_fine(means, share > 0)
    enlarged = F.interpolate(filled, images.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(known, images, enlarged)


def _dot(one: Tensor, other: Tensor) -> Float[Tensor, "n c 1 1"]:
    """Return the dot product for each channel of each image: channels are separate systems."""
    return (one * other).sum((2, 3), keepdim=True)
