"""One operation of ATen: its window, its multiply-accumulates, the weights it shares.

Arguments are given by the names of the operation's schema; a tensor may stand for itself or be a `Value` of a record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

aten = torch.ops.aten

CONVOLUTION = aten.convolution.default
_MAX_POOL = aten.max_pool2d_with_indices.default
_AVERAGE_POOLS = (aten.avg_pool2d.default, aten.avg_pool3d.default)
# Matrix products by the name of their left factor, whose columns are summed over.
PRODUCTS = {
    aten.mm.default: "self",
    aten.bmm.default: "self",
    aten.addmm.default: "mat1",
    aten.baddbmm.default: "batch1",
    aten.addbmm.default: "batch1",
    aten.mv.default: "self",
    aten.addmv.default: "mat",
    aten.dot.default: "self",
    aten.vdot.default: "self",
}
# The same by their right factor, whose rows are.
FACTORS = {
    aten.mm.default: "mat2",
    aten.bmm.default: "mat2",
    aten.addmm.default: "mat2",
    aten.baddbmm.default: "batch2",
}
BILINEAR = aten._trilinear.default

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How a convolution or a pooling slides over the rows and columns of a map of `size`; pairs are (y, x).

    Output o reads inputs o · stride - padding + 0 … (kernel - 1) · dilation. A negative padding begins within the map.
    """

    size: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil: bool = False

    @property
    def reach(self) -> Pair:
        """Rows and columns from the first to the last that one position reads, both included."""
        return _pair(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def positions(self) -> tuple[float, float]:
        """(size + 2 padding - reach) / stride + 1. Where this is not whole, the kernel does not fit."""
        y, x = (
            (n + 2 * p - r) / s + 1 for n, p, r, s in zip(self.size, self.padding, self.reach, self.stride, strict=True)
        )
        return y, x

    @property
    def empty(self) -> bool:
        """Whether no position is left: the kernel exceeds the padded map by more than it may overhang."""
        over = (s - 1 if self.ceil else 0 for s in self.stride)
        sides = zip(self.size, self.padding, self.reach, over, strict=True)
        return any(n + 2 * p + more < r for n, p, r, more in sides)

    @property
    def dropped(self) -> Pair:
        """Rows and columns at the bottom and right that no position reads, because they make no whole step.

        Padding may make up for a misfit. After a kernel shorter than its stride a gap of their difference is no loss:
        there is such a gap after every position.
        """
        if self.ceil:
            return 0, 0
        last = (
            (math.floor(count) - 1) * s + r - p
            for count, s, r, p in zip(self.positions, self.stride, self.reach, self.padding, strict=True)
        )
        gaps = (max(0, s - r) for s, r in zip(self.stride, self.reach, strict=True))
        return _pair(max(0, n - end - gap) for n, end, gap in zip(self.size, last, gaps, strict=True))


@dataclass(frozen=True)
class Sharing:
    """The parameters of a convolution, and those of the same layer without weight sharing.

    `local`: a filter of its own for each position (locally connected). `full`: every output connected to every input
    (fully connected).
    """

    shared: int
    local: int
    full: int


def arguments(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a dispatched operation by the names of its schema, defaults included."""
    named = {argument.name: argument.default_value for argument in function._schema.arguments}
    return named | dict(zip(named, args, strict=False)) | kwargs


def window(function: Any, given: dict[str, Any]) -> Window | None:
    """Return the window with which an operation slides over rows and columns; None if it does not slide over a map.

    Windows in three dimensions count by their last two; a transposed convolution is none.
    """
    if function is CONVOLUTION and not given["transposed"] and given["input"].ndim >= 4:
        kernel = given["weight"].shape[2:]
        return _window(given["input"], kernel, given["stride"], given["padding"], given["dilation"])
    if function is _MAX_POOL:
        stride = given["stride"] or given["kernel_size"]
        return _window(
            given["self"], given["kernel_size"], stride, given["padding"], given["dilation"], given["ceil_mode"]
        )
    if function in _AVERAGE_POOLS:
        stride = given["stride"] or given["kernel_size"]
        return _window(given["self"], given["kernel_size"], stride, given["padding"], (1,), given["ceil_mode"])
    return None


def macs(function: Any, given: dict[str, Any], output: Any) -> int:
    """Count the multiply-accumulates of an operation: of convolutions and matrix products, without biases.

    A bilinear layer has one for each weight and position; attention has those of its two products, of queries with
    keys and of the attention weights with values.
    """
    if function is CONVOLUTION:
        # Each number of the output (of the input, if transposed) meets one filter, whose area and depth are the
        # weight's shape after the first dimension, groups already divided out.
        slid_over = given["input"] if given["transposed"] else output
        return slid_over.numel() * math.prod(given["weight"].shape[1:])
    if function is aten.addbmm.default:
        return given["batch1"].numel() * given["batch2"].shape[-1]
    if function in PRODUCTS:
        return output.numel() * given[PRODUCTS[function]].shape[-1]
    if function is BILINEAR:
        return given["i1"].shape[:-1].numel() * given["i2"].numel()
    if "scaled_dot_product" in function._schema.name and "backward" not in function._schema.name:
        query, key, value = given["query"], given["key"], given["value"]
        return query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
    return 0


def weighted(function: Any, factors: int) -> bool:
    """Return whether an operation counts in a network's depth; `factors` of its inputs depend on the image.

    The product of two maps, as in attention, has no weights.
    """
    if function is BILINEAR:
        return True
    return function is CONVOLUTION or (function in PRODUCTS and factors == 1)


def sharing(function: Any, given: dict[str, Any], output: Any) -> Sharing | None:
    """Return what a convolution saves by sharing its filters; None for other operations."""
    if function is not CONVOLUTION or given["transposed"]:
        return None
    biases = output.shape[1] if given["bias"] is not None else 0
    shared = given["weight"].numel() + biases
    inputs, outputs = math.prod(given["input"].shape[1:]), math.prod(output.shape[1:])
    full = inputs * outputs + (outputs if biases else 0)
    return Sharing(shared, shared * math.prod(output.shape[2:]), full)


def _window(image: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool = False) -> Window:
    size = (image.shape[-2], image.shape[-1])
    return Window(size, _last_two(kernel), _last_two(stride), _last_two(padding), _last_two(dilation), ceil)


def _last_two(values: Any) -> Pair:
    """Return a window's numbers in y and x: one number stands for all dimensions."""
    return (values[0], values[0]) if len(values) == 1 else (values[-2], values[-1])


def _pair(numbers: Any) -> Pair:
    y, x = numbers
    return y, x
