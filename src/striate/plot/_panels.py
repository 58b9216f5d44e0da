"""Several things in one figure: panels of curves with one legend, and a panel of values with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.plot._lines import Curve
from striate.plot._text import broken, inches, label
from striate.plot.figure import SIZE, empty_figure, name_legend, style, style_axes
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LINE = 4.4, 0.175  # inches, of a panel with its labels, and of a line of text
_HANDLE = 0.6  # inches from a line in the legend to its name, and from there to the next one
_AROUND = 0.4  # inches around a panel, besides its labels
MOST = 8
"""Things in a figure that a reader can distinguish: four colours, solid and dashed."""


@dataclass(frozen=True)
class Panel:
    """Curves by the name of their thing; `across` and `up` label the axes, units included."""

    across: str
    up: str
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Intervals:
    """Values with the ends of their intervals, (low, value, high), by the name of their thing."""

    across: str
    values: Mapping[str, tuple[float, float, float]]


def panels(names: Sequence[str], shown: Sequence[Panel | Intervals], *, theme: Theme = LIGHT) -> Figure:
    """Draw `shown` in rows of two; a thing has the same colour and line in each panel.

    Raises:
        ValueError: there are more than `MOST` things, or there is no panel.
    """
    if len(names) > MOST or not shown:
        raise ValueError(f"1 to {MOST} things and at least one panel; received {len(names)} and {len(shown)}")
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    width = _WIDTH * columns
    across = next((count for count in range(min(4, len(names)), 1, -1) if _across(names, count) <= width), 1)
    labels = ["\n".join(broken(name, width - _HANDLE, SIZE)) for name in names]
    lines = -(-len(names) // across) if across > 1 else sum(1 + text.count("\n") for text in labels)
    figure = empty_figure(width, 2.9 * rows + _LINE * max(2, lines), theme)
    with style():
        figure.set_layout_engine("constrained")
        for number, panel in enumerate(shown, start=1):
            axes = figure.add_subplot(rows, columns, number, facecolor=theme.paper)
            style_axes(axes, theme)
            if isinstance(panel, Panel):
                _draw_curves(axes, panel, names, theme)
            else:
                _draw_intervals(axes, panel, names, theme)
        handles = [figure.axes[0].plot([], [], **_look(k, theme))[0] for k in range(len(names))]
        legend = figure.legend(
            handles,
            " " * len(names),
            loc="outside upper left",
            ncols=across,
            frameon=False,
            labelcolor=theme.ink,
        )
    name_legend(legend, labels)
    return figure


def _across(names: Sequence[str], columns: int) -> float:
    """Return the width of a legend of `columns`, which Matplotlib fills one after another."""
    parts = np.array_split(np.array([_HANDLE + inches(name, SIZE) for name in names]), columns)
    return float(sum(part.max() for part in parts))


def _look(number: int, theme: Theme) -> dict[str, Any]:
    colours = (theme.second, theme.wrong, theme.right, theme.ink)
    return {"color": colours[number % 4], "linestyle": "-" if number < 4 else "--"}


def _draw_curves(axes: Axes, panel: Panel, names: Sequence[str], theme: Theme) -> None:
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.up)
    for number, name in enumerate(names):
        points = panel.curves.get(name, ())
        if points:
            marker = "." if len(points) <= 40 else None
            axes.plot(*zip(*points, strict=True), linewidth=1.5, marker=marker, **_look(number, theme))


def _draw_intervals(axes: Axes, panel: Intervals, names: Sequence[str], theme: Theme) -> None:
    held = [(number, name) for number, name in enumerate(names) if name in panel.values]
    for place, (number, name) in enumerate(held):
        low, value, high = panel.values[name]
        look = _look(number, theme)
        axes.plot([low, high], [place, place], linewidth=1.5, **look)
        axes.plot([value], [place], marker="o", color=look["color"])
    labels = [label(name) for _, name in held]  # the legend has the whole names
    axes.set_yticks(range(len(held)), labels, parse_math=False)
    beside = max((inches(text, SIZE) for text in labels), default=0.0)
    axes.set_xlabel("\n".join(broken(panel.across, _WIDTH - beside - _AROUND, SIZE)))
    axes.tick_params(axis="y", colors=theme.ink)
    axes.set_ylim(len(held) - 0.5, -0.5)
