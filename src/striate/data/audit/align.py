"""Align thumbnails to a template by shift and per-axis scale; return the residual.

Lucas and Kanade's registration ("An iterative image registration technique", IJCAI 1981) in the inverse compositional
form (S. Baker and I. Matthews, "Lucas-Kanade 20 years on", IJCV 2004): the template's gradients, and so the normal
equations, are computed once for any number of images and steps. Brightness and contrast are normalised away in each
step instead of being estimated.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, UInt8

_STEPS = 8
_MARGIN = 3  # thumbnail pixels at each border that a crop may have removed: they are not compared
_BLOCK = 7
_LARGEST_SHIFT, _LARGEST_SCALE = 2.0, 0.1  # above those of a crop by a few per cent
FLAT = 1.0  # grey levels: a standard deviation below this is noise and is not compared


def aligned_similarity(
    template: UInt8[np.ndarray, "s s"], others: UInt8[np.ndarray, "n s s"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Compare each of `others` with `template` after alignment.

    Returns the correlation of the pixels, 1 for the same image, and the root mean square difference in the worst block
    of 7×7 pixels, in standard deviations of the whole, 0 for the same image and 1.4 for unrelated noise. A small object
    in one of two images hardly changes the first, but increases the second. Two images without any structure are alike
    (1 and 0) if their brightness is.
    """
    target, moving = _smooth(template[None]), _smooth(others)
    scales = np.ones((2, len(others)))  # vertical, horizontal
    shifts = np.zeros((2, len(others)))
    goal = _normalised(_inner(target))
    solver = _solver(target[0], goal[0])
    for _ in range(_STEPS):
        left = _normalised(_inner(_warped(moving, scales, shifts))) - goal
        step = left.reshape(len(others), -1) @ solver.T
        for axis in (0, 1):
            grow, move = step[:, 2 * axis].clip(-0.05, 0.05), step[:, 2 * axis + 1].clip(-1, 1)
            scales[axis] = (scales[axis] / (1 + grow)).clip(1 - _LARGEST_SCALE, 1 + _LARGEST_SCALE)
            shifts[axis] = (shifts[axis] - scales[axis] * move).clip(-_LARGEST_SHIFT, _LARGEST_SHIFT)
    laid = _normalised(_inner(_warped(moving, scales, shifts)))
    correlation = (laid * goal).mean((1, 2), dtype=np.float64)
    blocks = (laid.shape[1] // _BLOCK, _BLOCK)
    squares = np.square(laid - goal).reshape(len(others), *blocks, *blocks).mean((2, 4), dtype=np.float64)
    worst = np.sqrt(squares.max((1, 2)))
    return _judge_flat(template, others, correlation, worst)


def _smooth(images: UInt8[np.ndarray, "n s s"]) -> Float32[np.ndarray, "n s s"]:
    """Smooth each image with the kernel (1 2 1)/4 in both directions: gradients then extend over more than a pixel."""
    edged = np.pad(images.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = edged[:, :-2] + 2 * edged[:, 1:-1] + edged[:, 2:]
    return (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16


def _inner(images: Float32[np.ndarray, "n s s"]) -> Float32[np.ndarray, "n i i"]:
    return images[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _normalised(images: Float32[np.ndarray, "n i i"]) -> Float32[np.ndarray, "n i i"]:
    centred = images - images.mean((1, 2), keepdims=True)
    return centred / np.maximum(np.sqrt(np.square(centred).mean((1, 2), keepdims=True)), 1e-6)


def _positions(size: int) -> Float32[np.ndarray, " s"]:
    """Return pixel centres, measured from the middle of the image."""
    return np.arange(size, dtype=np.float32) - (size - 1) / 2


def _warped(
    images: Float32[np.ndarray, "n s s"], scales: Float64[np.ndarray, "2 n"], shifts: Float64[np.ndarray, "2 n"]
) -> Float32[np.ndarray, "n s s"]:
    """Sample the images linearly at `scale · position + shift`: a matrix product on each side."""
    size = images.shape[1]
    vertical, horizontal = (_between(scale, shift, size) for scale, shift in zip(scales, shifts, strict=True))
    return vertical @ images @ horizontal.swapaxes(1, 2)


def _between(
    scales: Float64[np.ndarray, " n"], shifts: Float64[np.ndarray, " n"], size: int
) -> Float32[np.ndarray, "n s s"]:
    """Return the weight of each pixel along an axis (the last) at each sampled position."""
    at = scales[:, None] * _positions(size) + shifts[:, None] + (size - 1) / 2
    counts = at.clip(0, size - 1).astype(np.float32)[:, :, None] - np.arange(size, dtype=np.float32)
    np.subtract(1, np.abs(counts, out=counts), out=counts)
    return np.maximum(counts, 0, out=counts)


def _solver(target: Float32[np.ndarray, "s s"], goal: Float32[np.ndarray, "i i"]) -> Float64[np.ndarray, "4 p"]:
    """Return the matrix that maps a difference from `goal` to a step: vertical scale and shift, horizontal ones.

    The changes that normalisation removes (brightness, contrast) are projected out of the gradients. A small term on
    the diagonal keeps an image in place whose position is undetermined (an even sky).
    """
    vertical, horizontal = np.gradient(_inner(target[None])[0] / max(float(_inner(target[None]).std()), 1e-6))
    place = _positions(len(target))[_MARGIN:-_MARGIN]
    changes = np.stack([vertical * place[:, None], vertical, horizontal * place[None, :], horizontal])
    changes = changes.reshape(4, -1).astype(np.float64)
    contrast = goal.reshape(-1).astype(np.float64)
    changes -= changes.mean(1, keepdims=True)
    changes -= np.outer(changes @ contrast, contrast) / max(float(contrast @ contrast), 1e-6)
    return np.linalg.solve(changes @ changes.T + np.diag([0.4, 1e-3, 0.4, 1e-3]), changes)


def _judge_flat(
    template: UInt8[np.ndarray, "s s"],
    others: UInt8[np.ndarray, "n s s"],
    correlation: Float64[np.ndarray, " n"],
    worst: Float64[np.ndarray, " n"],
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Compare images without structure by their brightness: their correlation has no meaning."""
    flat = others.std((1, 2)) < FLAT
    same = flat & (template.std() < FLAT) & (np.abs(others.mean((1, 2)) - template.mean()) < 2 * FLAT)
    differ = (flat | (template.std() < FLAT)) & ~same
    return np.where(same, 1.0, np.where(differ, 0.0, correlation)), np.where(same, 0.0, np.where(differ, 2.0, worst))
