"""Numbers as people read them."""

from __future__ import annotations

import pytest

from striate.reporting import numbers


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.9861, 1, "98.6 %"),
        (1.0, 1, "100 %"),
        (0.0, 1, "0 %"),
        (0.99999, 1, ">99.9 %"),
        (0.99999, 2, ">99.99 %"),
        (0.00001, 1, "<0.1 %"),
        (0.999, 0, ">99 %"),
        (1.64, 0, "164 %"),
    ],
)
def test_only_all_are_100_per_cent_and_only_none_0(share: float, digits: int, text: str) -> None:
    assert numbers.percent(share, digits) == text.replace(" ", "\u202f")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (61_706, "61.7 k"), (999_600, "1 M"), (23_456_789, "23.5 M")]
)
def test_large_numbers_in_three_figures(number: int, text: str) -> None:
    assert numbers.short(number) == text.replace(" ", "\u202f")


def test_counts_with_their_nouns() -> None:
    assert numbers.count(1, "picture") == "1 picture"
    assert numbers.count(1797, "picture") == "1,797 pictures"


def test_long_lists_are_cut() -> None:
    assert numbers.listed(["a"]) == "a"
    assert numbers.listed(["a", "b", "c"]) == "a, b and c"
    assert numbers.listed(list("abcdef"), most=2) == "a, b and 4 more"


def test_a_figure_carries_its_value_and_its_place() -> None:
    assert numbers.figure(0.5, "50 %", "test.ece") == '<data value="0.5" data-of="test.ece">50 %</data>'
    assert numbers.figure(None, "", "test.ece") == '<span class="unknown">n/a</span>'
