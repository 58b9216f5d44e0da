"""A network, or a block of one, as boxes: each weighted layer with the norm and the activation that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_figure import Box, network
from torch import nn

from striate.layers import AvgPool2dSame, MaxPool2dSame, SeparableConv2d, SqueezeExcitation
from striate.tracing import INPUT, Graph, Node

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ADDED = ("Norm", "ReLU", "Tanh", "GELU", "SiLU", "Sigmoid", "Dropout", "Response", "StochasticDepth", "Scale")
_WEIGHTED = (nn.Conv2d, nn.Linear, SeparableConv2d)


def drawing(found: Graph) -> Figure:
    """What is given at the top, what comes out at the bottom."""
    boxes, number_of = [Box(("input",), "input")], {INPUT: 0}
    readers = {number: [end for start, end in found.edges if start == number] for number in range(len(found.nodes))}
    for number, node in enumerate(found.nodes):
        sources = [start for start, end in found.edges if end == number]
        if _is_added(node) and len(sources) == 1 and sources[0] != INPUT and readers[sources[0]] == [number]:
            box = number_of[sources[0]]
            boxes[box] = Box((*boxes[box].lines, _name(node.module)), boxes[box].kind)
        else:
            boxes.append(Box((_name(node.module),), _kind(node.module)))
            box = len(boxes) - 1
        number_of[number] = box
    edges = {(number_of[start], number_of[end]) for start, end in found.edges}
    return network(boxes, sorted(edge for edge in edges if edge[0] != edge[1]))


def _is_added(node: Node) -> bool:
    return not isinstance(node.module, _WEIGHTED) and any(word in type(node.module).__name__ for word in _ADDED)


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if isinstance(module, _WEIGHTED) or "Conv" in name:
        return "weighted"
    if isinstance(module, SqueezeExcitation):
        return "gate"
    if "Pool" in name:
        return "pooling"
    return "junction" if name in ("Add", "Concat") else "other"


def _name(module: nn.Module) -> str:
    """What stands in a box: `3×3 conv, 64, /2`."""
    if isinstance(module, nn.Conv2d):
        groups = "depthwise " if 1 < module.groups == module.in_channels else ""
        many = f", {module.groups} groups" if 1 < module.groups < module.in_channels else ""
        return f"{_by(module.kernel_size)} {groups}conv, {module.out_channels}{many}{_stride(module.stride)}"
    if isinstance(module, SeparableConv2d):
        depthwise, pointwise = module.depthwise, module.pointwise
        return f"{_by(depthwise.kernel_size)} separable conv, {pointwise.out_channels}{_stride(depthwise.stride)}"
    if isinstance(module, nn.Linear):
        return f"fully connected, {module.out_features}"
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d, MaxPool2dSame, AvgPool2dSame)):
        kind = "max" if isinstance(module, (nn.MaxPool2d, MaxPool2dSame)) else "mean"
        return f"{_by(module.kernel_size)} {kind} pooling{_stride(module.stride)}"
    if isinstance(module, SqueezeExcitation):
        return f"squeeze and excite, {module.reduce.out_channels}"
    return _WORDS.get(type(module).__name__, type(module).__name__)


_WORDS = {
    "Add": "+",
    "Concat": "concatenate",
    "BatchNorm2d": "batch norm",
    "LayerNorm2d": "layer norm",
    "LocalResponseNorm": "local response norm",
    "ColumnResponseNorm": "local response norm, 2 columns",
    "PartialConvolution": "5×5 conv, 16, partly connected",
    "Subsampling": "2×2 subsampling, /2",
    "CodeDistances": "distances to the codes",
    "ScaledTanh": "scaled tanh",
    "LayerScale": "a factor for each channel",
    "ZeroPadded": "every second pixel, zeros for new channels",
    "GlobalAveragePool": "global mean",
    "AdaptiveAvgPool2d": "global mean",
    "StochasticDepth": "stochastic depth",
    "Dropout": "dropout",
    "Flatten": "flatten",
}


def _by(sides: object) -> str:
    y, x = sides if isinstance(sides, tuple) else (sides, sides)
    return f"{y}×{x}"


def _stride(stride: object) -> str:
    first = stride[0] if isinstance(stride, tuple) else stride
    return "" if first == 1 else f", /{first}"
