"""How each operation treats a map of which only a box has changed: what it reaches, and how that is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.explaining.occluding.incremental.boxes import Boxes, Pair, Window
from striate.explaining.occluding.incremental.crops import Crops, Map, gathered
from striate.explaining.occluding.incremental.program import Operation, Ref, leaves

Maps = Callable[[int], Map]
Reach = Callable[[Operation, Mapping[int, Boxes], Mapping[int, tuple[int, ...]]], Boxes | None]
Compute = Callable[[Operation, Mapping[int, Crops], Boxes, Maps], Crops]


@dataclass(frozen=True)
class Rule:
    """`reach` gives the boxes of the output (None: it is not confined to boxes), `compute` the values in them."""

    reach: Reach
    compute: Compute


_POINTWISE = {
    "relu",
    "relu_",
    "hardtanh",
    "clamp",
    "clamp_min",
    "clamp_max",
    "sigmoid",
    "hardsigmoid",
    "silu",
    "hardswish",
    "gelu",
    "elu",
    "leaky_relu",
    "tanh",
    "softplus",
    "mish",
    "threshold",
    "native_batch_norm",
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "neg",
    "abs",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "pow",
    "square",
    "clone",
    "alias",
    "detach",
    "_to_copy",
    "_prelu_kernel",
}


def rule_of(operation: Operation) -> Rule | None:
    """How `operation` goes on boxes; None if nothing is known of it, so that it is given whole maps."""
    return _RULES.get(operation.name)


def window_of(operation: Operation) -> Window | None:
    """What a convolution, pooling, padding or slice of maps reads."""
    args = operation.args
    match operation.name:
        case "convolution":
            if args[6] or not isinstance(args[1], Tensor) or args[1].ndim != 4:
                return None
            return Window(_pair(args[1].shape[2:]), _pair(args[3]), _pair(args[5]), _pair(args[4]))
        case "max_pool2d_with_indices":
            kernel, stride, padding, dilation, _ = _filled(args[1:], ([], [], 0, 1, False))
            return Window(_pair(kernel), _pair(stride or kernel), _pair(dilation), _pair(padding))
        case "avg_pool2d":
            kernel, stride, padding, *_ = _filled(args[1:], ([], [], 0))
            return Window(_pair(kernel), _pair(stride or kernel), (1, 1), _pair(padding))
        case "constant_pad_nd" if len(args[1]) <= 6:
            left, _, top, _ = _filled(args[1], (0, 0, 0, 0))[:4]
            return Window(padding=(top, left))
        case "slice":
            dimension, start, _, step = _filled(args[1:], (0, 0, None, 1))
            if dimension not in (2, 3) or (start or 0) < 0:
                return None
            begin = -(start or 0)
            return Window(
                stride=(step, 1) if dimension == 2 else (1, step),
                padding=(begin, 0) if dimension == 2 else (0, begin),
            )
    return None


def _pointwise_reach(operation: Operation, boxes: Any, shapes: Any) -> Boxes | None:
    """The union of the boxes of all maps read; constants must be the same for all pixels."""
    inputs = operation.inputs()
    if len({shapes[number][1:] for number in inputs}) > 1 or any(number not in boxes for number in inputs):
        return None
    if operation.name == "native_batch_norm":
        if operation.args[5]:  # the statistics are those of all that is given, so a patch changes every value
            return None
    else:
        for leaf in leaves((operation.args, operation.kwargs)):
            if isinstance(leaf, Tensor) and any(side > 1 for side in leaf.shape[-2:]):
                return None
    return _united([boxes[number] for number in inputs])


def _pointwise(operation: Operation, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    inputs = {number: _on(boxes, number, crops, maps) for number in operation.inputs()}
    groups = []
    for place, (numbers, _) in enumerate(next(iter(inputs.values())).groups):
        values = {number: crop.groups[place][1] for number, crop in inputs.items()}
        given = operation.run(values, len(numbers))
        groups.append((numbers, given[0] if isinstance(given, tuple) else given))
    return Crops(boxes, tuple(groups))


def _joining_reach(operation: Operation, boxes: Any, shapes: Any) -> Boxes | None:
    joined, dimension = _filled(operation.args, ([], 0))
    inputs, parts = operation.inputs(), list(leaves(joined))
    if dimension not in (1, -3) or not all(isinstance(part, Ref) and part.number in boxes for part in parts):
        return None
    return _united([boxes[number] for number in inputs])


def _window_reach(operation: Operation, boxes: Any, shapes: Any) -> Boxes | None:
    (number,) = operation.inputs()
    window = window_of(operation)
    if window is None or number not in boxes:
        return None
    return window.reached(boxes[number], shapes[operation.outputs[0]][1:])


def _convolution(operation: Operation, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    _, weight, bias, _, _, dilation, _, _, groups = operation.args
    read, stride = _read(operation, crops, boxes, maps)
    return _in(boxes, read.changed(lambda values: F.conv2d(values, weight, bias, stride, 0, dilation, groups)))


def _largest(operation: Operation, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    window = _window(operation)
    read, stride = _read(operation, crops, boxes, maps, fill=-torch.inf)
    return _in(boxes, read.changed(lambda values: F.max_pool2d(values, window.kernel, stride, 0, window.dilation)))


def _average(operation: Operation, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    """Sums over the windows, divided by what the whole operation divides by there, which differs at borders."""
    window = _window(operation)
    read, stride = _read(operation, crops, boxes, maps)
    sums = _in(boxes, read.changed(lambda values: F.avg_pool2d(values, window.kernel, stride, divisor_override=1)))
    (number,) = operation.inputs()
    clean = maps(number)
    shares = gathered(_shares(operation, clean), None, boxes)
    pairs = zip(sums.groups, shares.groups, strict=True)
    return Crops(boxes, tuple((numbers, values * share) for (numbers, values), (_, share) in pairs))


def _shares(operation: Operation, clean: Map) -> Map:
    """What each output of an average pooling multiplies the sum of its window with."""
    ones = clean.rows.new_ones(1, 1, clean.height, clean.width)
    window = _window(operation)
    averages = operation.run({operation.inputs()[0]: ones}, 1)
    (down, right), (top, left) = window.stride, window.padding
    below = (averages.shape[2] - 1) * down + window.kernel[0] - top - clean.height
    beside = (averages.shape[3] - 1) * right + window.kernel[1] - left - clean.width
    inside = F.avg_pool2d(F.pad(ones, (left, beside, top, below)), window.kernel, window.stride, divisor_override=1)
    return Map.of(averages / inside.clamp(min=1))


def _moved(operation: Operation, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    """A padding or a slice takes values to other places."""
    (number,) = operation.inputs()
    window = _window(operation)
    pads = _filled(operation.args[1], (0, 0, 0, 0)) if operation.name == "constant_pad_nd" else (0, 0, 0, 0)
    fill = _filled(operation.args[2:], (0,))[0] if operation.name == "constant_pad_nd" else 0.0
    moved = _in(boxes, gathered(maps(number), crops[number], window.read(boxes), float(fill), window.stride))
    return moved.changed(lambda values: F.pad(values, (0, 0, 0, 0, *pads[4:]), value=fill)) if pads[4:] else moved


def _read(
    operation: Operation, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps, fill: float = 0.0
) -> tuple[Crops, Pair]:
    """What a window operation reads to compute its outputs in `boxes`, and the stride with which it goes over that.

    Where every output reads one input, only those are taken, so that no stride is left.
    """
    (number,) = operation.inputs()
    window = _window(operation)
    if window.plain and boxes.same(crops[number].boxes):
        return crops[number], window.stride
    step = window.stride if window.single else (1, 1)
    read = gathered(maps(number), crops[number], window.read(boxes), fill, step)
    return read, (1, 1) if window.single else window.stride


def _on(boxes: Boxes, number: int, crops: Mapping[int, Crops], maps: Maps) -> Crops:
    own = crops[number]
    return own if own.boxes.same(boxes) else gathered(maps(number), own, boxes)


def _in(boxes: Boxes, computed: Crops) -> Crops:
    return Crops(boxes, computed.groups)


def _united(parts: list[Boxes]) -> Boxes:
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.joined(part)
    return joined


def _window(operation: Operation) -> Window:
    window = window_of(operation)
    assert window is not None
    return window


def _pair(sides: Any) -> Pair:
    """Torch gives one number for both directions as itself or alone in a list."""
    if isinstance(sides, int):
        return sides, sides
    return (sides[0], sides[0]) if len(sides) == 1 else (sides[0], sides[1])


def _filled(given: Any, defaults: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments, and the defaults of those left out."""
    return (*given, *defaults[len(given) :])


_RULES = {name: Rule(_pointwise_reach, _pointwise) for name in _POINTWISE} | {
    "cat": Rule(_joining_reach, _pointwise),
    "convolution": Rule(_window_reach, _convolution),
    "max_pool2d_with_indices": Rule(_window_reach, _largest),
    "avg_pool2d": Rule(_window_reach, _average),
    "constant_pad_nd": Rule(_window_reach, _moved),
    "slice": Rule(_window_reach, _moved),
}
