"""Figures in one style, without global state and with reproducible bytes.

Matplotlib is used through its objects (`Figure` and a canvas), never through pyplot, which keeps figures alive and has
global settings.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

DOTS_PER_INCH = 200
SIZE = 9.0
"""Of the letters of a figure, in points."""

# Fonts of Linux, Windows and macOS for scripts that Matplotlib's own font lacks, in the order in which they are tried.
_OTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC", "Hiragino Sans",
    "Yu Gothic", "Malgun Gothic", "Apple SD Gothic Neo", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai",
    "Nirmala UI", "Leelawadee UI", "Arial Unicode MS", "Noto Emoji", "Segoe UI Symbol",
)  # fmt: skip

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": SIZE,
    "svg.fonttype": "none",
    "svg.hashsalt": "striate",
}


def style() -> AbstractContextManager[None]:
    """Return the context in which the parts of a figure have the fonts and sizes of all figures."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def empty_figure(width: float, height: float, theme: Theme = LIGHT) -> Figure:
    """Create an empty figure of `width` × `height` inches."""
    from matplotlib.figure import Figure

    with style():
        return Figure(figsize=(width, height), facecolor=theme.paper)


def new_figure(width: float, height: float, theme: Theme = LIGHT) -> tuple[Figure, Axes]:
    """Create a figure of `width` × `height` inches with one pair of axes, with a grid instead of a frame."""
    figure = empty_figure(width, height, theme)
    with style():
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
    buffer = io.BytesIO()
    without = _choose_fonts(figure)
    if without and options["format"] == "png":  # the text of an SVG is drawn with the fonts of its reader
        warnings.warn(
            f"No font for {''.join(sorted(without)[:10])} is installed, so boxes are drawn. Install one, as Noto Sans "
            "CJK, or save an .svg.",
            stacklevel=3,
        )
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph ")  # one for each character
        if layout := figure.get_layout_engine():
            layout.execute(figure)
            figure.set_layout_engine("none")  # solved once: a second solution would differ slightly
        figure.savefig(buffer, **options)
    return buffer.getvalue()


def _choose_fonts(figure: Figure) -> set[str]:
    """Let text with characters that the usual font lacks use others; return the characters that no font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font, get_font_names
    from matplotlib.text import Text

    def drawn(family: str) -> set[str]:
        return set(map(chr, get_font(findfont(FontProperties(family=[family]))).get_charmap()))

    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and not text.get_text().isascii()]
    lacking = {character for text in texts for character in text.get_text() if not character.isspace()}
    if not lacking or not (lacking := lacking - drawn("sans-serif")):
        return set()
    others = [family for family in _OTHER_FONTS if family in get_font_names()]
    for text in texts:
        if lacking.intersection(text.get_text()):
            text.set_fontfamily(["sans-serif", *others])
    return lacking.difference(*map(drawn, others))
