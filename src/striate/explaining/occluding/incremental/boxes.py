"""Rectangles of a map, one for each position of a patch: values that it reaches, and the inputs to compute them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from striate.tracing import Window

Corner = Int[np.ndarray, " p"]


@dataclass(frozen=True, eq=False)
class Boxes:
    """One rectangle of a map for each of p positions; `bottoms` and `rights` are excluded."""

    tops: Corner
    bottoms: Corner
    lefts: Corner
    rights: Corner

    def __len__(self) -> int:
        return len(self.tops)

    @property
    def heights(self) -> Corner:
        return self.bottoms - self.tops

    @property
    def widths(self) -> Corner:
        return self.rights - self.lefts

    def area(self) -> int:
        """Return the area of all rectangles together."""
        return int((self.heights * self.widths).sum())

    def at(self, numbers: Int[np.ndarray, " m"] | slice) -> Boxes:
        """Return the rectangles of some positions."""
        return Boxes(self.tops[numbers], self.bottoms[numbers], self.lefts[numbers], self.rights[numbers])

    def joined(self, other: Boxes) -> Boxes:
        """Return the smallest rectangle that contains both, for each position."""
        return Boxes(
            np.minimum(self.tops, other.tops),
            np.maximum(self.bottoms, other.bottoms),
            np.minimum(self.lefts, other.lefts),
            np.maximum(self.rights, other.rights),
        )

    def same(self, other: Boxes) -> bool:
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self._corners(), other._corners(), strict=True))

    def by_size(self) -> Iterator[Int[np.ndarray, " m"]]:
        """Group the positions whose rectangles have the same height and width: each group is one batch."""
        sizes, group = np.unique(np.stack([self.heights, self.widths]), axis=1, return_inverse=True)
        for number in range(sizes.shape[1]):
            yield np.flatnonzero(group.reshape(-1) == number)

    def _corners(self) -> tuple[Corner, Corner, Corner, Corner]:
        return self.tops, self.bottoms, self.lefts, self.rights


def outputs_of(boxes: Boxes, window: Window, size: tuple[int, int]) -> Boxes:
    """Return the outputs of a map of `size` that read an input in `boxes`; one output if none does."""
    tops, bottoms = _outputs(boxes.tops, boxes.bottoms, window, size, 0)
    lefts, rights = _outputs(boxes.lefts, boxes.rights, window, size, 1)
    return Boxes(tops, bottoms, lefts, rights)


def inputs_of(boxes: Boxes, window: Window) -> Boxes:
    """Return the inputs that the outputs in `boxes` read; some may lie beyond the border."""
    tops, bottoms = _inputs(boxes.tops, boxes.bottoms, window, 0)
    lefts, rights = _inputs(boxes.lefts, boxes.rights, window, 1)
    return Boxes(tops, bottoms, lefts, rights)


def _outputs(starts: Corner, stops: Corner, window: Window, size: tuple[int, int], axis: int) -> tuple[Corner, Corner]:
    first = -((window.reach[axis] - 1 - starts - window.padding[axis]) // window.stride[axis])  # rounded up
    last = (stops - 1 + window.padding[axis]) // window.stride[axis]
    first = np.clip(first, 0, size[axis] - 1)
    return first, np.clip(last + 1, first + 1, size[axis])


def _inputs(starts: Corner, stops: Corner, window: Window, axis: int) -> tuple[Corner, Corner]:
    first = starts * window.stride[axis] - window.padding[axis]
    return first, (stops - 1) * window.stride[axis] - window.padding[axis] + window.reach[axis]
