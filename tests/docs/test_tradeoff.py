"""The chart of accuracies and costs: every network is on it, and no name covers another."""

from __future__ import annotations

import itertools

from tradeoff import Point, tradeoff


def test_names_do_not_cover_each_other_and_every_network_has_its_disc() -> None:
    points = [
        Point(f"{family}{n}", f"family {family}", 1e9 * (1 + 0.1 * n + 0.05 * place), 75 + 0.2 * n, 2e7)
        for place, family in enumerate("abcdefg")
        for n in range(3)
    ]
    figure = tradeoff(points)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    names = [text.get_window_extent() for text in axes.texts]
    assert {text.get_text() for text in axes.texts} == {point.family for point in points}
    assert not any(one.overlaps(other) for one, other in itertools.combinations(names, 2))
    drawn = [tuple(offset) for discs in axes.collections for offset in discs.get_offsets().tolist()]  # pyright: ignore
    for point in points:
        assert (point.macs / 1e9, point.accuracy) in drawn
