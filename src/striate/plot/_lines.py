"""Line charts of one quantity over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from striate.plot._text import label
from striate.plot.figure import name_legend, new_figure
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]

_MOST = 4
MOST_ORDERED = 12
"""Ordered curves in a figure that a reader can distinguish."""
_FAINTEST = 0.3  # position in the colormap of the first ordered curve; fainter ones do not show on paper


def lines(
    shown: Mapping[str, Curve],
    *,
    across: str,
    up: str,
    ordered: bool = False,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw named curves, each a sequence of (x, y); `across` and `up` label the axes, units included.

    `ordered` curves are of things that follow each other, such as layers: their colours go from faint to deep. The
    legend cuts long names.

    Raises:
        ValueError: there are more curves than a reader can distinguish: 4, or 12 ordered ones.
    """
    colours = _ordered_colours(len(shown), theme) if ordered else (theme.second, theme.wrong, theme.ink, theme.right)
    if len(shown) > len(colours):
        raise ValueError(f"at most {len(colours)} curves in a figure, not {len(shown)}")
    figure, axes = new_figure(5.0, 3.2, theme)
    for points, colour in zip(shown.values(), colours, strict=False):
        x, y = [point[0] for point in points], [point[1] for point in points]
        axes.plot(x, y, color=colour, linewidth=1.6, marker="." if len(points) <= 40 else None)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if len(shown) > 1:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(shown) > _MOST else {}
        legend = axes.legend(axes.get_lines(), " " * len(shown), frameon=False, labelcolor=theme.ink, **place)
        name_legend(legend, [label(name) for name in shown])
    return figure


def _ordered_colours(count: int, theme: Theme) -> Sequence[str]:
    drawn = theme.amount(np.linspace(_FAINTEST, 1.0, min(count, MOST_ORDERED)))
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in drawn.tolist()]
