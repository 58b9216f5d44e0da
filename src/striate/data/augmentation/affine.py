"""Affine and projective warps of a batch, with a matrix for each image, and warps by a field of moves.

A matrix maps a point of the new image, (x, y, 1) in pixels from the centre, to the point of the old one shown there.
Several changes are one matrix product, and pixels are resampled once. Beyond the border an image continues as its
mirror image, so a plain background stays plain and a photo gets no dark corners.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn import functional as F

Matrices = Float64[np.ndarray, "n 3 3"]

_HORIZON = 0.05  # the least divisor: points further away are shown no smaller


def diagonal(x: np.ndarray | float, y: np.ndarray | float, count: int) -> Matrices:
    """Return matrices that scale by x and y."""
    matrices = np.tile(np.eye(3), (count, 1, 1))
    matrices[:, 0, 0], matrices[:, 1, 1] = x, y
    return matrices


def translation(x: np.ndarray, y: np.ndarray) -> Matrices:
    """Return matrices that read x pixels further right and y further down."""
    matrices = np.tile(np.eye(3), (len(x), 1, 1))
    matrices[:, 0, 2], matrices[:, 1, 2] = x, y
    return matrices


def rotation(radians: np.ndarray) -> Matrices:
    """Return matrices that rotate the image counter-clockwise as displayed (y points down)."""
    matrices = np.tile(np.eye(3), (len(radians), 1, 1))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(radians)
    matrices[:, 1, 0] = np.sin(radians)
    matrices[:, 0, 1] = -matrices[:, 1, 0]
    return matrices


def shear(x: np.ndarray, y: np.ndarray) -> Matrices:
    """Return matrices that move rows by x pixels for each pixel downwards, after columns by y for each to the right."""
    matrices = np.tile(np.eye(3), (len(x), 1, 1))
    matrices[:, 0, 0] = 1 + x * y
    matrices[:, 0, 1], matrices[:, 1, 0] = x, y
    return matrices


def projection(shown: Float64[np.ndarray, "n 4 2"], read: Float64[np.ndarray, "4 2"]) -> Matrices:
    """Return matrices that map four points of each new image, `shown`, to those of the old one, `read`."""
    equations = np.zeros((len(shown), 8, 8))
    for axis in range(2):
        rows = equations[:, axis::2]
        rows[:, :, 3 * axis : 3 * axis + 2], rows[:, :, 3 * axis + 2] = shown, 1
        rows[:, :, 6:] = -shown * read[:, axis, None]
    solved = np.linalg.solve(equations, np.tile(read.reshape(8, 1), (len(shown), 1, 1)))
    return np.concatenate([solved[:, :, 0], np.ones((len(shown), 1))], axis=1).reshape(-1, 3, 3)


def gather(images: Float[Tensor, "n c h w"], matrices: Matrices) -> Float[Tensor, "n c h w"]:
    """Apply matrices that mirror and shift by whole pixels only: pixels are gathered, never interpolated."""
    n, c, h, w = images.shape
    columns = _fetch(w, matrices[:, 0, 0], matrices[:, 0, 2])
    rows = _fetch(h, matrices[:, 1, 1], matrices[:, 1, 2])
    first, within = (torch.from_numpy(places).to(images.device) for places in (rows * w, columns))
    flat = (first[:, :, None] + within[:, None, :]).reshape(n, 1, h * w)
    return images.reshape(n, c, h * w).gather(2, flat.expand(n, c, h * w)).reshape(n, c, h, w)


def _fetch(size: int, sign: np.ndarray, shift: np.ndarray) -> Int[np.ndarray, "n size"]:
    """Return, for each image, the old pixel of a row (or column) of `size` that each new one shows."""
    centre = (size - 1) / 2
    wanted = np.rint(sign[:, None] * (np.arange(size) - centre) + shift[:, None] + centre).astype(np.int64)
    folded = wanted % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def interpolate(images: Float[Tensor, "n c h w"], matrices: Matrices) -> Float[Tensor, "n c h w"]:
    """Apply any matrices by bilinear interpolation."""
    _, _, h, w = images.shape
    x, y = np.arange(w) - (w - 1) / 2, np.arange(h) - (h - 1) / 2
    grid = images.new_empty(len(matrices), h, w, 2, dtype=torch.float32)
    for axis, size in enumerate((w, h)):
        # Each point is the sum of a term of its column and one of its row. (A matrix product would be no faster, and
        # may round differently in batches of other sizes.)
        along, across, shift = (matrices[:, axis, place, None] * (2 / size) for place in range(3))
        columns, rows = (along * x).astype(np.float32), (across * y + shift).astype(np.float32)
        terms = (torch.from_numpy(part).to(images.device) for part in (columns[:, None, :], rows[:, :, None]))
        torch.add(*terms, out=grid[..., axis])
    return _sampled(images, grid)


def project(images: Float[Tensor, "n c h w"], matrices: Matrices) -> Float[Tensor, "n c h w"]:
    """Apply projective matrices, whose third row is the divisor of each point, by bilinear interpolation."""
    _, _, h, w = images.shape
    x, y = np.arange(w) - (w - 1) / 2, np.arange(h) - (h - 1) / 2
    apple = images.device.type == "mps"  # which has no numbers of 64 bits

    def row(number: int) -> Tensor:
        along, across, shift = (matrices[:, number, place, None] for place in range(3))
        terms = (torch.from_numpy(part) for part in (along * x, across * y + shift))
        columns, rows = (term.float().to(images.device) if apple else term.to(images.device) for term in terms)
        return columns[:, None, :] + rows[:, :, None]

    divisor = row(2).clamp_(min=_HORIZON)
    grid = torch.stack([row(axis).mul_(2 / size).div_(divisor) for axis, size in enumerate((w, h))], dim=3)
    return _sampled(images, grid.float())


def displaced(images: Float[Tensor, "n c h w"], moves: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n c h w"]:
    """Show at each point the one that lies `moves` pixels further right and further down, by bilinear interpolation."""
    _, _, h, w = images.shape
    x, y = (2 * torch.arange(size, device=images.device) + (1 - size) for size in (w, h))
    across, down = moves.mul(2).unbind(1)
    return _sampled(images, torch.stack([(across + x).div_(w), (down + y[:, None]).div_(h)], dim=3))


def _sampled(images: Float[Tensor, "n c h w"], grid: Float[Tensor, "n h w 2"]) -> Float[Tensor, "n c h w"]:
    return F.grid_sample(
        images,
        grid.to(images),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )
