"""Shapes of the outputs of common operations on the meta device.

torch infers them too; but in torch 2.13 nearly all its rules for the meta device are written in Python and load its
compiler (1.3 s of every process), and each takes a tenth of a millisecond and more. So the operations that networks
consist of have their rules here, and all others, and all errors, are left to torch. The tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from striate.tracing.operations import CONVOLUTION, aten

Given = dict[str, Any]
Rule = Callable[[Given], Any]


def infer(function: Any, given: Given) -> Any:
    """Return the output of `function` for `given` (arguments by name) on the meta device; None to leave it to torch."""
    rule = _RULES.get(function)
    return rule(given) if rule else None


def _like(given: Given) -> Any:
    """Return the shape, type and order in memory of the input: the operation works number by number."""
    source = given["self"]
    return _packed(source) if source.is_floating_point() else None


def _packed(source: Tensor) -> Tensor | None:
    """Return one of its shape whose axes lie in the order of its own without gaps; None where torch has to decide.

    A tensor cut out of another leaves gaps, and in an expanded one several numbers lie in one place.
    """
    strides = source.stride()
    longer = [stride for stride, side in zip(strides, source.shape, strict=True) if side > 1]
    if len(set(longer)) < len(longer) or 0 in longer:
        return None
    packed, step = [0] * source.ndim, 1
    for axis in sorted(range(source.ndim), key=strides.__getitem__):
        packed[axis] = step
        step *= source.shape[axis]
    return torch.empty_strided(source.shape, packed, dtype=source.dtype, device="meta")


def _in_place(given: Given) -> Any:
    return given["self"] if given["self"].is_floating_point() else None


def _paired(given: Given) -> Any:
    """Broadcast two tensors, or one and a number, as in a sum or a product."""
    one, other = given["self"], given["other"]
    if not isinstance(other, Tensor) or other.shape == one.shape:
        same = not isinstance(other, Tensor) or other.dtype == one.dtype
        return _like(given) if same else None
    if one.dtype != other.dtype or not one.is_floating_point() or not _fit(one.shape, other.shape):
        return None
    shape = torch.broadcast_shapes(one.shape, other.shape)
    if one.is_contiguous() and other.is_contiguous():
        return _empty(one, shape)
    return _packed(one) if one.shape == shape else None  # the order in memory of the first, if it has all axes


def _fit(one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether two shapes can be broadcast."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def _joined(given: Given) -> Any:
    tensors, axis = given["tensors"], given["dim"]
    first = tensors[0]
    if any(tensor.ndim != first.ndim or tensor.dtype != first.dtype for tensor in tensors):
        return None
    shape = list(first.shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    alike = {tuple(side for n, side in enumerate(tensor.shape) if n != axis % first.ndim) for tensor in tensors}
    return _empty(first, shape) if len(alike) == 1 else None


def _convolved(given: Given) -> Any:
    image, weight = given["input"], given["weight"]
    fits = image.ndim == weight.ndim and image.shape[1] == weight.shape[1] * given["groups"]
    if given["transposed"] or not fits or image.dtype != weight.dtype:
        return None
    sides = _slid(image.shape[2:], weight.shape[2:], given["stride"], given["padding"], given["dilation"], ceil=False)
    return _empty(image, (image.shape[0], weight.shape[0], *sides)) if min(sides) > 0 else None


def _pooled(given: Given) -> Any:
    image, kernel = given["self"], given["kernel_size"]
    if image.ndim < len(kernel) + 1 or 2 * max(given["padding"]) > min(kernel):
        return None
    kept, sides = image.shape[: -len(kernel)], image.shape[-len(kernel) :]
    sides = _slid(
        sides, kernel, given["stride"] or kernel, given["padding"], given.get("dilation", [1]), ceil=given["ceil_mode"]
    )
    return _empty(image, (*kept, *sides)) if min(sides) > 0 else None


def _pooled_with_places(given: Given) -> Any:
    output = _pooled(given)
    return None if output is None else (output, torch.empty(output.shape, dtype=torch.int64, device="meta"))


def _slid(
    sides: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    *,
    ceil: bool,
) -> list[int]:
    """Positions of a window along each side: floor((n + 2p - d(k - 1) - 1) / s) + 1.

    With `ceil` the division is rounded up, unless the last window would begin in the padding at the end.
    """
    count = len(sides)
    kernel, stride, padding, dilation = (
        [*numbers] * count if len(numbers) == 1 else numbers for numbers in (kernel, stride, padding, dilation)
    )
    positions = []
    for n, k, s, p, d in zip(sides, kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        whole = (room + (s - 1 if ceil else 0)) // s + 1
        positions.append(whole - 1 if ceil and (whole - 1) * s >= n + p else whole)
    return positions


def _averaged(given: Given) -> Any:
    """Reduce some axes, as in a mean."""
    source, axes = given["self"], given["dim"]
    if not axes or given["dtype"] is not None or not source.is_floating_point():
        return None
    gone = {axis % source.ndim for axis in axes}
    kept = [1 if n in gone else side for n, side in enumerate(source.shape) if n not in gone or given["keepdim"]]
    return _empty(source, kept)


def _gathered(given: Given) -> Any:
    """Return the requested size, as in adaptive average pooling."""
    source = given["self"]
    return _empty(source, (*source.shape[:-2], *given["output_size"]))


def _batch_normed(given: Given) -> Any:
    source = given["input"]
    output = _packed(source)
    return None if output is None else (output, *(_empty(source, source.shape[1:2]) for _ in range(2)))


def _layer_normed(given: Given) -> Any:
    source = given["input"]
    inner = len(given["normalized_shape"])
    if list(source.shape[-inner:]) != list(given["normalized_shape"]):
        return None
    moment = _empty(source, (*source.shape[:-inner], *[1] * inner))
    return _empty(source, source.shape), moment, moment


def _product(left: str, right: str) -> Rule:
    """Make the rule of a matrix product (… i, j) (… j, k), perhaps with an addend."""

    def rule(given: Given) -> Any:
        a, b = given[left], given[right]
        fits = a.shape[-1] == b.shape[-2] and a.shape[:-2] == b.shape[:-2] and a.dtype == b.dtype
        return _empty(a, (*a.shape[:-1], b.shape[-1])) if fits else None

    return rule


def _empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    strides = [math.prod(shape[n + 1 :]) for n in range(len(shape))]
    return torch.empty_strided(tuple(shape), strides, dtype=like.dtype, device="meta")


_RULES: dict[Any, Rule] = {
    **dict.fromkeys(
        (
            aten.relu.default,
            aten.hardtanh.default,
            aten.leaky_relu.default,
            aten.elu.default,
            aten.silu.default,
            aten.gelu.default,
            aten.sigmoid.default,
            aten.tanh.default,
            aten.hardsigmoid.default,
            aten.hardswish.default,
            aten.neg.default,
            aten.pow.Tensor_Scalar,
            aten.sqrt.default,
            aten.rsqrt.default,
        ),
        _like,
    ),
    **dict.fromkeys((aten.relu_.default, aten.hardtanh_.default, aten.silu_.default), _in_place),
    **dict.fromkeys((aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor), _paired),
    aten.cat.default: _joined,
    CONVOLUTION: _convolved,
    aten.max_pool2d_with_indices.default: _pooled_with_places,
    **dict.fromkeys((aten.avg_pool2d.default, aten.avg_pool3d.default), _pooled),
    aten.mean.dim: _averaged,
    aten._adaptive_avg_pool2d.default: _gathered,
    aten.native_batch_norm.default: _batch_normed,
    aten.native_layer_norm.default: _layer_normed,
    aten.mm.default: _product("self", "mat2"),
    aten.bmm.default: _product("self", "mat2"),
    aten.addmm.default: _product("mat1", "mat2"),
    aten.baddbmm.default: _product("batch1", "batch2"),
}
