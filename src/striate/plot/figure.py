"""Figures that stand alone, for papers, slides and notebooks: one style, no global state, the same bytes each time.

Matplotlib is used by its objects (`Figure` and a canvas), never through pyplot, which keeps figures alive and
settings in one place for the whole process.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE, PAPER = "#1c1b1a", "#66625a", "#e4e0d7", "#ffffff"
RIGHT, WRONG, SECOND, THIRD = "#0f7b6c", "#c9431b", "#2b5db2", "#a39c8e"

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "striate",
}


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, and its one pair of axes: light, with no frame but a grid behind."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
        axes = figure.add_subplot()
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", colors=SOFT, length=0)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(SOFT)
    axes.yaxis.label.set_color(SOFT)
    axes.title.set_color(INK)
    return figure, axes


def figure_png(figure: Figure, *, dots_per_inch: int = 200) -> bytes:
    """The figure as a PNG without dates."""
    return _bytes(figure, format="png", dpi=dots_per_inch, metadata={"Software": None})


def figure_svg(figure: Figure) -> bytes:
    """The figure as an SVG whose text is text; without dates, and with the same names inside each time."""
    return _bytes(figure, format="svg", metadata={"Date": None, "Creator": None})


def _bytes(figure: Figure, **options: Any) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # solved once: each further solution would move it by a hair
        figure.savefig(buffer, **options)
    return buffer.getvalue()
