"""Receptive fields: the pixels of the input that a value inside a network depends on, operation by operation.

The arithmetic is that of Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks",
Distill 2019, doi:10.23915/distill.00021: every map has a first pixel, a last pixel and a stride; a window of reach r
and padding p moves the first by -p strides and the last by r - 1 - p; where paths join, the field is their union.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch

from striate.tracing.axes import (
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
from striate.tracing.operations import weighted
from striate.tracing.recorder import Operation, Value


@dataclass(frozen=True)
class AxisField:
    """The receptive field of a map along one axis: position i sees the pixels `first + i·stride` to `last + i·stride`.

    Pixels may lie outside the input (padding). With `whole`, every position sees `first` to `last`, although it has a
    place and a `stride`: after a gate that reads all of a map. `stride` is None where a value has no position: after a
    flattening, a global pooling, or an operation of unknown reach. With `bound`, each value may see less: `first` to
    `last` is what all of them see together, or at most see. `grid` is given after a transposed convolution with a
    stride: values then see whole fields of its input, which are `grid[0]` from first to last and `grid[1]` apart.
    """

    first: Fraction
    last: Fraction
    stride: Fraction | None
    whole: bool = False
    bound: bool = False
    grid: tuple[Fraction, Fraction] | None = None

    @property
    def size(self) -> int:
        """Pixels from the first to the last."""
        extent = self.last - self.first
        if self.grid is not None:
            length, step = self.grid
            extent = length + (extent - length) // step * step
        return math.floor(extent) + 1

    @property
    def moves(self) -> bool:
        """Whether other positions see other pixels."""
        return self.stride is not None and not self.whole

    def slide(self, reach: int, stride: int, padding: int) -> AxisField:
        """Return the field after a window of `reach` pixels."""
        if self.stride is None:
            return self
        step = self.stride
        if self.whole:
            return replace(self, stride=step * stride)
        first, last = self.first - padding * step, self.last + (reach - 1 - padding) * step
        return replace(self, first=first, last=last, stride=step * stride)

    def slide_transposed(self, reach: int, stride: int, padding: int) -> AxisField:
        """Return the field after a transposed convolution: outputs lie `stride` times closer together than inputs.

        With a stride, which inputs an output sees depends on its place: the field is a bound.
        """
        if self.stride is None:
            return self
        step = self.stride / stride
        if self.whole:
            return replace(self, stride=step)
        moved = replace(
            self, first=self.first + (padding - (reach - 1)) * step, last=self.last + padding * step, stride=step
        )
        if stride == 1:
            return moved
        return replace(moved, bound=True, grid=self.grid or (self.last - self.first, self.stride))

    def gather(self, positions: int, size: int, *, bound: bool = False) -> AxisField:
        """Return the union over all `positions`, inside the input's `size`, without a position.

        With `bound`, no single value need see all of it.
        """
        if self.stride is None or self.whole:
            return AxisField(self.first, self.last, None, bound=self.bound)
        # Where strides leave gaps, the outermost fields may lie in the padding as a whole.
        front = min(max(math.ceil(-self.last / self.stride), 0), positions - 1)
        back = max(min((size - 1 - self.first) // self.stride, positions - 1), 0)
        first = max(self.first + front * self.stride, Fraction(0))
        last = min(self.last + back * self.stride, Fraction(size - 1))
        return AxisField(first, last, None, bound=bound or self.bound)

    def mix(self, positions: int, size: int, *, bound: bool = False) -> AxisField:
        """Return the field where each position sees all `positions` and keeps its place."""
        return replace(self.gather(positions, size, bound=bound), stride=self.stride, whole=self.stride is not None)

    def meet(self, other: AxisField, positions: int, size: int) -> AxisField:
        """Return the field where two paths are added, multiplied or concatenated, in a map of `positions`."""
        strides = [stride for stride in (self.stride, other.stride) if stride is not None]
        one, two = self, other
        if one.moves != two.moves:  # the one that does not move sees the same everywhere, so all may be seen
            one, two = one.gather(positions, size), two.gather(positions, size)
        first, last = min(one.first, two.first), max(one.last, two.last)
        moves = one.moves and two.moves
        # One that sees all of the union everywhere makes it exact, whatever the other sees.
        covered = any(not (s.moves or s.bound) and (s.first, s.last) == (first, last) for s in (self, other))
        bound = not covered and (self.bound or other.bound or self.moves != other.moves)
        grid = one.grid if (one.first, one.last, one.grid) == (two.first, two.last, two.grid) else None
        stride = max(strides, default=None)
        return AxisField(first, last, stride, whole=bool(strides) and not moves, bound=bound, grid=grid)


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels that the numbers of one value depend on, and the number of weighted layers before (the longest path).

    `axes` are the dimensions of the value that are rows and columns; where these have no positions but see different
    pixels, the dimension along which they do, or -1 if that is not known. `folded` are the first dimensions of a map
    that is laid out as a matrix for a product; then `axes` are the map's.
    """

    y: AxisField
    x: AxisField
    depth: int
    axes: tuple[int, int]
    folded: tuple[int, ...] = ()

    @property
    def bound(self) -> bool:
        """Whether a number may see less than stated."""
        return self.y.bound or self.x.bound


class FieldTracker:
    """The receptive fields of all values that depend on the input.

    An operation that is not known here counts as reading all of its input: the field is then an upper bound, and marked
    so.
    """

    def __init__(self, image: Value) -> None:
        pixel = AxisField(Fraction(0), Fraction(0), Fraction(1))
        self._size = image.shape[-2], image.shape[-1]
        self._known = {image: ReceptiveField(pixel, pixel, 0, (image.ndim - 2, image.ndim - 1))}

    def get(self, value: Value) -> ReceptiveField | None:
        """Return the receptive field of `value`; None if it does not depend on the input."""
        return self._known.get(value)

    def follow(self, operation: Operation) -> None:
        """Compute the receptive fields of an operation's outputs from those of its inputs."""
        inputs = [value for value in operation.inputs if value in self._known]
        for output in operation.results if inputs else ():
            fields = [self._through(value, output, operation) for value in inputs]
            union = fields[0]
            for field in fields[1:]:
                union = self._meet(union, field, output)
            depth = union.depth + weighted(operation.function, len(inputs))
            self._known[output] = replace(union, depth=depth)

    def _through(self, source: Value, output: Value, operation: Operation) -> ReceptiveField:
        step = Step(operation.function, operation.given, source, output, operation.window)
        field = self._known[source]
        folded = _folded(field, step)
        if folded is not None:
            # The columns of the matrix are no positions: where they are the image's, they are taken together.
            columns = () if field.folded else (step.source.ndim - 1,)
            return replace(self._together(field, step.source.shape, columns, bound=False), folded=folded)
        if field.folded:
            return self._together(field, field.folded, field.axes)
        (y, row), (x, column) = (
            _along(span, axis, size, step)
            for span, axis, size in zip((field.y, field.x), field.axes, self._size, strict=True)
        )
        return ReceptiveField(y, x, field.depth, (row, column))

    def _meet(self, one: ReceptiveField, other: ReceptiveField, output: Value) -> ReceptiveField:
        # Rows of the one may lie along columns of the other: then neither has a position in the result.
        if one.folded != other.folded or _crossed(one, other):
            one, other = (self._together(field, field.folded or output.shape, field.axes) for field in (one, other))
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
        return ReceptiveField(y, x, max(one.depth, other.depth), (row, column), one.folded)

    def _together(
        self, field: ReceptiveField, shape: Sequence[int], axes: Sequence[int], *, bound: bool = True
    ) -> ReceptiveField:
        """Return the union over all positions along `axes` of a map of `shape`; with `bound`, a number may see less."""
        y, x = (
            span.gather(shape[axis], size, bound=bound) if span.stride is not None and axis in axes else span
            for span, axis, size in zip((field.y, field.x), field.axes, self._size, strict=True)
        )
        row, column = (
            -1 if bound and span.stride is not None and axis in axes else axis
            for span, axis in zip((field.y, field.x), field.axes, strict=True)
        )
        return ReceptiveField(y, x, field.depth, (row, column))


def _crossed(one: ReceptiveField, other: ReceptiveField) -> bool:
    """Return whether rows or columns, where both have positions, are different dimensions."""
    pairs = zip((one.y, one.x), (other.y, other.x), one.axes, other.axes, strict=True)
    return any(
        mine.stride is not None and theirs.stride is not None and axis != its for mine, theirs, axis, its in pairs
    )


def _folded(field: ReceptiveField, step: Step) -> tuple[int, ...] | None:
    """Return `folded` after an operation that lays a map out as a matrix, works row by row on it, or undoes it.

    None for all others. A dense layer is computed so where the channels come last: each position is a row.
    """
    function, source, output = step.function, step.source, step.output
    if not field.folded:
        placed = [axis for span, axis in zip((field.y, field.x), field.axes, strict=True) if span.stride is not None]
        folds = function in RESHAPES and output.ndim == 2 < source.ndim and output.shape[1] == source.shape[-1]
        return tuple(source.shape[:-1]) if folds and any(axis < source.ndim - 1 for axis in placed) else None
    if function in RESHAPES and tuple(output.shape[:-1]) == field.folded:
        return ()
    alike = torch.Tag.pointwise in function.tags or function in RESHAPES or in_place_of(step)
    return field.folded if multiplied(step) or (alike and output.shape == source.shape) else None


def _along(span: AxisField, axis: int, size: int, step: Step) -> tuple[AxisField, int]:
    """Return the field of an operation's output along one axis, and the output's dimension that this axis is."""
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


def _spread(span: AxisField, axis: int, step: Step) -> tuple[AxisField, int]:
    """Do the same where numbers that see different pixels lie along `axis`, without being rows or columns."""
    if summed(axis, step):
        return replace(span, bound=False), axis
    place = kept(axis, step)
    place = redistributed(axis, step) if place is None else place
    return span, -1 if place is None else place
