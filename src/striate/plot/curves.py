"""Quantities over the course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from striate.plot.figure import INK, RIGHT, SECOND, THIRD, WRONG, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (THIRD, SECOND, WRONG, INK)


def curves(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    quantity: str,
    best_epoch: float | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Named curves of one `quantity`, each a sequence of (epoch, value); `best_epoch` is marked.

    Raises:
        ValueError: more than four curves, which no reader could tell apart.
    """
    if len(lines) > len(_COLOURS):
        raise ValueError(f"at most {len(_COLOURS)} curves in a figure, not {len(lines)}")
    figure, axes = new_figure(5.0, 3.2)
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
        epochs, values = [epoch for epoch, _ in points], [value for _, value in points]
        axes.plot(epochs, values, color=colour, linewidth=1.6, marker="." if len(points) <= 40 else None, label=name)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=RIGHT, linewidth=1.0, linestyle=(0, (3, 3)))
        axes.annotate(f"best: {best_epoch:g}", (best_epoch, 1.0), (4, -8), ("data", "axes fraction"),
                      textcoords="offset points", color=RIGHT, va="top")  # fmt: skip
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    if len(lines) > 1:
        axes.legend(frameon=False, labelcolor=INK)
    return figure
