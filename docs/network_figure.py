"""Draw a network as boxes and the paths between them, in rows from top to bottom."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from striate.plot import LIGHT
from striate.plot.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _ROW_GAP, _COLUMN_GAP = 0.19, 0.28, 0.22  # inches: a line of text, between rows, between columns
_LETTER, _LEAST = 0.068, 0.5
_SWEEPS = 24
_COLOURS = {"input": "#f4f2ec", "weighted": "#d9e5f7", "pooling": "#fbe8c8", "junction": "#ffffff", "gate": "#f3dcec",
            "other": "#eceae4"}  # fmt: skip


@dataclass(frozen=True)
class Box:
    """One box: its lines of text, and its kind (a key of `_COLOURS`)."""

    lines: tuple[str, ...]
    kind: str = "other"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return max(_LEAST, _LETTER * max(map(len, self.lines)) + 0.2), _LINE * len(self.lines) + 0.1


@dataclass
class _Place:
    """A box in its row, or a place in a row that a long path goes through."""

    box: Box | None
    row: int
    x: float = 0.0

    @property
    def width(self) -> float:
        return self.box.size[0] if self.box else 0.1


def network(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> Figure:
    """Draw `boxes` joined by `edges` (from, to), which lead from earlier boxes to later ones."""
    places, joints, paths = _rows(boxes, edges)
    _arrange(places, joints)
    depth = 1 + max(place.row for place in places)
    heights = [max((p.box.size[1] for p in places if p.box and p.row == row), default=0.0) for row in range(depth)]
    middles = -np.cumsum([height + _ROW_GAP for height in heights]) + np.array(heights) / 2 + _ROW_GAP
    left, right = (
        min(place.x - place.width / 2 for place in places) - 0.08,
        max(place.x + place.width / 2 for place in places) + 0.08,
    )
    bottom, top = float(middles[-1]) - heights[-1] / 2 - 0.08, float(middles[0]) + heights[0] / 2 + 0.08
    figure, axes = new_figure(right - left, top - bottom)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    for path in paths:
        _draw_path(axes, [places[number] for number in path], middles, heights)
    for place in places:
        if place.box:
            _draw_box(axes, place.box, place.x, float(middles[place.row]))
    return figure


def _rows(
    boxes: Sequence[Box], edges: Sequence[tuple[int, int]]
) -> tuple[list[_Place], list[tuple[int, int]], list[list[int]]]:
    """Each box one row below the lowest that it reads; a path over several rows gets a place in each.

    Gives the places, the joints between places of neighbouring rows, and the whole path of each edge.
    """
    row = [0] * len(boxes)
    for start, end in sorted(edges, key=lambda edge: edge[1]):
        row[end] = max(row[end], row[start] + 1)
    places = [_Place(box, row[number]) for number, box in enumerate(boxes)]
    joints, paths = [], []
    for start, end in edges:
        path = [start]
        for between in range(row[start] + 1, row[end]):
            places.append(_Place(None, between))
            path.append(len(places) - 1)
        path.append(end)
        paths.append(path)
        joints += list(itertools.pairwise(path))
    return places, joints, paths


def _arrange(places: list[_Place], joints: list[tuple[int, int]]) -> None:
    """Give every place its x: as near as may be to what it is joined with, in an order with few crossings.

    The order within a row follows the mean of the neighbours (Sugiyama, Tagawa and Toda, "Methods for visual
    understanding of hierarchical system structures", IEEE Transactions on Systems, Man, and Cybernetics 11(2), 1981);
    the distances are then the nearest that keep boxes apart.
    """
    rows: list[list[int]] = [[] for _ in range(1 + max(place.row for place in places))]
    for number, place in enumerate(places):
        place.x = float(len(rows[place.row]))
        rows[place.row].append(number)
    neighbours: dict[int, list[int]] = {number: [] for number in range(len(places))}
    for start, end in joints:
        neighbours[start].append(end)
        neighbours[end].append(start)
    for sweep in range(_SWEEPS):
        for members in rows if sweep % 2 == 0 else reversed(rows):
            wishes = {n: _wish(places, n, neighbours[n]) for n in members}
            if sweep < _SWEEPS // 2:
                members.sort(key=lambda n: wishes[n])
            _settle(places, members, [wishes[n] for n in members])


def _wish(places: list[_Place], number: int, neighbours: list[int]) -> float:
    """Where a place would like to be: a box looks at boxes first, so that the main road is straight."""
    seen = neighbours
    if places[number].box:
        seen = [n for n in neighbours if places[n].box] or neighbours
    return float(np.mean([places[n].x for n in seen])) if seen else 0.0


def _settle(places: list[_Place], members: list[int], wishes: list[float]) -> None:
    """The positions nearest to the wishes, in least squares, that keep the order and the gaps (isotonic regression)."""
    offsets = [0.0]
    for one, other in itertools.pairwise(members):
        offsets.append(offsets[-1] + (places[one].width + places[other].width) / 2 + _COLUMN_GAP)
    pools: list[list[float]] = []  # (sum, weight, count) of neighbours that move together
    for number, wish, offset in zip(members, wishes, offsets, strict=True):
        weight = 100.0 if places[number].box else 1.0
        pools.append([weight * (wish - offset), weight, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    moved = [total / weight for total, weight, count in pools for _ in range(int(count))]
    for number, base, offset in zip(members, moved, offsets, strict=True):
        places[number].x = base + offset


def _draw_box(axes: Axes, box: Box, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    width, height = box.size
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=_COLOURS[box.kind],
            edgecolor=LIGHT.soft,
            linewidth=0.7,
        )
    )
    for number, line in enumerate(box.lines):
        line_y = y + ((len(box.lines) - 1) / 2 - number) * _LINE
        axes.text(
            x,
            line_y,
            line,
            ha="center",
            va="center_baseline",
            color=LIGHT.ink if number == 0 else LIGHT.soft,
            fontsize=8,
        )


def _draw_path(axes: Axes, path: list[_Place], middles: np.ndarray, heights: list[float]) -> None:
    """A curve from the lower edge of the first box to the upper edge of the last, straight past the rows between."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    first, last = path[0], path[-1]
    assert first.box is not None
    assert last.box is not None
    points = [(first.x, float(middles[first.row]) - first.box.size[1] / 2)]
    for place in path[1:-1]:
        middle, half = float(middles[place.row]), heights[place.row] / 2
        points += [(place.x, middle + half), (place.x, middle - half)]
    points.append((last.x, float(middles[last.row]) + last.box.size[1] / 2))
    vertices, codes = [points[0]], [Path.MOVETO]
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        middle = (y1 + y2) / 2
        vertices += [(x1, middle), (x2, middle), (x2, y2)]
        codes += [Path.CURVE4] * 3
    axes.add_patch(
        FancyArrowPatch(
            path=Path(vertices, codes),
            arrowstyle="-|>,head_length=2.4,head_width=1.5",
            facecolor=LIGHT.soft,
            edgecolor=LIGHT.soft,
            linewidth=0.8,
            shrinkA=0,
            shrinkB=0,
        )
    )
