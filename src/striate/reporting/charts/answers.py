"""Charts of single answers: the confusion matrix, and one strip of all answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from striate.metrics import Rows
from striate.plot import cut, is_wide
from striate.reporting.html import Html, h
from striate.reporting.numbers import percent

MOST = 160
"""Number of classes above which a cell is too small for a screen."""

_BESIDE, _LABEL = 12, 16
_WIDE = 1 / 0.6  # letters: a wide character is as wide as the font is high, a letter 0.6 of it
_WIDTH, _HEIGHT, _STRIPES = 1000.0, 64.0, 160


def matrix(cells: Sequence[Sequence[int]], classes: Sequence[str], of: str = "test") -> Html:
    """Draw the confusion matrix as an SVG: true classes down, answers across.

    The depth of colour is the fraction of the row; correct and wrong cells differ in hue. Up to 24 classes, cells show
    their counts; each cell that is not empty shows it on hover.
    """
    grid = _Grid.of(classes)
    squares = [_cell(cells, classes, i, j, grid, of) for i, row in enumerate(cells) for j, n in enumerate(row) if n]
    inside = grid.pitch * len(classes)
    side = grid.margin + inside + 2
    middle = grid.margin + inside / 2
    return h(
        "svg",
        h("rect", x=grid.margin, y=grid.margin, width=inside, height=inside, class_="field"),
        [_labels(k, name, grid) for k, name in enumerate(classes)],
        squares,
        h("text", "predicted", x=middle, y=10, text_anchor="middle", class_="unit"),
        h(
            "text",
            "true",
            x=10,
            y=middle,
            text_anchor="middle",
            class_="unit",
            transform=f"rotate(-90 10 {middle:.1f})",
        ),
        viewBox=f"0 0 {side:.0f} {side:.0f}",
        class_="chart matrix" + (" wide" if len(classes) > _BESIDE else ""),
        style=f"--side:{side:.0f}px;font-size:{grid.font:.1f}px",
        role="img",
        aria_label=f"Confusion matrix of {len(classes)} classes",
    )


@dataclass(frozen=True)
class _Grid:
    """Sizes in pixels: of a cell, of the text, and of the margin for labels at the left and the top."""

    pitch: float
    font: float
    margin: float
    numbered: bool
    upright: bool

    @classmethod
    def of(cls, classes: Sequence[str]) -> _Grid:
        count = len(classes)
        roomy = next((pitch for most, pitch in ((3, 92.0), (6, 58.0), (12, 36.0), (24, 27.0)) if count <= most), None)
        pitch = roomy or max(6.0, 640 / count)
        font = 12.5 if count <= 12 else min(10.5, pitch * 0.95)
        longest = max(_letters(cut(name, _LABEL)) for name in classes) * font * 0.6
        return cls(pitch, font, 24 + longest, roomy is not None, longest > pitch)


def _letters(text: str) -> float:
    """Return the width of `text` in letters."""
    return sum(_WIDE if is_wide(character) else 1.0 for character in text)


def _labels(k: int, name: str, grid: _Grid) -> list[Html]:
    centre, edge = grid.margin + (k + 0.5) * grid.pitch, grid.margin - 6
    label, full, low = cut(name, _LABEL), h("title", name), centre + grid.font * 0.35
    above = (
        h("text", full, label, x=low, y=edge, class_="label", transform=f"rotate(-90 {low:.1f} {edge:.1f})")
        if grid.upright
        else h("text", full, label, x=centre, y=edge, text_anchor="middle", class_="label")
    )
    return [h("text", full, label, x=edge, y=low, text_anchor="end", class_="label"), above]


def _cell(cells: Sequence[Sequence[int]], classes: Sequence[str], i: int, j: int, grid: _Grid, of: str) -> Html:
    number, support = cells[i][j], sum(cells[i])
    depth = 0.12 + 0.88 * (number / support) ** 0.6
    x, y, gap = grid.margin + j * grid.pitch, grid.margin + i * grid.pitch, 1.0 if grid.numbered else 0.25
    what = f"{number} of {support} {classes[i]}" + ("" if i == j else f" predicted as {classes[j]}")
    square = h("rect", x=x + gap / 2, y=y + gap / 2, width=grid.pitch - gap, height=grid.pitch - gap,
               rx=2.0 if grid.numbered else None, fill_opacity=depth)  # fmt: skip
    written = h("text", str(number), x=x + grid.pitch / 2, y=y + grid.pitch / 2 + 4, text_anchor="middle",
                data_value=number, data_of=f"{of}.confusion.{i}.{j}")  # fmt: skip
    style = ("right" if i == j else "wrong") + (" deep" if depth > 0.55 else "")
    return h("g", h("title", what), square, written if grid.numbered else None, class_=f"cell {style}")


def stripes(rows: Rows) -> Html:
    """Draw all answers in order of confidence as an SVG, the least confident on the left.

    Each stripe is one image, or a group of neighbours where there are more than 160. The fraction of wrong answers in
    a group is coloured from the top.
    """
    order = np.lexsort((rows.index, rows.confidence))
    groups = np.array_split(order, min(len(order), _STRIPES))
    pitch = _WIDTH / len(groups)
    return h(
        "svg",
        [_stripe(rows.take(group), place * pitch, pitch) for place, group in enumerate(groups)],
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        preserveAspectRatio="none",
        class_="stripes",
        role="img",
        aria_label="Answers in order of confidence; wrong ones are marked",
    )


def _stripe(group: Rows, x: float, pitch: float) -> Html:
    right, total = int(group.right.sum()), len(group.index)
    low, high = float(group.confidence.min()), float(group.confidence.max())
    sure = percent(low) if total == 1 else f"{percent(low)} to {percent(high)}"
    top = _HEIGHT * (total - right) / total
    width = pitch * 0.72
    return h(
        "g",
        h("title", f"confidence {sure}: {right} of {total} correct"),
        h("rect", x=x, y=top, width=width, height=_HEIGHT - top, class_="right") if right else None,
        h("rect", x=x, y=0, width=width, height=top, class_="wrong") if right < total else None,
    )
