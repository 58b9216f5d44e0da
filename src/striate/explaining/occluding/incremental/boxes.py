"""Which part of a map a patch can reach, and what must be read to compute it: rectangles, one for each position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

Corner = Int[np.ndarray, " p"]


@dataclass(frozen=True, eq=False)
class Boxes:
    """A rectangle of a map for each of p positions: rows `tops` … `bottoms` (excluded), columns `lefts` … `rights`."""

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
        """Of all of them together."""
        return int((self.heights * self.widths).sum())

    def at(self, numbers: Int[np.ndarray, " m"] | slice) -> Boxes:
        """Those of some positions."""
        return Boxes(self.tops[numbers], self.bottoms[numbers], self.lefts[numbers], self.rights[numbers])

    def joined(self, other: Boxes) -> Boxes:
        """For each position the smallest rectangle that holds both."""
        return Boxes(
            np.minimum(self.tops, other.tops),
            np.maximum(self.bottoms, other.bottoms),
            np.minimum(self.lefts, other.lefts),
            np.maximum(self.rights, other.rights),
        )

    def same(self, other: Boxes) -> bool:
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self._corners(), other._corners(), strict=True))

    def by_size(self) -> Iterator[Int[np.ndarray, " m"]]:
        """The positions whose rectangles have the same height and width, group by group: each is one batch."""
        sizes, group = np.unique(np.stack([self.heights, self.widths]), axis=1, return_inverse=True)
        for number in range(sizes.shape[1]):
            yield np.flatnonzero(group.reshape(-1) == number)

    def _corners(self) -> tuple[Corner, Corner, Corner, Corner]:
        return self.tops, self.bottoms, self.lefts, self.rights


Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How an operation reads its input: for output o, inputs o · stride - padding + 0 … (kernel - 1) · dilation.

    (vertical, horizontal). A negative padding begins within the map.
    """

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Pair = (0, 0)

    @property
    def single(self) -> bool:
        """Whether every output reads one input."""
        return self.kernel == (1, 1)

    @property
    def plain(self) -> bool:
        """Whether every output reads the one input in its own place."""
        return self == Window()

    def reached(self, boxes: Boxes, size: Pair) -> Boxes:
        """The outputs, of a map of `size`, that read any of the inputs in `boxes`; one at least, if none does."""
        tops, bottoms = self._reached(boxes.tops, boxes.bottoms, size[0], 0)
        lefts, rights = self._reached(boxes.lefts, boxes.rights, size[1], 1)
        return Boxes(tops, bottoms, lefts, rights)

    def read(self, boxes: Boxes) -> Boxes:
        """The inputs that the outputs in `boxes` read; part of them may lie beyond the border."""
        tops, bottoms = self._read(boxes.tops, boxes.bottoms, 0)
        lefts, rights = self._read(boxes.lefts, boxes.rights, 1)
        return Boxes(tops, bottoms, lefts, rights)

    def _reached(self, starts: Corner, stops: Corner, size: int, axis: int) -> tuple[Corner, Corner]:
        reach = (self.kernel[axis] - 1) * self.dilation[axis]
        first = -((reach - starts - self.padding[axis]) // self.stride[axis])  # rounded up
        last = (stops - 1 + self.padding[axis]) // self.stride[axis]
        first = np.clip(first, 0, size - 1)
        return first, np.clip(last + 1, first + 1, size)

    def _read(self, starts: Corner, stops: Corner, axis: int) -> tuple[Corner, Corner]:
        reach = (self.kernel[axis] - 1) * self.dilation[axis]
        first = starts * self.stride[axis] - self.padding[axis]
        return first, (stops - 1) * self.stride[axis] - self.padding[axis] + reach + 1
