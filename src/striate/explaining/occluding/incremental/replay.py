"""Run a program under every patch; compute only the values that the patch can reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.occluding.incremental.boxes import Boxes
from striate.explaining.occluding.incremental.crops import Crops, Map, gathered, whole
from striate.explaining.occluding.incremental.program import Instruction, Program, leaves, store
from striate.explaining.occluding.incremental.rules import Maps, rule_of

MEMORY = 256 * 2**20
"""Largest size in bytes of the changed inputs and outputs of an instruction in one pass."""


def reach(program: Program, boxes: Boxes) -> dict[int, Boxes]:
    """Return the boxes of all values that patches in `boxes` change only locally; other values change as a whole."""
    found = {program.image: boxes}
    readers = program.readers()
    for instruction in program.instructions:
        rule, (first, *others) = rule_of(instruction), instruction.outputs
        if rule is None or first is None or any(readers.get(one or -1) for one in others):
            continue
        reached = rule.reach(instruction, found, program.shapes)
        if reached is not None:
            found[first] = reached
    return found


def saving(program: Program, boxes: Boxes) -> float:
    """Return the ratio of multiplications of the whole model to those of the patches, at these positions."""
    reached = reach(program, boxes)
    whole = sum(_products(program, one, {}, len(boxes)) for one in program.instructions)
    confined = sum(_products(program, one, reached, len(boxes)) for one in program.instructions)
    return whole / confined if confined else 1.0


def _products(program: Program, instruction: Instruction, reached: Mapping[int, Boxes], count: int) -> float:
    """Count the multiplications of a convolution or a matrix product; those of other operations are negligible."""
    weights = [one for one in leaves(instruction.given) if isinstance(one, Tensor) and one.ndim > 1]
    output = instruction.outputs[0]
    if instruction.name not in ("convolution", "addmm", "mm") or not weights or output is None:
        return 0.0
    pixels = reached[output].area() if output in reached else count * math.prod(program.shapes[output][1:])
    return float(weights[0].numel() * pixels)


@dataclass(frozen=True, eq=False)
class Clean:
    """Values of a program for the clean image, and their views as maps, from which changed values are computed."""

    values: Mapping[int, Tensor]
    maps: dict[int, Map]

    @classmethod
    def of(cls, program: Program, image: Float[Tensor, "1 c h w"]) -> Clean:
        return cls(program.run(image.contiguous(memory_format=torch.channels_last)), {})

    def map(self, number: int) -> Map:
        if number not in self.maps:
            self.maps[number] = Map.of(self.values[number])
        return self.maps[number]


def replay(
    program: Program, clean: Clean, cover: Float[Tensor, "1 c h w"], boxes: Boxes
) -> Iterator[tuple[slice, Float[Tensor, "m k"]]]:
    """Yield the logits under a patch with the content of `cover` in each of `boxes`, for some positions at a time.

    A value that is not confined to boxes is computed as a whole, as are all later values: at the latest in the head.
    """
    shown = Map.of(cover)
    share = _at_once(program, reach(program, boxes), len(boxes))
    for start in range(0, len(boxes), share):
        positions = slice(start, min(len(boxes), start + share))
        yield positions, _logits(program, clean, gathered(shown, None, boxes.at(positions))).to(cover.dtype)


@torch.no_grad()
def _logits(program: Program, clean: Clean, patches: Crops) -> Float[Tensor, "m k"]:
    changed: dict[int, Any] = {program.image: patches}
    for instruction, done in zip(program.instructions, program.last_reads(), strict=True):
        _compute(program, instruction, changed, clean.map, len(patches.boxes))
        for number in done:
            changed.pop(number, None)
    return changed[program.output]


def _compute(program: Program, instruction: Instruction, changed: dict[int, Any], maps: Maps, count: int) -> None:
    """Run one instruction for `count` positions, on boxes if it can be confined to them, else on whole maps."""
    inputs = {number: changed[number] for number in instruction.inputs()}
    boxes = {number: one.boxes for number, one in inputs.items() if isinstance(one, Crops)}
    rule, first, number = rule_of(instruction), instruction.outputs[0], instruction.inputs()[0]
    if rule is not None and first is not None:
        reached = rule.reach(instruction, boxes, program.shapes)
        if reached is not None:
            changed[first] = rule.compute(instruction, inputs, reached, maps)
            return
    if number in boxes and _averages(instruction):
        store(changed, instruction, _updated_mean(maps(number), inputs[number], keep=instruction.given["keepdim"]))
        return
    for number in boxes:
        changed[number] = whole(maps(number), changed[number])
    store(changed, instruction, instruction.run(changed, count))


def _averages(instruction: Instruction) -> bool:
    """Return whether this is a mean over all pixels."""
    return instruction.name == "mean" and sorted(side % 4 for side in instruction.given.get("dim") or ()) == [2, 3]


def _updated_mean(clean: Map, crops: Crops, keep: bool) -> Tensor:
    """Return the mean over all pixels: that of the clean map plus the changes in the boxes."""
    before = gathered(clean, None, crops.boxes)
    means = clean.rows.mean(0).repeat(len(crops.boxes), 1)
    for (numbers, new), (_, old) in zip(crops.groups, before.groups, strict=True):
        means[torch.from_numpy(numbers)] += (new - old).sum((2, 3)) / len(clean.rows)
    return means[:, :, None, None] if keep else means


def _at_once(program: Program, reached: Mapping[int, Boxes], count: int) -> int:
    """Return the number of positions for which the input and output of every instruction fit into `MEMORY`."""

    def numbers(value: int) -> float:
        channels, *sides = program.shapes[value] or (1,)
        if value in reached:
            return channels * reached[value].area() / count
        return float(torch.Size((channels, *sides)).numel())

    most = max(
        sum(
            numbers(value)
            for value in {*instruction.inputs(), *(one for one in instruction.outputs if one is not None)}
        )
        for instruction in program.instructions
    )
    return max(1, min(count, int(MEMORY / (8 * most))))
