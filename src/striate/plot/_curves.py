"""Quantities over the course of something: a training, a shift, the size of a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from striate.plot.figure import new_figure
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]

_MOST_WITHIN, _MOST_IN_ORDER = 4, 12
_FAINTEST = 0.3  # share of a colour map's length where lines in order begin: before it they would be lost on paper


@dataclass(frozen=True)
class Band:
    """What lies between two curves, shown behind the others: what chance gives, say. Points are (x, low, high)."""

    name: str
    points: Sequence[tuple[float, float, float]]


def lines(
    shown: Mapping[str, Curve],
    *,
    across: str,
    up: str,
    ordered: bool = False,
    band: Band | None = None,
    title: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Named curves, each a sequence of (x, y); `across` and `up` say what the axes are, units included.

    `ordered` curves are of things that follow each other, such as layers: their colours go from faint to deep.

    Raises:
        ValueError: more curves than a reader could tell apart: four, or twelve in order.
    """
    figure, axes = new_figure(5.0, 3.2, theme)
    if band is not None:
        x, low, high = zip(*band.points, strict=True)
        axes.fill_between(x, low, high, color=theme.third, alpha=0.3, linewidth=0, label=band.name)
    _draw(axes, shown, _in_order(len(shown), theme) if ordered else (theme.second, theme.wrong, theme.ink, theme.right))
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if title:
        axes.set_title(title, loc="left", color=theme.ink, fontsize=10)
    if len(shown) > 1 or band is not None:
        _name(axes, theme)
    return figure


def curves(
    lines: Mapping[str, Curve],
    *,
    quantity: str,
    best_epoch: float | None = None,
    logarithmic: bool = False,
    theme: Theme = LIGHT,
) -> Figure:
    """Named curves of one `quantity` over a training, each a sequence of (epoch, value); `best_epoch` is marked.

    Raises:
        ValueError: more than four curves, which no reader could tell apart.
    """
    figure, axes = new_figure(5.0, 3.2, theme)
    _draw(axes, lines, theme.lines)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=theme.right, linewidth=1.0, linestyle=(0, (3, 3)))
        axes.annotate(f"best: {best_epoch:g}", (best_epoch, 1.0), (4, -8), ("data", "axes fraction"),
                      textcoords="offset points", color=theme.right, va="top")  # fmt: skip
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    if len(lines) > 1:
        _name(axes, theme)
    return figure


def _draw(axes: Axes, shown: Mapping[str, Curve], colours: Sequence[str]) -> None:
    if len(shown) > len(colours):
        raise ValueError(f"at most {len(colours)} curves in a figure, not {len(shown)}")
    for (name, points), colour in zip(shown.items(), colours, strict=False):
        x, y = [point[0] for point in points], [point[1] for point in points]
        axes.plot(x, y, color=colour, linewidth=1.6, marker="." if len(points) <= 40 else None, label=name)


def _in_order(count: int, theme: Theme) -> Sequence[str]:
    drawn = theme.amount(np.linspace(_FAINTEST, 1.0, min(count, _MOST_IN_ORDER)))
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in drawn.tolist()]


def _name(axes: Axes, theme: Theme) -> None:
    """Say which curve is which: within the frame, beside it where there are many."""
    many = len(axes.get_lines()) > _MOST_WITHIN
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if many else {}
    axes.legend(frameon=False, labelcolor=theme.ink, **place)
