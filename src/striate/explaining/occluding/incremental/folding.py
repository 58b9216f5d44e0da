"""What is done to a list of operations before it runs many times: batch norms folded, ReLUs in place."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from striate.explaining.occluding.incremental.program import Operation, Program, Ref

_WEIGHT, _BIAS, _TRANSPOSED = 1, 2, 6  # among the arguments of a convolution


def folded(program: Program) -> Program:
    """`program` with every batch norm folded into the convolution that it alone reads.

        w' = w · γ / √(σ² + ε)          b' = (b - μ) · γ / √(σ² + ε) + β

    computed in double precision and then rounded; kernels are laid with their channels last.
    """
    readers, made = program.readers(), {one.outputs[0]: one for one in program.operations}
    replaced: dict[int, Operation | None] = {}
    for norm in program.operations:
        if norm.name != "native_batch_norm" or not isinstance(norm.args[0], Ref):
            continue
        read = norm.args[0].number
        convolution = made.get(read)
        if convolution is None or convolution.name != "convolution" or len(readers[read]) > 1:
            continue
        if read == program.output or not _constant(convolution) or _training(norm):
            continue
        replaced[id(norm)] = None
        replaced[id(convolution)] = _with_norm(convolution, norm)
    operations = (replaced.get(id(one), one) for one in program.operations)
    return replace(program, operations=tuple(_laid(one) for one in operations if one is not None))


def in_place(program: Program) -> Program:
    """`program` with a ReLU working in place where it alone reads what a convolution or a sum has just written."""
    readers, made = program.readers(), {one.outputs[0]: one for one in program.operations}

    def changed(one: Operation) -> Operation:
        number = one.inputs()[0]
        fresh = number in made and made[number].name in ("convolution", "native_batch_norm", "add")
        if one.name != "relu" or not fresh or len(readers[number]) > 1:
            return one
        return replace(one, function=torch.ops.aten.relu_.default)

    return replace(program, operations=tuple(changed(one) for one in program.operations))


def _constant(convolution: Operation) -> bool:
    return isinstance(convolution.args[_WEIGHT], Tensor) and not convolution.args[_TRANSPOSED]


def _training(norm: Operation) -> bool:
    return bool(norm.args[5]) or any(not isinstance(one, Tensor) for one in norm.args[3:5])


def _with_norm(convolution: Operation, norm: Operation) -> Operation:
    weight, bias = convolution.args[_WEIGHT], convolution.args[_BIAS]
    scale, shift, mean, variance = norm.args[1:5]
    factor = (variance.double() + norm.args[7]).rsqrt() * (1 if scale is None else scale)
    constant = ((0 if bias is None else bias) - mean.double()) * factor + (0 if shift is None else shift)
    changed = (weight.double() * factor[:, None, None, None]).to(weight.dtype), constant.to(weight.dtype)
    return replace(convolution, args=(convolution.args[0], *changed, *convolution.args[3:]), outputs=norm.outputs[:1])


def _laid(operation: Operation) -> Operation:
    if operation.name != "convolution" or not isinstance(operation.args[_WEIGHT], Tensor):
        return operation
    weight = operation.args[_WEIGHT]
    if weight.ndim == 4:
        weight = weight.contiguous(memory_format=torch.channels_last)
    return replace(operation, args=(operation.args[0], weight, *operation.args[2:]))
