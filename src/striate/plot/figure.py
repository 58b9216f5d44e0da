"""Figures in one style, without global state and with reproducible bytes.

Matplotlib is used through its objects (`Figure` and a canvas), never through pyplot, which keeps figures alive and has
global settings.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

DOTS_PER_INCH = 200

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "striate",
}


def empty_figure(width: float, height: float, theme: Theme = LIGHT) -> Figure:
    """Create an empty figure of `width` × `height` inches."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        return Figure(figsize=(width, height), facecolor=theme.paper)


def new_figure(width: float, height: float, theme: Theme = LIGHT) -> tuple[Figure, Axes]:
    """Create a figure of `width` × `height` inches with one pair of axes, with a grid instead of a frame."""
    import matplotlib

    figure = empty_figure(width, height, theme)
    with matplotlib.rc_context(_STYLE):
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot(facecolor=theme.paper)
    style_axes(axes, theme)
    return figure, axes


def style_axes(axes: Axes, theme: Theme) -> None:
    """Give the axes a grid instead of a frame, in the colours of `theme`."""
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", colors=theme.soft, length=0)
    axes.grid(color=theme.line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(theme.soft)
    axes.yaxis.label.set_color(theme.soft)
    axes.title.set_color(theme.ink)


def name_legend(legend: Legend, names: Sequence[str]) -> None:
    """Label the lines of `legend` with `names` as they are.

    Matplotlib would read $ as mathematics, and leave out what begins with an underscore.
    """
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)
        text.set_parse_math(False)


def figure_png(figure: Figure, *, dots_per_inch: int = DOTS_PER_INCH) -> bytes:
    """Encode the figure as a PNG without dates."""
    return _bytes(figure, format="png", dpi=dots_per_inch, metadata={"Software": None})


def figure_svg(figure: Figure) -> bytes:
    """Encode the figure as an SVG whose text is text, without dates and with reproducible identifiers."""
    return _bytes(figure, format="svg", metadata={"Date": None, "Creator": None})


def _bytes(figure: Figure, **options: Any) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        if layout := figure.get_layout_engine():
            layout.execute(figure)
            figure.set_layout_engine("none")  # solved once: a second solution would differ slightly
        figure.savefig(buffer, **options)
    return buffer.getvalue()
