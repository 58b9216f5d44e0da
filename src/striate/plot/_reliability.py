"""The reliability diagram as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from striate.plot.figure import new_figure
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 3

Point = tuple[float, float, int]
"""Mean confidence of a bin, its share of right answers, and how many answers it holds."""


def reliability(measured: Mapping[str, Sequence[Point]], *, theme: Theme = LIGHT) -> Figure:
    """Confidence across and the share of right answers up, for up to three named measurements.

    The diagonal is perfect calibration; the area of a dot grows with the answers in its bin.

    Raises:
        ValueError: more than three measurements.
    """
    if len(measured) > _MOST:
        raise ValueError(f"at most {_MOST} measurements in a figure, not {len(measured)}")
    figure, axes = new_figure(4.2, 4.2, theme)
    axes.plot([0, 1], [0, 1], color=theme.soft, linewidth=1.0, linestyle=(0, (3, 3)))
    for (name, points), colour in zip(measured.items(), theme.lines, strict=False):
        most = max((count for *_, count in points), default=1)
        sizes = [12 + 110 * count / most for *_, count in points]
        axes.scatter([p[0] for p in points], [p[1] for p in points], s=sizes, color=colour, label=name, linewidths=0)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_aspect("equal")
    axes.set_xlabel("confidence")
    axes.set_ylabel("share of right answers")
    if len(measured) > 1:
        axes.legend(frameon=False, labelcolor=theme.ink, markerscale=0.6)
    return figure
