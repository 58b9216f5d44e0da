"""Which pixels of the input a value inside a network can see, followed operation by operation.

The arithmetic is that of Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks",
Distill 2019, doi:10.23915/distill.00021: every map has a first pixel, a last pixel and a stride; a window of reach r
and padding p moves the first by -p strides and the last by r - 1 - p; where paths meet, the union is seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from striate.models._axes import (
    RESHAPES,
    Step,
    before,
    in_place_of,
    kept,
    mixed,
    multiplied,
    redistributed,
    slid,
    slid_transposed,
    summed,
)
from striate.models._operations import Window, weighted


@dataclass(frozen=True)
class Span:
    """What a map sees along one axis: position i sees the pixels `first + i·stride` to `last + i·stride`.

    Pixels may lie outside the input (padding). `whole` says that every position sees `first` to `last`, though it has
    its place and its `stride`: behind a gate that looks at all of a map. `stride` is None where a value has no position
    any more: behind a flattening, a global pooling, or an operation of unknown reach. `bound` says that each value may
    see less than is said: `first` to `last` is what all of them see together, or at most see.
    """

    first: Fraction
    last: Fraction
    stride: Fraction | None
    whole: bool = False
    bound: bool = False

    @property
    def field(self) -> int:
        """Pixels from the first to the last."""
        return math.ceil(self.last - self.first) + 1

    @property
    def moves(self) -> bool:
        """Whether another position sees other pixels."""
        return self.stride is not None and not self.whole

    def slide(self, reach: int, stride: int, padding: int) -> Span:
        """Behind a window of `reach` pixels."""
        if self.stride is None:
            return self
        step = self.stride
        if self.whole:
            return replace(self, stride=step * stride)
        first, last = self.first - padding * step, self.last + (reach - 1 - padding) * step
        return Span(first, last, step * stride, bound=self.bound)

    def slide_transposed(self, reach: int, stride: int, padding: int) -> Span:
        """Behind a transposed convolution, whose outputs lie `stride` times closer together than its inputs."""
        if self.stride is None:
            return self
        if self.whole:
            return replace(self, stride=self.stride / stride)
        first = self.first + (padding - (reach - 1)) * self.stride / stride
        seen = self.last - self.first + (reach - 1) // stride * self.stride
        return Span(first, first + seen, self.stride / stride, bound=self.bound)

    def gather(self, positions: int, size: int, *, bound: bool = False) -> Span:
        """All `positions` together: their union, inside the input's `size`, without a position.

        With `bound`, no value need see all of it.
        """
        if self.stride is None or self.whole:
            return Span(self.first, self.last, None, bound=self.bound)
        last = self.last + (positions - 1) * self.stride
        bound = bound or self.bound
        return Span(max(self.first, Fraction(0)), min(last, Fraction(size - 1)), None, bound=bound)

    def mix(self, positions: int, size: int, *, bound: bool = False) -> Span:
        """Behind something by which each position sees all `positions`, and keeps its place."""
        return replace(self.gather(positions, size, bound=bound), stride=self.stride, whole=self.stride is not None)

    def meet(self, other: Span, positions: int, size: int) -> Span:
        """Where two paths are added, multiplied or laid beside each other, in a map of `positions`."""
        strides = [stride for stride in (self.stride, other.stride) if stride is not None]
        one, two = self, other
        if one.moves != two.moves:  # the one that does not move sees the same everywhere, so all may be seen
            one, two = one.gather(positions, size), two.gather(positions, size)
        first, last = min(one.first, two.first), max(one.last, two.last)
        moves = one.moves and two.moves
        # One that sees all of the union everywhere makes it exact, whatever the other sees.
        covered = any(not (s.moves or s.bound) and (s.first, s.last) == (first, last) for s in (self, other))
        bound = not covered and (self.bound or other.bound or self.moves != other.moves)
        return Span(first, last, max(strides, default=None), whole=bool(strides) and not moves, bound=bound)


@dataclass(frozen=True)
class Sight:
    """What the values of one tensor see of the input, and behind how many weighted layers (the longest path).

    `axes` are the dimensions of the tensor that are its rows and columns; where these have no positions but see
    different things, the dimension along which they do, or -1 if that is not known. `folded` are
    the first dimensions of a map that is laid out as a matrix for the moment, to be multiplied; then `axes` are the
    map's.
    """

    y: Span
    x: Span
    depth: int
    axes: tuple[int, int]
    folded: tuple[int, ...] = ()

    @property
    def bound(self) -> bool:
        """Whether a value may see less than is said."""
        return self.y.bound or self.x.bound


class Sights:
    """The sights of all tensors that depend on the input, as operations hand them on.

    An operation that is not known here is taken to see all of what it is given: the field said is then an upper bound,
    and marked as such.
    """

    def __init__(self, image: Tensor) -> None:
        pixel = Span(Fraction(0), Fraction(0), Fraction(1))
        self._size = image.shape[-2], image.shape[-1]
        # Tensors are known by identity, so they are kept alive; on the meta device they hold no data.
        self._known: dict[int, tuple[Tensor, Sight]] = {}
        self._set(image, Sight(pixel, pixel, 0, (image.ndim - 2, image.ndim - 1)))

    def get(self, tensor: Tensor) -> Sight | None:
        """The sight of `tensor`; None if it does not depend on the input."""
        known = self._known.get(id(tensor))
        return known[1] if known else None

    def follow(self, function: Any, given: dict[str, Any], outputs: list[Tensor], window: Window | None) -> None:
        """Hand the sights of an operation's inputs on to its outputs."""
        inputs = [tensor for tensor in tensors(given.values()) if self.get(tensor)]
        for output in outputs if inputs else ():
            seen = [self._through(Step(function, given, tensor, output, window)) for tensor in inputs]
            union = seen[0]
            for sight in seen[1:]:
                union = self._meet(union, sight, output)
            self._set(output, replace(union, depth=union.depth + weighted(function, len(inputs))))

    def _set(self, tensor: Tensor, sight: Sight) -> None:
        self._known[id(tensor)] = tensor, sight

    def _through(self, step: Step) -> Sight:
        sight = self._known[id(step.source)][1]
        folded = _folded(sight, step)
        if folded is not None:
            # The columns of the matrix are no places: where they are the picture's, they are taken together.
            columns = () if sight.folded else (step.source.ndim - 1,)
            return replace(self._together(sight, step.source.shape, columns, bound=False), folded=folded)
        if sight.folded:
            return self._together(sight, sight.folded, sight.axes)
        (y, row), (x, column) = (
            _along(span, axis, size, step)
            for span, axis, size in zip((sight.y, sight.x), sight.axes, self._size, strict=True)
        )
        return Sight(y, x, sight.depth, (row, column))

    def _meet(self, one: Sight, other: Sight, output: Tensor) -> Sight:
        # Rows of the one may lie along columns of the other: neither has a position in what they make together.
        if one.folded != other.folded or _crossed(one, other):
            one, other = (self._together(sight, sight.folded or output.shape, sight.axes) for sight in (one, other))
        shape = one.folded or output.shape
        spans = []
        for mine, theirs, axis, its, size in zip(
            (one.y, one.x), (other.y, other.x), one.axes, other.axes, self._size, strict=True
        ):
            place = its if mine.stride is None else axis
            positions = shape[place] if mine.moves != theirs.moves else 1
            met = mine.meet(theirs, positions, size)
            if met.stride is None and met.bound:
                spread = {each for span, each in ((mine, axis), (theirs, its)) if span.bound}
                place = spread.pop() if len(spread) == 1 else -1
            spans.append((met, place))
        (y, row), (x, column) = spans
        return Sight(y, x, max(one.depth, other.depth), (row, column), one.folded)

    def _together(self, sight: Sight, shape: Sequence[int], axes: Sequence[int], *, bound: bool = True) -> Sight:
        """All positions along `axes` of a map of `shape` taken together; with `bound`, a value may see less."""
        y, x = (
            span.gather(shape[axis], size, bound=bound) if span.stride is not None and axis in axes else span
            for span, axis, size in zip((sight.y, sight.x), sight.axes, self._size, strict=True)
        )
        row, column = (
            -1 if bound and span.stride is not None and axis in axes else axis
            for span, axis in zip((sight.y, sight.x), sight.axes, strict=True)
        )
        return Sight(y, x, sight.depth, (row, column))


def _crossed(one: Sight, other: Sight) -> bool:
    """Whether rows or columns, where both have positions, are different dimensions."""
    pairs = zip((one.y, one.x), (other.y, other.x), one.axes, other.axes, strict=True)
    return any(
        mine.stride is not None and theirs.stride is not None and axis != its for mine, theirs, axis, its in pairs
    )


def _folded(sight: Sight, step: Step) -> tuple[int, ...] | None:
    """What `folded` is behind an operation that lays a map out as a matrix, works row by row on it, or undoes it.

    None for all others. So a dense layer is computed where the channels come last: each place is a row.
    """
    function, source, output = step.function, step.source, step.output
    if not sight.folded:
        placed = [axis for span, axis in zip((sight.y, sight.x), sight.axes, strict=True) if span.stride is not None]
        folds = function in RESHAPES and output.ndim == 2 < source.ndim and output.shape[1] == source.shape[-1]
        return tuple(source.shape[:-1]) if folds and any(axis < source.ndim - 1 for axis in placed) else None
    if function in RESHAPES and tuple(output.shape[:-1]) == sight.folded:
        return ()
    alike = torch.Tag.pointwise in function.tags or function in RESHAPES or in_place_of(step)
    return sight.folded if multiplied(step) or (alike and output.shape == source.shape) else None


def _along(span: Span, axis: int, size: int, step: Step) -> tuple[Span, int]:
    """What an operation makes of one axis: what its output sees along it, and which dimension of the output it is."""
    if span.stride is None:
        return _spread(span, axis, step) if span.bound and axis >= 0 else (span, axis)
    positions = step.source.shape[axis]
    if move := slid(axis, step):
        return span.slide(*move), axis
    if move := slid_transposed(axis, step):
        return span.slide_transposed(*move), axis
    if mixed(axis, step) or before(axis, step):
        return span.mix(positions, size, bound=before(axis, step)), axis
    place = kept(axis, step)
    if place is not None:
        return span, place
    if summed(axis, step):
        return span.gather(positions, size), axis
    place = redistributed(axis, step)
    return span.gather(positions, size, bound=True), -1 if place is None else place


def _spread(span: Span, axis: int, step: Step) -> tuple[Span, int]:
    """The same where values that see different things lie along `axis`, without being rows or columns any more."""
    if summed(axis, step):
        return replace(span, bound=False), axis
    place = kept(axis, step)
    place = redistributed(axis, step) if place is None else place
    return span, -1 if place is None else place


def tensors(values: Iterable[Any]) -> list[Tensor]:
    """All tensors among `values`, those in lists and tuples too."""
    found: list[Tensor] = []
    for value in values:
        found += tensors(value) if isinstance(value, (list, tuple)) else [value] if isinstance(value, Tensor) else []
    return found
