"""Rules for instructions on maps that changed only in boxes: boxes of the output, and the values in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.explaining.occluding.incremental.boxes import Boxes, inputs_of, outputs_of
from striate.explaining.occluding.incremental.crops import Crops, Map, gathered
from striate.explaining.occluding.incremental.program import Instruction, Ref, leaves
from striate.tracing import Operation, Window

Pair = tuple[int, int]
Maps = Callable[[int], Map]
Reach = Callable[[Instruction, Mapping[int, Boxes], Mapping[int, tuple[int, ...]]], Boxes | None]
Compute = Callable[[Instruction, Mapping[int, Crops], Boxes, Maps], Crops]


@dataclass(frozen=True)
class Rule:
    """`reach` returns the boxes of the output (None: it is not confined to boxes), `compute` the values in them."""

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


def rule_of(instruction: Instruction) -> Rule | None:
    """Return the rule of an instruction; None if it must run on whole maps."""
    return _RULES.get(instruction.name)


def window_of(operation: Operation) -> Window | None:
    """Return the window of a convolution, pooling, padding or slice of maps; None for other operations."""
    given, name = operation.given, operation.function._schema.name
    if operation.window is not None:
        return operation.window if operation.inputs[0].ndim == 4 else None
    if name == "aten::constant_pad_nd" and len(given["pad"]) <= 6:
        left, _, top, _ = (*given["pad"], 0, 0, 0)[:4]
        return _shift(operation, padding=(top, left))
    if name == "aten::slice" and given["dim"] in (2, 3) and (given["start"] or 0) >= 0:
        begin, step = -(given["start"] or 0), given["step"]
        vertical = given["dim"] == 2
        return _shift(
            operation,
            padding=(begin, 0) if vertical else (0, begin),
            stride=(step, 1) if vertical else (1, step),
        )
    return None


def _shift(operation: Operation, padding: Pair, stride: Pair = (1, 1)) -> Window:
    height, width = operation.inputs[0].shape[-2:]
    return Window((height, width), kernel=(1, 1), stride=stride, padding=padding, dilation=(1, 1))


def _pointwise_reach(instruction: Instruction, boxes: Any, shapes: Any) -> Boxes | None:
    """Return the union of the boxes of all input maps; constants must be the same for all pixels."""
    inputs = instruction.inputs()
    if len({shapes[number][1:] for number in inputs}) > 1 or any(number not in boxes for number in inputs):
        return None
    if instruction.name == "native_batch_norm":
        if instruction.given["training"]:  # the statistics are those of the whole input, so a patch changes every value
            return None
    else:
        for leaf in leaves(instruction.given):
            if isinstance(leaf, Tensor) and any(side > 1 for side in leaf.shape[-2:]):
                return None
    return _united([boxes[number] for number in inputs])


def _pointwise(instruction: Instruction, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    inputs = {number: _on(boxes, number, crops, maps) for number in instruction.inputs()}
    groups = []
    for place, (numbers, _) in enumerate(next(iter(inputs.values())).groups):
        values = {number: crop.groups[place][1] for number, crop in inputs.items()}
        results = instruction.run(values, len(numbers))
        groups.append((numbers, results[0] if isinstance(results, tuple) else results))
    return Crops(boxes, tuple(groups))


def _joining_reach(instruction: Instruction, boxes: Any, shapes: Any) -> Boxes | None:
    parts = instruction.given["tensors"]
    if instruction.given["dim"] not in (1, -3):
        return None
    if not all(isinstance(part, Ref) and part.number in boxes for part in parts):
        return None
    return _united([boxes[part.number] for part in parts])


def _window_reach(instruction: Instruction, boxes: Any, shapes: Any) -> Boxes | None:
    number, *computed = instruction.inputs()
    if instruction.window is None or computed or number not in boxes:
        return None
    return outputs_of(boxes[number], instruction.window, shapes[instruction.outputs[0]][1:])


def _convolution(instruction: Instruction, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    weight, bias, dilation, groups = (instruction.given[name] for name in ("weight", "bias", "dilation", "groups"))
    read, stride = _read(instruction, crops, boxes, maps)
    return _in(boxes, read.changed(lambda values: F.conv2d(values, weight, bias, stride, 0, dilation, groups)))


def _largest(instruction: Instruction, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    window = _window(instruction)
    read, stride = _read(instruction, crops, boxes, maps, fill=-torch.inf)
    return _in(boxes, read.changed(lambda values: F.max_pool2d(values, window.kernel, stride, 0, window.dilation)))


def _average(instruction: Instruction, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    """Compute sums over windows, divided by the divisors of the whole instruction, which differ at borders."""
    window = _window(instruction)
    read, stride = _read(instruction, crops, boxes, maps)
    sums = _in(boxes, read.changed(lambda values: F.avg_pool2d(values, window.kernel, stride, divisor_override=1)))
    (number,) = instruction.inputs()
    clean = maps(number)
    shares = gathered(_shares(instruction, clean), None, boxes)
    pairs = zip(sums.groups, shares.groups, strict=True)
    return Crops(boxes, tuple((numbers, values * share) for (numbers, values), (_, share) in pairs))


def _shares(instruction: Instruction, clean: Map) -> Map:
    """Return the factor with which each output of an average pooling multiplies the sum of its window."""
    ones = clean.rows.new_ones(1, 1, clean.height, clean.width)
    window = _window(instruction)
    averages = instruction.run({instruction.inputs()[0]: ones}, 1)
    (down, right), (top, left) = window.stride, window.padding
    below = (averages.shape[2] - 1) * down + window.kernel[0] - top - clean.height
    beside = (averages.shape[3] - 1) * right + window.kernel[1] - left - clean.width
    inside = F.avg_pool2d(F.pad(ones, (left, beside, top, below)), window.kernel, window.stride, divisor_override=1)
    return Map.of(averages / inside.clamp(min=1))


def _moved(instruction: Instruction, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps) -> Crops:
    """Move values to other positions, for a padding or a slice."""
    (number,) = instruction.inputs()
    window = _window(instruction)
    channels, fill = instruction.given.get("pad", ())[4:], instruction.given.get("value", 0.0)
    read = gathered(maps(number), crops[number], inputs_of(boxes, window), float(fill), window.stride)
    moved = _in(boxes, read)
    return moved.changed(lambda values: F.pad(values, (0, 0, 0, 0, *channels), value=fill)) if channels else moved


def _read(
    instruction: Instruction, crops: Mapping[int, Crops], boxes: Boxes, maps: Maps, fill: float = 0.0
) -> tuple[Crops, Pair]:
    """Return the inputs of a window for its outputs in `boxes`, and the stride of the window over these inputs.

    If every output reads one input, only those inputs are returned, and the stride is 1.
    """
    (number,) = instruction.inputs()
    window = _window(instruction)
    single = window.kernel == (1, 1)  # every output reads one input
    if single and window.stride == (1, 1) and window.padding == (0, 0) and boxes.same(crops[number].boxes):
        return crops[number], window.stride
    step = window.stride if single else (1, 1)
    read = gathered(maps(number), crops[number], inputs_of(boxes, window), fill, step)
    return read, (1, 1) if single else window.stride


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


def _window(instruction: Instruction) -> Window:
    assert instruction.window is not None
    return instruction.window


_RULES = {name: Rule(_pointwise_reach, _pointwise) for name in _POINTWISE} | {
    "cat": Rule(_joining_reach, _pointwise),
    "convolution": Rule(_window_reach, _convolution),
    "max_pool2d_with_indices": Rule(_window_reach, _largest),
    "avg_pool2d": Rule(_window_reach, _average),
    "constant_pad_nd": Rule(_window_reach, _moved),
    "slice": Rule(_window_reach, _moved),
}
