"""Chart the accuracy of networks against their cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from striate.plot import LIGHT
from striate.plot.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import BboxBase

_COLOURS = (LIGHT.second, LIGHT.wrong, LIGHT.right, LIGHT.ink, "#8a5a9e", "#b8860b", LIGHT.third)
_AREA = 1.1  # square points per million parameters
_FONT = 8  # points
_PIXELS_PER_POINT = 100 / 72


@dataclass(frozen=True)
class Point:
    """One network: its name and family, its multiply-accumulates, its accuracy in per cent, its parameters."""

    name: str
    family: str
    macs: float
    accuracy: float
    parameters: float


def tradeoff(points: Sequence[Point]) -> Figure:
    """Draw accuracy against MACs (logarithmic), parameters as areas; join the members of a family."""
    figure, axes = new_figure(8.6, 6.0)
    families: dict[str, list[Point]] = {}
    for point in points:
        families.setdefault(point.family, []).append(point)
    for members, colour in zip(families.values(), cycle(_COLOURS), strict=False):
        members.sort(key=lambda point: point.macs)
        x, y = [point.macs / 1e9 for point in members], [point.accuracy for point in members]
        areas = [_AREA * point.parameters / 1e6 + 6 for point in members]
        axes.plot(x, y, color=colour, linewidth=0.9, alpha=0.6)
        axes.scatter(x, y, s=areas, color=colour, alpha=0.55, linewidths=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("multiply-accumulates of one image, in billions")
    axes.set_ylabel("top-1 accuracy, per cent")
    _sizes(axes)
    _label(axes, families)
    return figure


def _label(axes: Axes, families: Mapping[str, list[Point]]) -> None:
    """Each family's name at one of its points, where it covers no other name and as few points as may be."""
    figure = axes.figure
    figure.draw_without_rendering()  # pyright: ignore[reportAttributeAccessIssue] (a figure, not a part of one)
    to_pixels = axes.transData.transform
    discs = to_pixels([(point.macs / 1e9, point.accuracy) for members in families.values() for point in members])
    taken: list[BboxBase] = []
    for (family, members), colour in zip(families.items(), cycle(_COLOURS), strict=False):
        text = family.replace("_", " ")
        at, box = min(
            (place for point in members for place in _offers(to_pixels((point.macs / 1e9, point.accuracy)), text)),
            key=lambda place: _crowding(place[1], taken, discs, axes.bbox),
        )
        taken.append(box)
        x, y = axes.transData.inverted().transform(at)
        axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=_FONT)


def _offers(point: np.ndarray, text: str) -> Iterator[tuple[np.ndarray, BboxBase]]:
    """Middles of names around a point, and the boxes that they would fill, in pixels: the nearest and highest first."""
    from matplotlib.transforms import Bbox

    width, height = 5.0 * len(text) * _FONT / 8, 1.35 * _FONT * _PIXELS_PER_POINT
    for distance in (0.9, 1.6, 2.6, 3.8):
        for x, y in ((0, 1), (0, -1), (-1, 0.6), (1, 0.6), (1, -0.6), (-1, -0.6), (1, 0), (-1, 0)):
            middle = point + np.array([x * (width / 2 + 4 * distance), y * height * distance])
            yield middle, Bbox.from_bounds(middle[0] - width / 2, middle[1] - height / 2, width, height)


def _crowding(box: BboxBase, taken: list[BboxBase], discs: np.ndarray, frame: BboxBase) -> int:
    """How bad a place is: names in the way are worse than points; of equals the first is taken."""
    outside = not (frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1)
    x, y = discs.T
    hidden = (x > box.x0 - 3) & (x < box.x1 + 3) & (y > box.y0 - 3) & (y < box.y1 + 3)
    covered = sum(bool(box.overlaps(other)) for other in taken)
    return 100 * bool(outside) + 20 * covered + int(hidden.sum())


def _sizes(axes: Axes) -> None:
    """A key to the areas."""
    for millions in (5, 25, 100):
        axes.scatter(
            [], [], s=_AREA * millions + 6, color=LIGHT.soft, alpha=0.55, linewidths=0, label=f"{millions} M parameters"
        )
    axes.legend(frameon=False, labelcolor=LIGHT.soft, loc="lower right")
