"""The receptive-field arithmetic against numbers worked out by hand and printed in papers."""

from __future__ import annotations

from striate.models._reach import Reach


def test_stacked_three_by_three_layers_see_what_larger_kernels_see() -> None:
    two = Reach().window(3).window(3)
    assert two.field == (5, 5)  # VGG, section 2.3
    assert two.window(3).field == (7, 7)


def test_a_stride_widens_what_later_windows_add() -> None:
    stem = Reach().window(7, 2).window(3, 2)
    assert (stem.field, stem.stride) == ((11, 11), (4, 4))
    assert stem.window(3).field == (19, 19)


def test_a_kernel_has_a_size_in_each_direction_and_a_dilation() -> None:
    assert Reach().window((1, 7)).field == (1, 7)
    assert Reach().window(3, dilation=2).field == (5, 5)


def test_paths_that_meet_see_their_union_and_a_gate_sees_all() -> None:
    assert (Reach().window(5) | Reach().window((1, 7))).field == (5, 7)
    gated = Reach().window(3, 2).everywhere()
    assert (gated.field, gated.window(3, 2).stride) == (None, (4, 4))
    assert (Reach().window(3, 2) | gated).field is None
    assert gated.place("stage1", "gate", 8).receptive_field is None
