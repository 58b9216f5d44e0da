"""The confusion matrix as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8

from striate.plot.colormap import Colormap
from striate.plot.figure import new_figure
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBERED = 24


def confusion(matrix: Int[np.ndarray, "k k"], classes: Sequence[str], *, theme: Theme = LIGHT) -> Figure:
    """True classes down, answers across; the deeper a cell, the larger its share of its row.

    Right answers and wrong ones have different colours. Numbers stand in the cells of up to 24 classes.
    """
    count = len(classes)
    pitch = 0.36 if count <= _NUMBERED else max(0.09, 8.0 / count)
    room = 0.6 + 0.085 * max(len(name) for name in classes)
    figure, axes = new_figure(pitch * count + room, pitch * count + room, theme)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    axes.imshow(_colours(shares, theme), interpolation="nearest")
    axes.grid(visible=False)
    axes.set_xticks(range(count), classes, rotation=90, fontsize=9 if count <= _NUMBERED else 5)
    axes.set_yticks(range(count), classes, fontsize=9 if count <= _NUMBERED else 5)
    axes.tick_params(colors=theme.ink, length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xlabel("answered", color=theme.soft)
    axes.set_ylabel("true", color=theme.soft)
    if count <= _NUMBERED:
        for i, j in zip(*np.nonzero(matrix), strict=True):
            colour = theme.paper if shares[i, j] > 0.4 else theme.ink
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=colour, fontsize=8)
    return figure


def _colours(shares: Float[np.ndarray, "k k"], theme: Theme) -> UInt8[np.ndarray, "k k 3"]:
    """Empty cells are plain; a rare mistake must still be seen, so depth grows faster than the share at first."""
    depth = np.where(shares > 0, 0.12 + 0.88 * shares**0.6, 0.0)
    on_diagonal = np.eye(len(shares), dtype=bool)[:, :, None]
    right, wrong = (
        Colormap(name, (theme.field, end)) for name, end in (("right", theme.right), ("wrong", theme.wrong))
    )
    return np.where(on_diagonal, right(depth), wrong(depth))
