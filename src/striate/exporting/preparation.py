"""The preparation of images as an ONNX graph, with the same result to the bit as `striate.data.preparation`.

torch and Pillow resize 8-bit images in whole numbers: columns first, then rows, with weights of 15 bits (torch) or 22
bits after the point (Pillow), and rounding to a level in between. The graph computes the weights from the image's size
in float64, and divides each into bytes, which are multiplied by the pixels in float32: products of bytes and their sums
are whole numbers below 2²⁴ (for filters of up to 258 pixels), which float32 holds exactly in whatever order they are
summed. A row of the resized image needs a few rows of the image only, so the matrix of weights is a band; it is
multiplied in blocks of `_BLOCK` rows.

Two things are not equal to the bit. Images of 16 bits and of floating-point numbers are resized in float32, by torch
with weights that are in float32, too. And Pillow resizes the rows of an image that is more than twice as tall as wide
first, by a rule of its version.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from striate.core.geometry import place
from striate.core.spec import InputSpec
from striate.data.images.decoded import full_intensity
from striate.data.preparation.colour import padding_values, storage_dtype
from striate.exporting.graph import Graph, Value

_BLOCK = 8  # rows of the matrix of weights that are multiplied at once
_REACH = {"bilinear": 1, "bicubic": 2}
_BITS = 15  # of a weight in torch
_FINEST = 22  # bits after the point in torch, at most, and in Pillow
_BYTE = 256.0


def add_preparation(graph: Graph, pixels: Value, spec: InputSpec) -> Value:
    """Add the preparation of `pixels` (n, h, w, c), up to the scale: levels in float32, (n, c, height, width).

    Pixels are upright, in the channels and the depth of `spec`.
    """
    sides = [pixels.side(axis).to(np.float64) for axis in (1, 2)]
    resized = _resized(graph, spec, *sides)
    offsets = [_offset(graph, after - float(size), spec) for after, size in zip(resized, spec.size, strict=True)]
    rows, columns = (
        _Axis(graph, spec, before, after, offset, size)
        for before, after, offset, size in zip(sides, resized, offsets, spec.size, strict=True)
    )
    if spec.filter == "nearest":
        prepared = pixels.at(rows.nearest(), 1).at(columns.nearest(), 2).to(np.float32).transpose(0, 3, 1, 2)
    else:
        prepared = _resampled(pixels, rows, columns, spec)
    if spec.resize == "contain" or spec.resized is not None:
        seen = rows.seen().reshape(1, 1, -1, 1) & columns.seen().reshape(1, 1, 1, -1)
        prepared = graph.add("Where", seen, prepared, np.array(padding_values(spec), np.float32).reshape(1, -1, 1, 1))
    return prepared


def _resized(graph: Graph, spec: InputSpec, height: Value, width: Value) -> list[Value]:
    """Add the size after the resize, as `striate.core.geometry.place` computes it."""
    if spec.resize == "stretch":
        return [graph.constant(np.array([float(side)])) for side in place(spec, *spec.size).resized]
    if spec.resized is None:
        shares = [graph.constant(side / spec.crop) / old for side, old in zip(spec.size, (height, width), strict=True)]
        share = shares[0].at_least(shares[1]) if spec.resize == "cover" else shares[0].at_most(shares[1])
        return [(old * share).round().at_least(1.0) for old in (height, width)]
    ratios = [old / float(side) for old, side in zip((height, width), spec.resized, strict=True)]
    ratio = ratios[0].at_most(ratios[1]) if spec.resize == "cover" else ratios[0].at_least(ratios[1])
    if spec.side_rounding == "nearest":
        return [(old / ratio).round().at_least(1.0) for old in (height, width)]
    first = graph.add("Equal", ratios[0], ratio)
    side = graph.add("Where", first, float(spec.resized[0]), float(spec.resized[1]))
    whole = graph.add("Where", first, height, width)
    return [(old * side / whole).floor().at_least(1.0) for old in (height, width)]


def _offset(graph: Graph, margin: Value, spec: InputSpec) -> Value:
    half = margin / 2.0
    if spec.offset_rounding == "floor":
        return half.floor()
    return graph.add("Where", margin >= 0.0, half.round(), graph.add("Ceil", half))


@dataclass(frozen=True)
class _Axis:
    """The resize along one axis, from `before` to `after` pixels, of which `size` from `offset` on are seen.

    Lengths and positions are float64. `before`, `after` and `offset` are arrays of one number.
    """

    graph: Graph
    spec: InputSpec
    before: Value
    after: Value
    offset: Value
    size: int

    def _places(self, count: int) -> Value:
        return self.offset + np.arange(count, dtype=np.float64)

    def _clamped(self, count: int) -> Value:
        return self._places(count).at_least(0.0).at_most(self.after - 1.0)

    def seen(self) -> Value:
        """Whether each pixel of the input is one of the image, not of the padding."""
        places = self._places(self.size)
        return (places >= 0.0) & (places < self.after)

    def nearest(self) -> Value:
        """Return the pixel under the centre of each new one."""
        new, before, after = (each.to(np.int64) for each in (self._clamped(self.size), self.before, self.after))
        return ((new * 2 + 1) * before) / (after * 2)

    @property
    def scale(self) -> Value:
        return self.before / self.after

    @property
    def widened(self) -> Value:
        return self.scale.at_least(1.0)

    @property
    def reach(self) -> int:
        return _REACH[self.spec.filter]

    def bounds(self, new: Value) -> tuple[Value, Value]:
        """Return the first old pixel under the filter of each new one, and the one after the last."""
        if self.spec.antialias:
            centre, reach = self.scale * (new + 0.5), self.widened * float(self.reach)
            start, stop = (centre - reach + 0.5).floor(), (centre + reach + 0.5).floor()
        else:
            start = self._source(new).floor() - float(self.reach - 1)
            stop = start + float(2 * self.reach)
        return start.at_least(0.0), stop.at_most(self.before)

    def _source(self, new: Value) -> Value:
        source = self.scale * (new + 0.5) - 0.5
        return source if self.spec.filter == "bicubic" else source.at_least(0.0)

    def weights(self, new: Value, old: Value) -> Value:
        """Return the weight of the `old` pixels in the `new` ones; both are broadcast, and `old` is the last axis."""
        if self.spec.antialias:
            start, stop = self.bounds(new)
            inverse = self.graph.constant(1.0) / self.widened  # torch and Pillow multiply by it
            weights = self._curve((old - self.scale * (new + 0.5) + 0.5) * inverse, -0.5)
            weights = weights * ((old >= start) & (old < stop)).to(np.float64)
            return weights / self.graph.add("ReduceSum", weights, np.array([-1], np.int64), keepdims=1)
        source = self._source(new)
        near = source.floor()
        total = None
        for tap in range(1 - self.reach, 1 + self.reach):
            beneath = (near + float(tap)).at_least(0.0).at_most(self.before - 1.0)
            weight = self._curve(near + float(tap) - source, -0.75)
            part = weight * self.graph.add("Equal", old, beneath).to(np.float64)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _curve(self, distance: Value, a: float) -> Value:
        """Evaluate the triangle, or the cubic of R. Keys (1981), at distances in pixels."""
        x = self.graph.add("Abs", distance)
        if self.spec.filter == "bilinear":
            return (self.graph.constant(1.0) - x).at_least(0.0)
        inner = (x * (a + 2) - (a + 3)) * x * x + 1.0
        outer = ((x * a - 5 * a) * x + 8 * a) * x - 4 * a
        return self.graph.add("Where", x < 1.0, inner, self.graph.add("Where", x < 2.0, outer, 0.0))

    def precision(self) -> Value:
        """Return 2^bits, where `bits` are those after the point of a weight."""
        if self.spec.resampler == "pillow":
            return self.graph.constant(2.0**_FINEST)
        if self.is_whole:
            return self._precision(self.band()[0])
        every = self.graph.add("Range", 0.0, self.after.reshape(), 1.0).reshape(-1, 1)
        reach = self.widened * float(self.reach) if self.spec.antialias else self.graph.constant(float(self.reach))
        taps = self.graph.add("Range", 0.0, (self.graph.add("Ceil", reach) * 2.0 + 1.0).reshape(), 1.0)
        return self._precision(self.weights(every, self.bounds(every)[0] + taps))

    def _precision(self, weights: Value) -> Value:
        largest = self.graph.add("ReduceMax", weights, keepdims=0)
        powers = np.exp2(np.arange(_FINEST + 1))
        fits = (largest * powers + 0.5).floor() < 2.0**_BITS
        return self.graph.add("ReduceMax", fits.to(np.float64) * powers, keepdims=0)

    @property
    def is_whole(self) -> bool:
        """Whether all new pixels are seen, so that all old ones are needed."""
        return self.spec.resized is None and self.spec.resize != "cover"

    def needed(self) -> tuple[Value, Value]:
        """Return the first old pixel that is needed, and the one after the last, as arrays of one number."""
        _, first, longest = self.band()
        return first.at(np.array([0]), 0), first.at(np.array([-1]), 0) + longest

    def band(self) -> tuple[Value, Value, Value]:
        """Return the matrix of weights by blocks, the first old pixel that each block needs, and how many it needs.

        The weights are float64 (blocks, rows, pixels); the rows of all blocks are the new pixels, followed by
        repetitions of the last. The others are whole numbers: (blocks,), and an array of one number.
        """
        blocks = -(-self.size // _BLOCK)
        rows = -(-self.size // blocks)
        new = self._clamped(blocks * rows).reshape(blocks, rows, 1)
        start, stop = self.bounds(new)
        first = start.part(np.array([0]), np.array([1]), 1)
        last = stop.part(np.array([rows - 1]), np.array([rows]), 1)
        longest = self.graph.add("ReduceMax", last - first, keepdims=0)
        first = first.at_most(self.before - longest)
        old = first + self.graph.add("Range", 0.0, longest, 1.0)
        return self.weights(new, old), first.to(np.int64).reshape(blocks), longest.to(np.int64).reshape(1)


def _resampled(pixels: Value, rows: _Axis, columns: _Axis, spec: InputSpec) -> Value:
    """Resize columns, then rows: (n, h, w, c) to (n, c, height, width) in float32.

    Both are gathered in long pieces of memory: columns after a transpose of the whole as a matrix, which runtimes do
    fast, unlike other transposes.
    """
    start, stop = (None, None) if rows.is_whole else rows.needed()
    needed = pixels if start is None else pixels.part(start, stop, 1)
    count, height = needed.side(0), needed.side(1)
    flat = needed.reshape(count * height, -1).transpose(1, 0).reshape(columns.before.to(np.int64), -1)
    across = _along(flat, columns, spec, 0).transpose(1, 0).reshape(len(spec.channels), count, height, columns.size)
    down = _along(across.transpose(1, 0, 2, 3), rows, spec, 2, start)
    if storage_dtype(spec) != np.uint16:
        return down.to(np.float32)
    return rows.graph.add("Clip", down.round(), np.float32(0), np.float32(full_intensity(np.dtype(np.uint16))))


def _along(values: Value, axis: _Axis, spec: InputSpec, number: int, start: Value | None = None) -> Value:
    """Resize the axis `number`, the last but one of `values`, whose first entry is the old pixel `start`."""
    weights, first, longest = axis.band()
    first = first if start is None else first - start
    index = first.reshape(-1, 1) + axis.graph.add("Range", 0, longest.reshape(), 1)
    needed = values.at(index, number).to(np.float32)
    products = [axis.graph.add("MatMul", part, needed) for part in _bytes(weights, axis, spec)]
    levels = _rounded(products, axis, spec)
    resized = levels.reshape(*[0] * number, -1, levels.side(number + 2))
    exact = axis.size <= _BLOCK or axis.size % -(-axis.size // _BLOCK) == 0
    return resized if exact else resized.part(np.array([0]), np.array([axis.size]), number)


def _bytes(weights: Value, axis: _Axis, spec: InputSpec) -> list[Value]:
    """Return the weights in float32: as they are, or rounded to multiples of 1 / precision and divided into bytes.

    The first byte is the lowest one; the last has the sign.
    """
    if storage_dtype(spec) != np.uint8:
        return [weights.to(np.float32)]
    whole = weights * axis.precision()
    whole = axis.graph.add("Sign", whole) * (axis.graph.add("Abs", whole) + 0.5).floor()
    parts = []
    for _ in range(_count(spec) - 1):
        higher = (whole / _BYTE).floor()
        parts.append((whole - higher * _BYTE).to(np.float32))
        whole = higher
    return [*parts, whole.to(np.float32)]


def _count(spec: InputSpec) -> int:
    """Return the number of bytes of a weight."""
    return 3 if spec.resampler == "pillow" else 2


def _rounded(sums: list[Value], axis: _Axis, spec: InputSpec) -> Value:
    """Return the levels, as bytes, of the products with each byte of the weights; each passes on what exceeds it.

    The product with weights that are not divided is returned as it is.
    """
    if len(sums) == 1:
        return sums[0]
    total = sums[0]
    for higher in sums[1:]:
        total = higher + (total * np.float32(1 / _BYTE)).floor()
    level = axis.precision() / 2.0 ** (8 * (_count(spec) - 1))
    # It rounds half a level to even; a whole number and a half is never half a level.
    return axis.graph.add("QuantizeLinear", total + np.float32(0.5), level.to(np.float32).reshape(), np.uint8(0))
