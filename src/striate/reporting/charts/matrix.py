"""The confusion matrix, readable from 2 classes to some hundred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from striate.reporting.html import Html, h

MOST = 160
"""Beyond so many classes a cell is smaller than a screen can show."""

_BESIDE, _LABEL = 12, 16


def matrix(cells: Sequence[Sequence[int]], classes: Sequence[str]) -> Html:
    """True classes down, answers across; each row's shares as depth of colour, right and wrong in different ones.

    Numbers stand in the cells as long as they are readable. Every cell that counts something tells it when pointed at.
    """
    grid = _Grid.of(classes)
    squares = [_cell(cells, classes, i, j, grid) for i, row in enumerate(cells) for j, n in enumerate(row) if n]
    inside = grid.pitch * len(classes)
    side = grid.margin + inside + 2
    middle = grid.margin + inside / 2
    return h(
        "svg",
        h("rect", x=grid.margin, y=grid.margin, width=inside, height=inside, class_="field"),
        [_labels(k, name, grid) for k, name in enumerate(classes)],
        squares,
        h("text", "answered", x=middle, y=10, text_anchor="middle", class_="unit"),
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
    """Sizes in pixels: one cell, the text, and the room for labels at the left and the top."""

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
        longest = min(max(len(name) for name in classes), _LABEL) * font * 0.6
        return cls(pitch, font, 24 + longest, roomy is not None, longest > pitch)


def cut(text: str, most: int) -> str:
    """`text`, or its beginning and its end around an ellipsis where it is too long."""
    return text if len(text) <= most else f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"


def _labels(k: int, name: str, grid: _Grid) -> list[Html]:
    centre, edge = grid.margin + (k + 0.5) * grid.pitch, grid.margin - 6
    label, full, low = cut(name, _LABEL), h("title", name), centre + grid.font * 0.35
    above = (
        h("text", full, label, x=low, y=edge, class_="label", transform=f"rotate(-90 {low:.1f} {edge:.1f})")
        if grid.upright
        else h("text", full, label, x=centre, y=edge, text_anchor="middle", class_="label")
    )
    return [h("text", full, label, x=edge, y=low, text_anchor="end", class_="label"), above]


def _cell(cells: Sequence[Sequence[int]], classes: Sequence[str], i: int, j: int, grid: _Grid) -> Html:
    number, support = cells[i][j], sum(cells[i])
    depth = 0.12 + 0.88 * (number / support) ** 0.6
    x, y, gap = grid.margin + j * grid.pitch, grid.margin + i * grid.pitch, 1.0 if grid.numbered else 0.25
    what = f"{number} of {support} {classes[i]}" + ("" if i == j else f" taken for {classes[j]}")
    square = h("rect", x=x + gap / 2, y=y + gap / 2, width=grid.pitch - gap, height=grid.pitch - gap,
               rx=2.0 if grid.numbered else None, fill_opacity=depth)  # fmt: skip
    written = h("text", str(number), x=x + grid.pitch / 2, y=y + grid.pitch / 2 + 4, text_anchor="middle",
                data_value=number, data_of=f"test.confusion.{i}.{j}")  # fmt: skip
    style = ("right" if i == j else "wrong") + (" deep" if depth > 0.55 else "")
    return h("g", h("title", what), square, written if grid.numbered else None, class_=f"cell {style}")
