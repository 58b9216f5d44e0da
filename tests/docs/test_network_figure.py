"""Where a drawing puts its boxes and paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from network_figure import Box, network

from striate.plot import figure_png

RESIDUAL = ["input", "3×3 conv", "3×3 conv", "+"], [(0, 1), (1, 2), (2, 3), (0, 3)]
INCEPTION = (
    ["input", "a", "b", "c", "d", "e", "concatenate"],
    [
        *((0, branch) for branch in (1, 2, 3)),
        (2, 4),
        (3, 5),
        *((end, 6) for end in (1, 4, 5)),
    ],
)


def _drawn(labels: list[str], edges: list[tuple[int, int]]) -> tuple[list[FancyBboxPatch], list[FancyArrowPatch]]:
    (axes,) = network([Box((label,)) for label in labels], edges).axes
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    return boxes, [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]


@pytest.mark.parametrize(("labels", "edges"), [RESIDUAL, INCEPTION])
def test_boxes_stand_apart_and_below_what_they_read(labels: list[str], edges: list[tuple[int, int]]) -> None:
    boxes, arrows = _drawn(labels, edges)
    assert (len(boxes), len(arrows)) == (len(labels), len(edges))
    for one, other in itertools.combinations(boxes, 2):
        apart = (
            one.get_x() + one.get_width() <= other.get_x() or other.get_x() + other.get_width() <= one.get_x(),
            one.get_y() + one.get_height() <= other.get_y() or other.get_y() + other.get_height() <= one.get_y(),
        )
        assert any(apart)
    for start, end in edges:
        assert boxes[end].get_y() + boxes[end].get_height() < boxes[start].get_y()


def test_the_main_road_is_straight_and_a_long_path_goes_round_it() -> None:
    boxes, arrows = _drawn(*RESIDUAL)
    middles = [box.get_x() + box.get_width() / 2 for box in boxes]
    assert max(middles) - min(middles) < 0.05
    path = np.asarray(arrows[3].get_path().vertices)
    beside = [x for x, y in path.tolist() if boxes[2].get_y() < y < boxes[1].get_y() + boxes[1].get_height()]
    assert beside
    assert all(abs(x - middles[1]) > boxes[1].get_width() / 2 for x in beside)


def test_the_same_drawing_has_the_same_bytes() -> None:
    first, second = (figure_png(network([Box(("a", "b")), Box(("c",))], [(0, 1)])) for _ in range(2))
    assert first == second
