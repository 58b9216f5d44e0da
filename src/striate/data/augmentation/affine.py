"""Affine and projective warps of a batch, with a matrix for each image, and warps by a field of moves.

A matrix maps a point of the new image, (x, y, 1) in pixels from the centre, to the point of the old one shown there.
Several changes are one matrix product, and pixels are resampled once. Beyond the border an image continues as its
mirror image, so a plain background stays plain and a photo gets no dark corners.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from torch.nn import functional as F

Matrices = Float64[np.ndarray, "n 3 3"]


class Warp(IntEnum):
    """How freely matrices move points. A product of matrices is as free as the freest of them."""

    WHOLE = 0
    """They mirror, and shift by whole pixels."""
    UPRIGHT = 1
    """They mirror, scale and shift: rows stay rows, and columns stay columns."""
    AFFINE = 2
    """Parallel lines stay parallel: the third row is (0, 0, 1)."""
    PROJECTIVE = 3
    """Lines stay lines."""


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


def warp(images: Float[Tensor, "n c h w"], matrices: Matrices, kind: Warp) -> Float[Tensor, "n c h w"]:
    """Apply matrices that are no freer than `kind`: where no pixel lies between pixels, none is interpolated."""
    if kind <= Warp.UPRIGHT:
        return _stretch(images, matrices, "nearest" if kind is Warp.WHOLE else "bilinear")
    return _interpolate(images, matrices) if kind is Warp.AFFINE else _project(images, matrices)


def _stretch(
    images: Float[Tensor, "n c h w"], matrices: Matrices, mode: Literal["nearest", "bilinear"]
) -> Float[Tensor, "n c h w"]:
    """Fold the coordinates of a row and of a column back into the image: faster than to fold those of each point."""
    _, _, h, w = images.shape
    terms = []
    for axis, size in enumerate((w, h)):
        points = np.arange(size) - (size - 1) / 2
        wanted = (matrices[:, axis, axis, None] * points + matrices[:, axis, 2, None]) / size + 0.5  # 0 to 1 is inside
        folded = np.abs((wanted + 1) % 2 - 1)
        term = np.zeros((len(matrices), size, 2), np.float32)
        term[:, :, axis] = np.clip(2 * folded - 1, 1 / size - 1, 1 - 1 / size)  # between the outermost centres
        terms.append(term)
    columns, rows = terms
    return _sampled(images, _grid(columns, rows, images), mode, beyond="zeros")


def _interpolate(images: Float[Tensor, "n c h w"], matrices: Matrices) -> Float[Tensor, "n c h w"]:
    _, _, h, w = images.shape
    x, y = np.arange(w) - (w - 1) / 2, np.arange(h) - (h - 1) / 2
    # Each point is the sum of a term of its column and one of its row. (A matrix product would be no faster, and may
    # round differently in batches of other sizes.)
    along, across, shift = np.moveaxis(matrices[:, :2] * (2 / np.array([[w], [h]])), 2, 0)[:, :, None]
    columns, rows = along * x[:, None], across * y[:, None] + shift
    return _sampled(images, _grid(columns.astype(np.float32), rows.astype(np.float32), images))


def _grid(
    columns: Float32[np.ndarray, "n w 2"], rows: Float32[np.ndarray, "n h 2"], images: Float[Tensor, "n c h w"]
) -> Float32[Tensor, "n h w 2"]:
    """Return the sum of a term of each column and one of each row, on the device of `images`."""
    across, down = (torch.from_numpy(term).to(images.device) for term in (columns[:, None], rows[:, :, None]))
    if images.device.type != "cpu":
        return across + down
    # As complex numbers, because torch adds pairs one by one: eight times as long.
    return torch.view_as_real(torch.view_as_complex(across) + torch.view_as_complex(down))


def _project(images: Float[Tensor, "n c h w"], matrices: Matrices) -> Float[Tensor, "n c h w"]:
    """Divide each point by what the third row gives."""
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


def _sampled(
    images: Float[Tensor, "n c h w"],
    grid: Float[Tensor, "n h w 2"],
    mode: Literal["nearest", "bilinear"] = "bilinear",
    *,
    beyond: Literal["zeros", "reflection"] = "reflection",
) -> Float[Tensor, "n c h w"]:
    return F.grid_sample(images, grid.to(images), mode=mode, padding_mode=beyond, align_corners=False)
