"""Which pixels of the input a value inside a network can see, followed operation by operation.

The arithmetic is that of Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks",
Distill 2019, doi:10.23915/distill.00021: every map has a first pixel, a last pixel and a stride; a window of reach r
and padding p moves the first by -p strides and the last by r - 1 - p; where paths meet, the union is seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from striate.models._operations import CONVOLUTION, Window, aten, weighted

_SAME_PLACE = {
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit_no_training.default,
    aten.cat.default,
    aten.clone.default,
    aten._to_copy.default,
    aten.native_dropout.default,
}
_RESHAPES = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.expand.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.detach.default,
    aten.alias.default,
}
_SPLITS = {aten.split.Tensor, aten.split_with_sizes.default}
_PADS = {aten.constant_pad_nd.default, aten.reflection_pad2d.default, aten.replication_pad2d.default}


@dataclass(frozen=True)
class Span:
    """What a map sees along one axis: position i sees the pixels `first + i·stride` to `last + i·stride`.

    Pixels may lie outside the input (padding). `stride` is None where a value has no position any more: behind a
    flattening, a global pooling, or an operation of unknown reach.
    """

    first: Fraction
    last: Fraction
    stride: Fraction | None

    @property
    def field(self) -> int:
        """Pixels from the first to the last."""
        return math.ceil(self.last - self.first) + 1

    def slide(self, reach: int, stride: int, padding: int) -> Span:
        """Behind a window of `reach` pixels."""
        if self.stride is None:
            return self
        step = self.stride
        return Span(self.first - padding * step, self.last + (reach - 1 - padding) * step, step * stride)

    def slide_transposed(self, reach: int, stride: int, padding: int) -> Span:
        """Behind a transposed convolution, whose outputs lie `stride` times closer together than its inputs."""
        if self.stride is None:
            return self
        first = self.first + (padding - (reach - 1)) * self.stride / stride
        seen = self.last - self.first + (reach - 1) // stride * self.stride
        return Span(first, first + seen, self.stride / stride)

    def gather(self, positions: int, size: int) -> Span:
        """Behind something that sees all `positions`: their union, inside the input's `size`, without a position."""
        if self.stride is None:
            return self
        last = self.last + (positions - 1) * self.stride
        return Span(max(self.first, Fraction(0)), min(last, Fraction(size - 1)), None)

    def meet(self, other: Span) -> Span:
        """Where two paths are added, multiplied or laid beside each other."""
        strides = [stride for stride in (self.stride, other.stride) if stride is not None]
        return Span(min(self.first, other.first), max(self.last, other.last), max(strides, default=None))


@dataclass(frozen=True)
class Sight:
    """What the values of one tensor see of the input, and behind how many weighted layers (the longest path)."""

    y: Span
    x: Span
    depth: int

    def meet(self, other: Sight) -> Sight:
        return Sight(self.y.meet(other.y), self.x.meet(other.x), max(self.depth, other.depth))


class Sights:
    """The sights of all tensors that depend on the input, as operations hand them on.

    Rows and columns are a tensor's last two dimensions. An operation that is not known here is taken to see all of what
    it is given: the field said is then an upper bound.
    """

    def __init__(self, image: Tensor) -> None:
        pixel = Span(Fraction(0), Fraction(0), Fraction(1))
        self._size = image.shape[-2], image.shape[-1]
        # Tensors are known by identity, so they are kept alive; on the meta device they hold no data.
        self._known: dict[int, tuple[Tensor, Sight]] = {}
        self._set(image, Sight(pixel, pixel, 0))

    def get(self, tensor: Tensor) -> Sight | None:
        """The sight of `tensor`; None if it does not depend on the input."""
        known = self._known.get(id(tensor))
        return known[1] if known else None

    def keep(self, source: Tensor, result: Tensor) -> None:
        """Say that `result` sees, position by position, what `source` sees, however it was computed."""
        known, computed = self.get(source), self.get(result)
        if known and computed:
            self._set(result, Sight(known.y, known.x, computed.depth))

    def follow(self, function: Any, given: dict[str, Any], outputs: list[Tensor], window: Window | None) -> None:
        """Hand the sights of an operation's inputs on to its outputs."""
        inputs = [tensor for tensor in _tensors(given.values()) if self.get(tensor)]
        for output in outputs if inputs else ():
            seen = [self._through(function, given, tensor, output, window) for tensor in inputs]
            union = seen[0]
            for sight in seen[1:]:
                union = union.meet(sight)
            self._set(output, Sight(union.y, union.x, union.depth + weighted(function)))

    def _set(self, tensor: Tensor, sight: Sight) -> None:
        self._known[id(tensor)] = tensor, sight

    def _through(
        self, function: Any, given: dict[str, Any], source: Tensor, output: Tensor, window: Window | None
    ) -> Sight:
        sight = self._known[id(source)][1]
        if window is not None:
            moves = zip(window.reach, window.stride, window.padding, strict=True)
            y, x = (span.slide(*move) for span, move in zip((sight.y, sight.x), moves, strict=True))
            return Sight(y, x, sight.depth)
        if function is CONVOLUTION and given["transposed"] and source.ndim == 4:
            reach = [d * (k - 1) + 1 for k, d in zip(given["weight"].shape[2:], given["dilation"], strict=True)]
            moves = zip(reach, given["stride"], given["padding"], strict=True)
            y, x = (span.slide_transposed(*move) for span, move in zip((sight.y, sight.x), moves, strict=True))
            return Sight(y, x, sight.depth)
        if function in _PADS and source.ndim > 2:
            pad = [*given.get("pad", given.get("padding", ())), 0, 0]  # left, right, top, bottom
            return Sight(sight.y.slide(1, 1, pad[2]), sight.x.slide(1, 1, pad[0]), sight.depth)
        if function is aten.slice.Tensor and source.ndim > 2:
            return _sliced(sight, given, source)
        if _in_place(function, given, source, output):
            return sight
        # A vector (n, k) has no rows: its sights have no position, and gathering leaves them as they are.
        height, width = (source.shape[-2], source.shape[-1]) if source.ndim > 2 else (1, 1)
        return Sight(sight.y.gather(height, self._size[0]), sight.x.gather(width, self._size[1]), sight.depth)


def _in_place(function: Any, given: dict[str, Any], source: Tensor, output: Tensor) -> bool:
    """Whether each position of `output` sees only the same position of `source`."""
    if torch.Tag.pointwise in function.tags:
        return True
    last_two = {source.ndim - 2, source.ndim - 1}
    if function in _SAME_PLACE:
        return given.get("dim", 1) % source.ndim not in last_two
    if function in _RESHAPES:
        return source.ndim > 2 and output.ndim > 2 and source.shape[-2:] == output.shape[-2:]
    if function in _SPLITS:
        return given["dim"] % source.ndim not in last_two
    if function is aten.transpose.int:
        return not last_two & {given["dim0"] % source.ndim, given["dim1"] % source.ndim}
    if function is aten.permute.default:
        return [dim % source.ndim for dim in given["dims"][-2:]] == sorted(last_two)
    return False


def _sliced(sight: Sight, given: dict[str, Any], source: Tensor) -> Sight:
    dim, start, step = given["dim"] % source.ndim, given["start"] or 0, given["step"]
    begin = start if start >= 0 else start + source.shape[dim]
    y = sight.y.slide(1, step, -begin) if dim == source.ndim - 2 else sight.y
    x = sight.x.slide(1, step, -begin) if dim == source.ndim - 1 else sight.x
    return Sight(y, x, sight.depth)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        found += _tensors(value) if isinstance(value, (list, tuple)) else [value] if isinstance(value, Tensor) else []
    return found
