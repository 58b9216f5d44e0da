"""Several things in one figure: panels of curves with one legend, and a panel of values with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from striate.plot._lines import Curve
from striate.plot.figure import empty_figure, name_legend, style_axes
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    figure = empty_figure(4.4 * columns, 2.9 * rows + 0.35, theme)
    figure.set_layout_engine("constrained")
    for number, panel in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, columns, number, facecolor=theme.paper)
        style_axes(axes, theme)
        axes.set_xlabel(panel.across)
        if isinstance(panel, Panel):
            _draw_curves(axes, panel, names, theme)
        else:
            _draw_intervals(axes, panel, names, theme)
    handles = [figure.axes[0].plot([], [], **_look(k, theme))[0] for k in range(len(names))]
    legend = figure.legend(
        handles,
        " " * len(names),
        loc="outside upper left",
        ncols=min(4, len(names)),
        frameon=False,
        labelcolor=theme.ink,
    )
    name_legend(legend, names)
    return figure


def _look(number: int, theme: Theme) -> dict[str, Any]:
    colours = (theme.second, theme.wrong, theme.right, theme.ink)
    return {"color": colours[number % 4], "linestyle": "-" if number < 4 else "--"}


def _draw_curves(axes: Axes, panel: Panel, names: Sequence[str], theme: Theme) -> None:
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
    axes.set_yticks(range(len(held)), [name for _, name in held], parse_math=False)
    axes.tick_params(axis="y", colors=theme.ink)
    axes.set_ylim(len(held) - 0.5, -0.5)
