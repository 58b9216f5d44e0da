"""Optimize a program for many runs: fold batch norms, run ReLUs in place, store kernels with channels last."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from striate.explaining.occluding.incremental.program import Instruction, Program, Ref
from striate.tracing import folded_weights, norm_line


def folded(program: Program) -> Program:
    """Fold each batch norm into its convolution if no other instruction reads the convolution (see `tracing.fold`)."""
    readers, made = program.readers(), {one.outputs[0]: one for one in program.instructions}
    replaced: dict[int, Instruction | None] = {}
    for norm in program.instructions:
        read = norm.given.get("input")
        if norm.name != "native_batch_norm" or not isinstance(read, Ref):
            continue
        convolution = made.get(read.number)
        if convolution is None or convolution.name != "convolution" or len(readers[read.number]) > 1:
            continue
        if read.number == program.output or not _is_constant(convolution) or _uses_the_batch(norm):
            continue
        replaced[id(norm)] = None
        replaced[id(convolution)] = _with_norm(convolution, norm)
    instructions = (replaced.get(id(one), one) for one in program.instructions)
    return replace(program, instructions=tuple(_channels_last(one) for one in instructions if one is not None))


def in_place(program: Program) -> Program:
    """Run a ReLU in place if it is the only reader of the output of a convolution, a norm or a sum."""
    readers, made = program.readers(), {one.outputs[0]: one for one in program.instructions}

    def changed(one: Instruction) -> Instruction:
        number = one.inputs()[0]
        fresh = number in made and made[number].name in ("convolution", "native_batch_norm", "add")
        if one.name != "relu" or not fresh or len(readers[number]) > 1:
            return one
        return replace(one, function=torch.ops.aten.relu_.default)

    return replace(program, instructions=tuple(changed(one) for one in program.instructions))


def _is_constant(convolution: Instruction) -> bool:
    return isinstance(convolution.given["weight"], Tensor) and not convolution.given["transposed"]


def _uses_the_batch(norm: Instruction) -> bool:
    statistics = norm.given["running_mean"], norm.given["running_var"]
    return bool(norm.given["training"]) or any(not isinstance(each, Tensor) for each in statistics)


def _with_norm(convolution: Instruction, norm: Instruction) -> Instruction:
    given = norm.given
    line = norm_line(given["running_mean"], given["running_var"], given["eps"], given["weight"], given["bias"])
    weight, bias = folded_weights(convolution.given["weight"], convolution.given["bias"], *line)
    return replace(convolution, given={**convolution.given, "weight": weight, "bias": bias}, outputs=norm.outputs[:1])


def _channels_last(instruction: Instruction) -> Instruction:
    weight = instruction.given.get("weight")
    if instruction.name != "convolution" or not isinstance(weight, Tensor) or weight.ndim != 4:
        return instruction
    laid = weight.contiguous(memory_format=torch.channels_last)
    return replace(instruction, given={**instruction.given, "weight": laid})
