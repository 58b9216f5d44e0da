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

_BLOCK = 32  # rows of the matrix of weights that are multiplied at once
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
        prepared = pixels.at(rows.nearest(), 1).at(columns.nearest(), 2).to(np.float32)
    else:
        prepared = _resampled(pixels, rows, columns, spec)
    if spec.resize == "contain" or spec.resized is not None:
        seen = rows.seen().reshape(1, -1, 1, 1) & columns.seen().reshape(1, 1, -1, 1)
        prepared = graph.add("Where", seen, prepared, np.array(padding_values(spec), np.float32))
    return prepared.transpose(0, 3, 1, 2)


def _resized(graph: Graph, spec: InputSpec, height: Value, width: Value) -> list[Value]:
    """Add the size after the resize, as `striate.core.geometry.place` has it."""
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
        every = self.graph.add("Range", 0.0, self._scalar(self.after), 1.0).reshape(-1, 1)
        reach = self.widened * float(self.reach) if self.spec.antialias else self.graph.constant(float(self.reach))
        taps = self.graph.add("Range", 0.0, self._scalar(self.graph.add("Ceil", reach) * 2.0 + 1.0), 1.0)
        largest = self.graph.add("ReduceMax", self.weights(every, self.bounds(every)[0] + taps), keepdims=0)
        powers = np.exp2(np.arange(_FINEST + 1))
        fits = (largest * powers + 0.5).floor() < 2.0**_BITS
        return self.graph.add("ReduceMax", fits.to(np.float64) * powers, keepdims=0)

    def _scalar(self, value: Value) -> Value:
        return value.reshape()

    def band(self) -> tuple[Value, Value]:
        """Return the matrix of weights by blocks, and the old pixels that each block needs.

        Shapes are (blocks, rows, pixels), in float64, and (blocks, pixels), whole numbers; the rows of all blocks are
        the new pixels, followed by repetitions of the last.
        """
        rows = min(_BLOCK, self.size)
        blocks = -(-self.size // rows)
        new = self._clamped(blocks * rows).reshape(blocks, rows, 1)
        start, stop = self.bounds(new)
        first = start.part(np.array([0]), np.array([1]), 1)
        last = stop.part(np.array([rows - 1]), np.array([rows]), 1)
        longest = self.graph.add("ReduceMax", last - first, keepdims=0)
        old = first + self.graph.add("Range", 0.0, longest, 1.0)
        index = old.at_most(self.before - 1.0).to(np.int64).reshape(blocks, -1)
        return self.weights(new, old), index


def _resampled(pixels: Value, rows: _Axis, columns: _Axis, spec: InputSpec) -> Value:
    """Resize columns, then rows: (n, h, w, c) to (n, height, width, c) in float32."""
    channels = len(spec.channels)
    weights, index = rows.band()
    top = rows.graph.add("ReduceMin", index, keepdims=0).reshape(1)
    bottom = rows.graph.add("ReduceMax", index, keepdims=0).reshape(1) + 1
    # (n, h, w, c) → (n, w, h, c) → (n, blocks, pixels, h · c)
    across = pixels.part(top, bottom, 1).transpose(0, 2, 1, 3)
    across = _multiplied(across, columns, *columns.band(), spec).reshape(0, 0, -1, channels)
    down = across.transpose(0, 2, 1, 3)
    whole = _multiplied(down, rows, weights, index - top, spec).reshape(0, 0, -1, channels)
    for axis, size in ((1, rows.size), (2, columns.size)):
        whole = whole.part(np.array([0]), np.array([size]), axis)
    dtype = storage_dtype(spec)
    if dtype != np.uint16:
        return whole
    return rows.graph.add("Clip", whole.round(), np.float32(0), np.float32(full_intensity(dtype)))


def _multiplied(pixels: Value, axis: _Axis, weights: Value, index: Value, spec: InputSpec) -> Value:
    """Resize the second axis of `pixels` (n, old, others, c): (n, new, others · c), levels in float32."""
    graph = axis.graph
    wide = pixels.reshape(0, 0, -1).at(index, 1).to(np.float32)
    dtype = storage_dtype(spec)
    if dtype != np.uint8:
        found = graph.add("MatMul", weights.to(np.float32), wide)
    else:
        found = _exactly(graph, wide, weights, axis.precision(), 3 if spec.resampler == "pillow" else 2)
    return found.reshape(0, -1, graph.add("Concat", pixels.side(2), axis=0) * len(spec.channels))


def _exactly(graph: Graph, pixels: Value, weights: Value, precision: Value, count: int) -> Value:
    """Multiply by weights rounded to multiples of 1 / `precision`, as torch and Pillow do, and round to levels."""
    whole = weights * precision
    whole = graph.add("Sign", whole) * (graph.add("Abs", whole) + 0.5).floor()
    total = None
    for _ in range(count - 1):  # bytes from the lowest on; each sum passes on what exceeds its byte
        higher = (whole / _BYTE).floor()
        total = _with(graph, total, pixels, whole - higher * _BYTE)
        total, whole = (total * np.float32(1 / _BYTE)).floor(), higher
    total = _with(graph, total, pixels, whole)
    unit = (precision * 2.0 ** (-8 * (count - 1))).to(np.float32)
    levels = ((total + unit * np.float32(0.5)) / unit).floor()
    return graph.add("Clip", levels, np.float32(0), np.float32(255))


def _with(graph: Graph, total: Value | None, pixels: Value, weights: Value) -> Value:
    product = graph.add("MatMul", weights.to(np.float32), pixels)
    return product if total is None else product + total
