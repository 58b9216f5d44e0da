"""Map an input axis to an output axis of an ATen operation, with the window that moves over it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from striate.tracing.operations import CONVOLUTION, FACTORS, PRODUCTS, Window, aten
from striate.tracing.recorder import Value

Move = tuple[int, int, int]  # reach, stride, padding

_BATCH_NORMS = {
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit.default,
    aten._native_batch_norm_legit.no_stats,
    aten.cudnn_batch_norm.default,
}
_SAME_PLACE = {
    aten._native_batch_norm_legit_no_training.default,
    aten.clone.default,
    aten._to_copy.default,
    aten.native_dropout.default,
}
_SOFTMAXES = {aten._softmax.default, aten._log_softmax.default, aten._safe_softmax.default}
_RUNNING = {aten.cumsum.default, aten.cumprod.default}  # each position reads those before it
_ALONG_ONE = {
    aten.cat.default,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.index_select.default,
    *_SOFTMAXES,
    *_RUNNING,
}
_REDUCTIONS = {
    aten.mean.dim,
    aten.sum.dim_IntList,
    aten.amax.default,
    aten.amin.default,
    aten.max.dim,
    aten.min.dim,
    aten.var.correction,
    aten.std.correction,
    aten.logsumexp.default,
    aten.linalg_vector_norm.default,
}
_OVER_ALL = {aten.mean.default, aten.sum.default, aten.max.default, aten.min.default}
_ADAPTIVE = {
    aten._adaptive_avg_pool2d.default,
    aten.adaptive_max_pool2d.default,
    aten._adaptive_avg_pool3d.default,
    aten.adaptive_max_pool3d.default,
}
_REORDERED = {aten.roll.default, aten.flip.default}
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
    source: Value
    output: Value
    window: Window | None


def slid(axis: int, step: Step) -> Move | None:
    """Return how a window, a padding or a slice moves over `axis`; None for other operations."""
    ndim, given = step.source.ndim, step.given
    if step.window is not None and axis >= ndim - 2:
        number = axis - (ndim - 2)
        return step.window.reach[number], step.window.stride[number], step.window.padding[number]
    if step.function in _PADS:
        pad = given["pad"] if "pad" in given else given["padding"]  # before and after, the last dimension first
        number = 2 * (ndim - 1 - axis)
        return 1, 1, pad[number] if number < len(pad) else 0
    if step.function is aten.slice.Tensor:
        if given["dim"] % ndim != axis:
            return 1, 1, 0
        start = given["start"] or 0
        return 1, given["step"], -(start if start >= 0 else start + step.source.shape[axis])
    return None


def slid_transposed(axis: int, step: Step) -> Move | None:
    """Return how the window of a transposed convolution moves over `axis`."""
    if step.function is not CONVOLUTION or not step.given["transposed"] or step.source.ndim != 4 or axis < 2:
        return None
    given = step.given
    kernel, stride, padding, dilation = (
        numbers[axis - 2]
        for numbers in (given["weight"].shape[2:], given["stride"], given["padding"], given["dilation"])
    )
    return dilation * (kernel - 1) + 1, stride, padding


def kept(axis: int, step: Step) -> int | None:
    """Return the output's dimension that is `axis` of the source, position by position; None if positions are mixed."""
    function, given, source, output = step.function, step.given, step.source, step.output
    if torch.Tag.pointwise in function.tags or function is aten.expand.default:
        place = axis + output.ndim - source.ndim  # broadcasting counts from the last dimension
        return place if output.shape[place] == source.shape[axis] else None
    if in_place_of(step) or mixed(axis, step):
        return axis
    if function in _ALONG_ONE:
        return None if given["dim"] % source.ndim == axis else axis
    if multiplied(step):
        return axis if axis < source.ndim - 1 else None
    if _multiplies(step):
        return axis if axis != source.ndim - 2 else None
    if function in (aten.native_layer_norm.default, aten.native_group_norm.default):
        return axis
    if function in _REORDERED:
        return None if axis in {dim % source.ndim for dim in given["dims"]} else axis
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


def in_place_of(step: Step) -> bool:
    """Return whether each number of the output is computed from the one in its place, in a map of the same shape."""
    normed = step.function in _BATCH_NORMS and not _of_the_batch(step)
    return normed or step.function in _SAME_PLACE


def mixed(axis: int, step: Step) -> bool:
    """Return whether each position along `axis` keeps its place and reads all others.

    So it is in a norm that takes its statistics from the map, and in a softmax.
    """
    function, given, ndim = step.function, step.given, step.source.ndim
    if _of_the_batch(step):
        return axis != 1
    if function is aten.native_layer_norm.default:
        return axis >= ndim - len(given["normalized_shape"])
    if function is aten.native_group_norm.default:
        return axis >= 2
    return function in _SOFTMAXES and given["dim"] % ndim == axis


def before(axis: int, step: Step) -> bool:
    """Return whether each position along `axis` keeps its place and reads at most all others: a running sum."""
    return step.function in _RUNNING and step.given["dim"] % step.source.ndim == axis


def summed(axis: int, step: Step) -> bool:
    """Return whether each number of the output is computed from all positions along `axis`."""
    function, ndim = step.function, step.source.ndim
    if function in _OVER_ALL or mixed(axis, step):
        return True
    if function in _REDUCTIONS:
        return axis in _dims(step.given, ndim)
    if function in _ADAPTIVE and axis >= ndim - 2:
        return step.output.shape[axis] == 1
    return (multiplied(step) and axis == ndim - 1) or (_multiplies(step) and axis == ndim - 2)


def redistributed(axis: int, step: Step) -> int | None:
    """Return the output's dimension along which the positions of `axis` lie, no longer one for one; None if unknown.

    All of them are in it: after an adaptive pooling, an upsampling, another order, a reshaping.
    """
    function, source, output = step.function, step.source, step.output
    if function in _ADAPTIVE or function in _REORDERED or (step.window is not None and axis >= source.ndim - 2):
        return axis
    if "upsample" in function._schema.name and output.shape[axis] >= source.shape[axis]:
        return axis
    return _inside(axis, source, output) if function in RESHAPES else None


def _inside(axis: int, source: Value, output: Value) -> int | None:
    """Return the dimension into which a reshaping puts all of `axis`, perhaps together with others."""
    before, after = math.prod(source.shape[:axis]), math.prod(source.shape[axis + 1 :])
    for place in range(output.ndim):
        others = math.prod(output.shape[:place]), math.prod(output.shape[place + 1 :])
        if all(others) and before % others[0] == 0 and after % others[1] == 0:
            return place
    return None


def _of_the_batch(step: Step) -> bool:
    """Return whether a batch norm takes mean and variance from its input."""
    return step.function in _BATCH_NORMS and bool(step.given.get("training", step.given.get("train")))


def _dims(given: dict[str, Any], ndim: int) -> set[int]:
    dims = given["dim"]
    return {dims % ndim} if isinstance(dims, int) else {dim % ndim for dim in dims or range(ndim)}


def _unreduced(axis: int, given: dict[str, Any], source: Value) -> int | None:
    dims = _dims(given, source.ndim)
    if axis in dims:
        return None
    return axis if given["keepdim"] else axis - sum(dim < axis for dim in dims)


def _reshaped(axis: int, source: Value, output: Value) -> int | None:
    """Return the dimension as long as `axis` with as many numbers before it."""
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
    """Return whether the source is the left factor of a matrix product: its last dimension is mixed."""
    return step.given.get(PRODUCTS.get(step.function, "")) is step.source


def _multiplies(step: Step) -> bool:
    """Return whether the source is the right factor of a matrix product: the dimension before its last is mixed."""
    return step.given.get(FACTORS.get(step.function, "")) is step.source
