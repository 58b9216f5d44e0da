"""Translations of single operators of torch to ONNX: `OPERATORS` has one for each, by its name in torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from striate.core.errors import ModelError
from striate.core.registry import Registry
from striate.exporting.graph import TYPES, Graph, Value

Translate = Callable[..., Any]
"""`translate(graph, node, *args, **kwargs)` adds the operators of `node`, with a `Value` for each tensor, and returns
the `Value` of its result. `node.meta["val"]` has the shape and the type of the result. A number that depends on how
many images there are has no `Value`: it is given as its node."""

OPERATORS: Registry[Translate] = Registry("operator of torch", ModelError)
"""Translations by the operator's name in torch: `aten.relu`, whatever its overload."""


class UntranslatedError(Exception):
    """An operator, or a use of one, that is not translated here."""


_NUMPY = {getattr(torch, dtype.name): dtype for dtype in TYPES}


def _translates(*names: str) -> Callable[[Translate], Translate]:
    def register(translate: Translate) -> Translate:
        for name in names:
            OPERATORS.add(f"aten.{name}", translate)
        return translate

    return register


def _shape(node: fx.Node) -> list[int]:
    """Return the shape of the result, with -1 for a side that depends on the number of images."""
    sides = [side if isinstance(side, int) else -1 for side in node.meta["val"].shape]
    if sides.count(-1) > 1:
        raise UntranslatedError(f"{node.target} with two sides that depend on the number of images")
    return sides


def _sides(node: fx.Node, argument: int = 0) -> list[int]:
    """Return the shape of an argument of `node` without the number of images."""
    return list(node.args[argument].meta["val"].shape)[1:]  # pyright: ignore


def _several(value: int | Sequence[int], count: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values


def cast(argument: Any, value: Any, dtype: np.dtype) -> Any:
    """Return the `value` of an argument in a type, numbers as constants."""
    if isinstance(value, Value):
        return value if dtype_of(argument) == dtype else value.to(dtype.type)
    return _constant(value, dtype)


def _scalar(node: fx.Node, value: Any) -> Any:
    """Return a number as a constant of the type of the result."""
    return value if isinstance(value, Value) else _constant(value, dtype_of(node))


def _constant(value: Any, dtype: np.dtype) -> np.ndarray:
    if isinstance(value, fx.Node):
        raise UntranslatedError(f"{value.target}, the number of images")
    return np.asarray(value, dtype)


def dtype_of(node: fx.Node) -> np.dtype:
    """Return the type of the result, as one of numpy."""
    return numpy_type(node.meta["val"].dtype)


def numpy_type(dtype: torch.dtype) -> np.dtype:
    """Return a type of torch as one of numpy.

    Raises:
        UntranslatedError: ONNX or numpy has no such type.
    """
    if dtype not in _NUMPY:
        raise UntranslatedError(f"values of {dtype}")
    return _NUMPY[dtype]


def _unary(kind: str) -> Translate:
    return lambda graph, node, x, *_, **__: graph.add(kind, x)


for _aten, _onnx in {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "sqrt": "Sqrt", "exp": "Exp", "neg": "Neg", "abs": "Abs",
    "log": "Log", "erf": "Erf", "hardswish": "HardSwish", "floor": "Floor", "reciprocal": "Reciprocal",
}.items():  # fmt: skip
    OPERATORS.add(f"aten.{_aten}", _unary(_onnx))


@_translates("dropout", "feature_dropout", "alpha_dropout", "contiguous", "clone", "detach", "alias", "lift_fresh_copy")
def _same(graph: Graph, node: fx.Node, x: Value, *_: Any, **__: Any) -> Value:
    return x


@_translates("view", "reshape", "flatten", "squeeze", "unsqueeze")
def _reshape(graph: Graph, node: fx.Node, x: Value, *_: Any) -> Value:
    return x.reshape(*_shape(node))


@_translates("permute")
def _permute(graph: Graph, node: fx.Node, x: Value, order: Sequence[int]) -> Value:
    return x.transpose(*(axis % len(order) for axis in order))


@_translates("transpose")
def _transpose(graph: Graph, node: fx.Node, x: Value, first: int, second: int) -> Value:
    order = list(range(len(node.meta["val"].shape)))
    order[first], order[second] = order[second], order[first]
    return x.transpose(*order)


@_translates("to", "_to_copy")
def _to(graph: Graph, node: fx.Node, x: Value, *_: Any, **__: Any) -> Value:
    return x.to(dtype_of(node).type)


@_translates("cat")
def _cat(graph: Graph, node: fx.Node, parts: Sequence[Value], dim: int = 0) -> Value:
    return graph.add("Concat", *parts, axis=dim)


@_translates("split", "split_with_sizes", "chunk")
def _split(graph: Graph, node: fx.Node, x: Value, _: Any, dim: int = 0) -> list[Value]:
    sizes = [part.shape[dim] for part in node.meta["val"]]
    if not all(isinstance(size, int) for size in sizes):
        raise UntranslatedError(f"{node.target} of the images")
    return graph.several("Split", len(sizes), x, np.array(sizes, np.int64), axis=dim)


@_translates("slice")
def _slice(
    graph: Graph, node: fx.Node, x: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    numbers = [0 if start is None else start, np.iinfo(np.int64).max if end is None else end, dim, step]
    if not all(isinstance(number, int) for number in numbers):
        raise UntranslatedError(f"{node.target} of the images")
    return graph.add("Slice", x, *(np.array([number], np.int64) for number in numbers))


@_translates("pad", "constant_pad_nd")
def _pad(
    graph: Graph, node: fx.Node, x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Value:
    rank = len(node.meta["val"].shape)
    pairs = [(0, 0)] * (rank - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    begins, ends = zip(*pairs, strict=True)
    kind = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}.get(mode)
    if kind is None or not all(isinstance(each, int) for each in pad):
        raise UntranslatedError(f"{node.target} {mode}")
    filled = [_scalar(node, value or 0.0)] if kind == "constant" else []
    return graph.add("Pad", x, np.array([*begins, *ends], np.int64), *filled, mode=kind)


def _binary(kind: str) -> Translate:
    def translate(graph: Graph, node: fx.Node, a: Any, b: Any, *, alpha: Any = 1, **keywords: Any) -> Value:
        if keywords.get("rounding_mode"):
            raise UntranslatedError(f"{node.target} with rounding")
        if dtype_of(node) == np.bool_:
            raise UntranslatedError(f"{node.target} of truth values")
        scaled = b if alpha == 1 else graph.add("Mul", _scalar(node, b), _scalar(node, alpha))
        return graph.add(kind, _scalar(node, a), _scalar(node, scaled))

    return translate


for _aten, _onnx in {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min",
}.items():  # fmt: skip
    OPERATORS.add(f"aten.{_aten}", _binary(_onnx))


def _comparison(kind: str) -> Translate:
    def translate(graph: Graph, node: fx.Node, *values: Any) -> Value:
        given: Any = (each.meta["val"] if isinstance(each, fx.Node) else each for each in node.args)
        dtype = numpy_type(torch.result_type(*given))
        return graph.add(kind, *(cast(each, value, dtype) for each, value in zip(node.args, values, strict=True)))

    return translate


for _aten, _onnx in {"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}.items():
    OPERATORS.add(f"aten.{_aten}", _comparison(_onnx))


@_translates("rsub")
def _rsub(graph: Graph, node: fx.Node, a: Any, b: Any, alpha: Any = 1) -> Value:
    return _binary("Sub")(graph, node, b, a, alpha=alpha)


@_translates("square")
def _square(graph: Graph, node: fx.Node, x: Value) -> Value:
    return x * x


@_translates("rsqrt")
def _rsqrt(graph: Graph, node: fx.Node, x: Value) -> Value:
    return graph.add("Reciprocal", graph.add("Sqrt", x))


@_translates("silu")
def _silu(graph: Graph, node: fx.Node, x: Value) -> Value:
    return x * graph.add("Sigmoid", x)


@_translates("gelu")
def _gelu(graph: Graph, node: fx.Node, x: Value, *, approximate: str = "none") -> Value:
    return graph.add("Gelu", x, approximate=approximate)


@_translates("elu", "leaky_relu")
def _sloped(graph: Graph, node: fx.Node, x: Value, alpha: float | None = None, *rest: Any) -> Value:
    if any(value != 1 for value in rest):
        raise UntranslatedError(f"{node.target} with a scale")
    if ".elu" in str(node.target):
        return graph.add("Elu", x, alpha=1.0 if alpha is None else alpha)
    return graph.add("LeakyRelu", x, alpha=0.01 if alpha is None else alpha)


@_translates("hardtanh", "clamp", "relu6", "hardsigmoid")
def _clip(graph: Graph, node: fx.Node, x: Value, low: Any = None, high: Any = None) -> Value:
    kind = str(node.target)
    if isinstance(low, Value) or isinstance(high, Value):
        raise UntranslatedError(kind)
    if "hardsigmoid" in kind:
        return graph.add("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    if "hardtanh" in kind:
        low, high = -1.0 if low is None else low, 1.0 if high is None else high
    elif "relu6" in kind:
        low, high = 0.0, 6.0
    return graph.add("Clip", x, *(None if each is None else _scalar(node, each) for each in (low, high)))


@_translates("softmax", "log_softmax")
def _softmax(graph: Graph, node: fx.Node, x: Value, dim: int, *_: Any) -> Value:
    return graph.add("LogSoftmax" if "log_" in str(node.target) else "Softmax", x, axis=dim)


def _reduced(kind: str) -> Translate:
    def translate(graph: Graph, node: fx.Node, x: Value, dim: Any = None, keepdim: bool = False, **_: Any) -> Value:
        axes = [] if dim is None else _several(dim, 1)
        return graph.add(kind, x, np.array(axes, np.int64) if axes else None, keepdims=int(keepdim))

    return translate


for _aten, _onnx in {"mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax"}.items():
    OPERATORS.add(f"aten.{_aten}", _reduced(_onnx))


@_translates("linear")
def _linear(graph: Graph, node: fx.Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    if len(node.meta["val"].shape) == 2:
        return graph.add("Gemm", x, weight, bias, transB=1)
    product = graph.add("MatMul", x, weight.transpose(1, 0))
    return product if bias is None else product + bias


@_translates("conv1d", "conv2d", "conv3d")
def _conv(
    graph: Graph,
    node: fx.Node,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    kernel = _sides(node, 1)[1:]
    steps, apart = _several(stride, len(kernel)), _several(dilation, len(kernel))
    if padding == "same":
        both = [gap * (side - 1) for gap, side in zip(apart, kernel, strict=True)]
        pads = [each // 2 for each in both] + [each - each // 2 for each in both]
    else:
        pads = _several(0 if padding == "valid" else padding, len(kernel)) * 2
    return graph.add("Conv", x, weight, bias, strides=steps, pads=pads, dilations=apart, group=groups)


def _ends(node: fx.Node, kernel: list[int], steps: list[int], pads: list[int], apart: list[int]) -> list[int]:
    """Return the padding after each axis that gives the size of torch's result, also where it was rounded up."""
    sizes = zip(_sides(node)[-len(kernel) :], node.meta["val"].shape[-len(kernel) :], strict=True)
    return [
        max((after - 1) * step + gap * (side - 1) + 1 - before - pad, 0 if before + pad >= (after - 1) * step else pad)
        for (before, after), side, step, pad, gap in zip(sizes, kernel, steps, pads, apart, strict=True)
    ]


@_translates("max_pool2d")
def _max_pool(
    graph: Graph, node: fx.Node, x: Value, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Value:  # fmt: skip
    kernel = _several(kernel_size, 2)
    steps, pads, apart = _several(stride or kernel, 2), _several(padding, 2), _several(dilation, 2)
    ends = _ends(node, kernel, steps, pads, apart)
    return graph.add("MaxPool", x, kernel_shape=kernel, strides=steps, pads=[*pads, *ends], dilations=apart)


@_translates("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _average_pool(
    graph: Graph, node: fx.Node, x: Value, kernel_size: Any, stride: Any = (), padding: Any = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Value:  # fmt: skip
    rank = int(str(node.target).split("pool")[1][0])
    kernel = _several(kernel_size, rank)
    steps, pads = _several(stride or kernel, rank), _several(padding, rank)
    ends = _ends(node, kernel, steps, pads, [1] * rank) if ceil_mode else pads
    if ceil_mode and ((count_include_pad and any(pads)) or (divisor_override and any(ends))):
        raise UntranslatedError(f"{node.target} with such a divisor")
    included = int((count_include_pad or divisor_override is not None) and any(pads))
    mean = graph.add(
        "AveragePool", x, kernel_shape=kernel, strides=steps, pads=[*pads, *ends], count_include_pad=included
    )
    return mean if divisor_override is None else mean * _scalar(node, math.prod(kernel) / divisor_override)


@_translates("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive(graph: Graph, node: fx.Node, x: Value, size: Any) -> Value | list[Value]:
    average = "avg" in str(node.target)
    after, before = _several(size, 2), _sides(node)[-2:]
    if any(old % new for old, new in zip(before, after, strict=True)):
        raise UntranslatedError(f"{node.target} to a size that does not divide that of the map")
    sides = [old // new for old, new in zip(before, after, strict=True)]
    pooled = graph.add("AveragePool" if average else "MaxPool", x, kernel_shape=sides, strides=sides)
    return pooled if average else [pooled]


@_translates("batch_norm", "_native_batch_norm_legit_no_training")
def _batch_norm(
    graph: Graph, node: fx.Node, x: Value, weight: Any, bias: Any, mean: Any, variance: Any, training: bool,
    momentum: float, eps: float, *_: Any,
) -> Value:  # fmt: skip
    if training or mean is None:
        raise UntranslatedError(f"{node.target} with the statistics of its batch")
    channels = _sides(node)[0]
    gain = np.ones(channels, np.float32) if weight is None else weight
    offset = np.zeros(channels, np.float32) if bias is None else bias
    return graph.add("BatchNormalization", x, gain, offset, mean, variance, epsilon=eps)


@_translates("layer_norm")
def _layer_norm(
    graph: Graph, node: fx.Node, x: Value, shape: Sequence[int], weight: Any = None, bias: Any = None,
    eps: float = 1e-5, *_: Any,
) -> Value:  # fmt: skip
    gain = np.ones(tuple(shape), np.float32) if weight is None else weight
    return graph.add("LayerNormalization", x, gain, bias, axis=-len(shape), epsilon=eps)
