"""Where one axis of a tensor goes in an operation: which windows move over it, and which dimension it becomes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.models._operations import CONVOLUTION, PRODUCTS, Window, aten

Move = tuple[int, int, int]  # reach, stride, padding

SAME_PLACE = {
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit_no_training.default,
    aten.clone.default,
    aten._to_copy.default,
    aten.native_dropout.default,
}
_ALONG_ONE = {
    aten.cat.default,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.index_select.default,
    aten._softmax.default,
}
_REDUCTIONS = {aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.var.correction}
RESHAPES = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.detach.default,
    aten.alias.default,
}
_PADS = {aten.constant_pad_nd.default, aten.reflection_pad2d.default, aten.replication_pad2d.default}


@dataclass(frozen=True)
class Step:
    """One operation, from one of its inputs to one of its outputs."""

    function: Any
    given: dict[str, Any]
    source: Tensor
    output: Tensor
    window: Window | None


def slid(axis: int, step: Step) -> Move | None:
    """How a window, a padding or a slice moves over `axis`."""
    ndim, given = step.source.ndim, step.given
    if step.window is not None and axis >= ndim - 2:
        number = axis - (ndim - 2)
        return step.window.reach[number], step.window.stride[number], step.window.padding[number]
    if step.function in _PADS:
        pad = given["pad"] if "pad" in given else given["padding"]  # before and behind, the last dimension first
        number = 2 * (ndim - 1 - axis)
        return 1, 1, pad[number] if number < len(pad) else 0
    if step.function is aten.slice.Tensor:
        if given["dim"] % ndim != axis:
            return 1, 1, 0
        start = given["start"] or 0
        return 1, given["step"], -(start if start >= 0 else start + step.source.shape[axis])
    return None


def slid_transposed(axis: int, step: Step) -> Move | None:
    """How a transposed convolution's window moves over `axis`."""
    if step.function is not CONVOLUTION or not step.given["transposed"] or step.source.ndim != 4 or axis < 2:
        return None
    given = step.given
    kernel, stride, padding, dilation = (
        numbers[axis - 2]
        for numbers in (given["weight"].shape[2:], given["stride"], given["padding"], given["dilation"])
    )
    return dilation * (kernel - 1) + 1, stride, padding


def kept(axis: int, step: Step) -> int | None:
    """Which dimension of the output is `axis` of the source, position by position; None if its positions are mixed."""
    function, given, source, output = step.function, step.given, step.source, step.output
    if torch.Tag.pointwise in function.tags or function is aten.expand.default:
        place = axis + output.ndim - source.ndim  # broadcasting counts from the last dimension
        return place if output.shape[place] == source.shape[axis] else None
    if function in SAME_PLACE:
        return axis
    if function in _ALONG_ONE:
        return None if given["dim"] % source.ndim == axis else axis
    if multiplied(step):
        return axis if axis < source.ndim - 1 else None
    if function is aten.native_layer_norm.default:
        return axis if axis < source.ndim - len(given["normalized_shape"]) else None
    if function in _REDUCTIONS:
        return _unreduced(axis, given, source)
    if function in RESHAPES:
        return _reshaped(axis, source, output)
    if function is aten.transpose.int:
        pair = [given["dim0"] % source.ndim, given["dim1"] % source.ndim]
        return pair[1 - pair.index(axis)] if axis in pair else axis
    if function is aten.permute.default:
        return [dim % source.ndim for dim in given["dims"]].index(axis)
    return None


def _unreduced(axis: int, given: dict[str, Any], source: Tensor) -> int | None:
    dims = {dim % source.ndim for dim in given["dim"] or range(source.ndim)}
    if axis in dims:
        return None
    return axis if given["keepdim"] else axis - sum(dim < axis for dim in dims)


def _reshaped(axis: int, source: Tensor, output: Tensor) -> int | None:
    """The dimension as long as `axis` before which as many numbers lie."""
    if output.ndim < 3:
        return None
    before = math.prod(source.shape[:axis])
    from_the_end = axis + output.ndim - source.ndim
    # Dimensions of one may fit in several places; the nearest to the end's count comes first.
    for place in sorted(range(output.ndim), key=lambda place: abs(place - from_the_end)):
        if output.shape[place] == source.shape[axis] and math.prod(output.shape[:place]) == before:
            return place
    return None


def multiplied(step: Step) -> bool:
    """Whether the source is the left factor of a matrix product: its last dimension is mixed, the others are kept."""
    return step.given.get(PRODUCTS.get(step.function, "")) is step.source
