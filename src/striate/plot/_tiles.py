"""Rows of images with captions and colour scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from striate.plot._text import broken, inches
from striate.plot.colormap import Colormap
from striate.plot.figure import DOTS_PER_INCH, empty_figure
from striate.plot.pixels import Pixels, Rgb, coloured, enlarged, resized
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# All lengths are dots of a PNG at its usual resolution, so that each pixel of an image is a whole number of dots.
_MARGIN, _GAP, _LINE, _UNDER = 36, 36, 28, 12
_TITLE_LINE, _BAR, _BAR_GAP, _BAR_LABEL = 44, 14, 14, 92
_TITLE, _CAPTION = 11.0, 8.0  # points
_NARROWEST = 160  # of a caption; a narrower image has paper at its right
_SMALL = 96  # images up to this side are enlarged by whole pixels


@dataclass(frozen=True)
class Scale:
    """The colour scale of an image: a colormap and the labels at its two ends.

    `middle` is the label at the middle of the bar (the zero of a signed map), or "".
    """

    colormap: Colormap
    least: str
    most: str
    middle: str = ""


@dataclass(frozen=True, eq=False)
class Tile:
    """One image: grey or RGB pixels, the lines of its caption (the first is emphasised), and its scale, if any."""

    pixels: Pixels
    caption: tuple[str, ...] = ()
    scale: Scale | None = None


@dataclass(frozen=True, eq=False)
class _Laid:
    """A tile at its final size, its caption broken into lines: (text, whether it is emphasised)."""

    pixels: Rgb
    lines: tuple[tuple[str, bool], ...]
    scale: Scale | None

    @property
    def height(self) -> int:
        return len(self.pixels)

    @property
    def width(self) -> int:
        drawn = self.pixels.shape[1] + (_BAR_GAP + _BAR + _BAR_LABEL if self.scale else 0)
        return max([drawn, *(math.ceil(inches(line, _CAPTION) * DOTS_PER_INCH) for line, _ in self.lines)])


def tiles(
    shown: Sequence[Tile],
    *,
    columns: int | None = None,
    title: str = "",
    note: str = "",
    side: float = 2.2,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a sheet of images, `columns` in a row (all in one by default), with a longer side of about `side` inches.

    Small images are enlarged by whole pixels, large ones resampled. `title` is at the top, with `note` under it; long
    lines are broken.

    Raises:
        ValueError: there are no images.
    """
    if not shown:
        raise ValueError("a sheet needs at least one image")
    laid = [_laid(tile, round(side * DOTS_PER_INCH)) for tile in shown]
    across = columns or len(laid)
    rows = [laid[start : start + across] for start in range(0, len(laid), across)]
    widths = [max(row[place].width for row in rows if place < len(row)) for place in range(min(across, len(laid)))]
    full = sum(widths) + _GAP * (len(widths) - 1)
    titles = _lines(title, full, _TITLE)
    notes = _lines(note, full, _CAPTION)
    head = _TITLE_LINE * len(titles) + _LINE * len(notes) + (_UNDER if titles or notes else 0)
    heights = [max(tile.height for tile in row) for row in rows]
    captions = [max(len(tile.lines) for tile in row) * _LINE + _UNDER for row in rows]
    height = 2 * _MARGIN + head + sum(heights) + sum(captions) + _GAP * (len(rows) - 1)
    page = _Page(full + 2 * _MARGIN, height, theme)
    y = _MARGIN
    for line in titles:
        page.write(_MARGIN, y, line, size=_TITLE, strong=True)
        y += _TITLE_LINE
    for line in notes:
        page.write(_MARGIN, y, line, size=_CAPTION, strong=False)
        y += _LINE
    y = _MARGIN + head
    for row, row_height, caption in zip(rows, heights, captions, strict=True):
        x = _MARGIN
        for tile, width in zip(row, widths, strict=False):
            page.lay(tile, x, y + row_height - tile.height)
            x += width + _GAP
        y += row_height + caption + _GAP
    return page.figure


class _Page:
    """A figure whose coordinates are dots from its upper left corner."""

    def __init__(self, width: int, height: int, theme: Theme) -> None:
        self._size = width, height
        self._theme = theme
        self.figure = empty_figure(width / DOTS_PER_INCH, height / DOTS_PER_INCH, theme)

    def write(self, x: int, y: int, text: str, *, size: float, strong: bool, middle: bool = False) -> None:
        """Write `text` with its upper left corner at (x, y), or the middle of its left edge there."""
        colour = self._theme.ink if strong else self._theme.soft
        up = "center" if middle else "top"
        where = x / self._size[0], 1 - y / self._size[1]
        self.figure.text(*where, text, size=size, color=colour, ha="left", va=up, parse_math=False)

    def lay(self, tile: _Laid, x: int, y: int) -> None:
        """Draw a tile with its upper left corner at (x, y), its scale at the right and its caption below."""
        self._paste(tile.pixels, x, y)
        if tile.scale:
            self._scale(tile.scale, x + tile.pixels.shape[1] + _BAR_GAP, y, tile.height)
        for number, (line, first) in enumerate(tile.lines):
            self.write(x, y + tile.height + _UNDER + number * _LINE, line, size=_CAPTION, strong=first)

    def _scale(self, scale: Scale, x: int, y: int, height: int) -> None:
        ramp = scale.colormap(np.linspace(1.0, 0.0, height))
        self._paste(np.repeat(ramp[:, None], _BAR, axis=1), x, y)
        beside = x + _BAR + 10
        ends = (0.0, scale.most), (0.5, scale.middle), (1.0, scale.least)
        for fraction, text in ends:
            # The labels stay within the height of the bar.
            at = y + round(fraction * height) + round((0.5 - fraction) * 20)
            self.write(beside, at, text, size=_CAPTION - 1, strong=False, middle=True)

    def _paste(self, pixels: Rgb, x: int, y: int) -> None:
        height, width = pixels.shape[:2]
        across, down = self._size
        axes = self.figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down))
        axes.imshow(pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()


def _laid(tile: Tile, side: int) -> _Laid:
    pixels = coloured(tile.pixels)
    longest = max(pixels.shape[:2])
    if longest <= min(_SMALL, side):
        pixels = enlarged(pixels, max(1, round(side / longest)))
    else:
        pixels = resized(pixels, side / longest)
    room = max(pixels.shape[1], _NARROWEST)
    lines = [(line, not number) for number, text in enumerate(tile.caption) for line in _lines(text, room)]
    return _Laid(pixels, tuple(lines), tile.scale)


def _lines(text: str, width: int, size: float = _CAPTION) -> list[str]:
    """Break `text` into lines of at most `width` dots."""
    return broken(text, width / DOTS_PER_INCH, size)
