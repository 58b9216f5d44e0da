"""The pointing game on maps small enough to see through."""

from __future__ import annotations

import numpy as np
import pytest

from striate.core.errors import DataError
from striate.metrics.pointing import centre_points, chance_of_pointing, pointing_game, points_within, share_within

MASK = np.zeros((1, 4, 4), bool)
MASK[0, 1:3, 1:3] = True


def _map(*places: tuple[int, int, float]) -> np.ndarray:
    values = np.zeros((1, 4, 4), np.float32)
    for row, column, value in places:
        values[0, row, column] = value
    return values


@pytest.mark.parametrize(
    ("values", "hits"),
    [
        (_map((1, 1, 2.0), (0, 0, 1.0)), True),
        (_map((1, 1, 1.0), (0, 0, 2.0)), False),
        (_map((0, 1, 2.0)), False),  # next to the object is not on it
        (_map((1, 1, 2.0), (2, 2, 2.0)), True),
        (_map((1, 1, 2.0), (3, 3, 2.0)), False),
        (_map((1, 1, 1.0), (0, 0, -5.0)), True),  # what speaks against the class is not pointed at
        (_map(), False),
        (_map((1, 1, np.nan)), False),
    ],
)
def test_a_map_hits_where_all_its_largest_values_lie_on_the_object(values: np.ndarray, hits: bool) -> None:
    assert points_within(values, MASK).tolist() == [hits]


def test_the_share_is_that_of_the_positive_part() -> None:
    assert share_within(_map((1, 1, 3.0), (0, 0, 1.0), (3, 3, -7.0)), MASK).tolist() == [0.75]
    assert share_within(_map((1, 1, -3.0)), MASK).tolist() == [0.0]


def test_chance_is_what_a_point_at_random_hits() -> None:
    masks = np.random.default_rng(0).random((50, 16, 16)) < 0.2
    lots = np.random.default_rng(1).random((20_000, 16, 16)).astype(np.float32)
    hits = points_within(lots, np.resize(masks, lots.shape)).mean()
    assert chance_of_pointing(masks) == pytest.approx(hits, abs=0.01)


@pytest.mark.parametrize(("side", "middle"), [(4, [(1, 1), (1, 2), (2, 1), (2, 2)]), (5, [(2, 2)])])
def test_the_centre_is_the_pixel_or_the_four_in_the_middle(side: int, middle: list[tuple[int, int]]) -> None:
    masks = np.zeros((2, side, side), bool)
    for row, column in middle:
        masks[0, row, column] = True
    masks[1] = ~masks[0]
    found = centre_points(masks)
    assert (found.correct, found.count) == (1, 2)


def test_a_game_has_hits_and_energy_with_intervals_and_chance() -> None:
    """Three maps of 4 pixels: on the object with all, on it with three quarters, and next to it."""
    masks = np.zeros((3, 2, 2), bool)
    masks[:, 0, 0] = True
    maps = np.array([[[4, 0], [0, 0]], [[3, 1], [0, 0]], [[0, 4], [0, 0]]], np.float32)
    game = pointing_game(maps, masks)
    assert (game.hits.correct, game.hits.count) == (2, 3)
    assert game.energy == pytest.approx((1 + 0.75 + 0) / 3)
    assert game.chance == 0.25
    low, high = game.energy_interval
    assert 0 <= low <= game.energy <= high <= 1
    assert "66.67 % of 3" in str(game)
    assert pointing_game(maps[:1], masks[:1]).energy_interval == (1, 1)
    with pytest.raises(DataError, match="image 2 marks none"):
        pointing_game(maps, masks & np.array([True, False, True])[:, None, None])
    with pytest.raises(DataError, match="one size"):
        pointing_game(maps, masks[:2])
