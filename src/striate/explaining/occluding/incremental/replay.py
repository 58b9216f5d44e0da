"""Run a network again under every patch, computing only what the patch can reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.occluding.incremental.boxes import Boxes
from striate.explaining.occluding.incremental.crops import Crops, Map, gathered, whole
from striate.explaining.occluding.incremental.program import Operation, Program, store
from striate.explaining.occluding.incremental.rules import Maps, rule_of

MEMORY = 256 * 2**20
"""Bytes that the largest changed values of one go may take, with what they are computed from."""


def reach(program: Program, boxes: Boxes) -> dict[int, Boxes]:
    """The boxes of every value that patches in `boxes` change only within boxes; the other values change as a whole."""
    found = {0: boxes}
    readers = program.readers()
    for operation in program.operations:
        rule, (first, *others) = rule_of(operation), operation.outputs
        if rule is None or first is None or any(readers.get(one or -1) for one in others):
            continue
        reached = rule.reach(operation, found, program.shapes)
        if reached is not None:
            found[first] = reached
    return found


@dataclass(frozen=True, eq=False)
class Clean:
    """What a network computes for a picture as it is: the views of its values from which changed ones are made."""

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
    """The logits under a patch in each of `boxes` that shows `cover` there, a share of the positions at a time.

    A value that is not confined to boxes is made whole, and so is everything after it: at the latest the head.
    """
    shown = Map.of(cover)
    share = _at_once(program, reach(program, boxes), len(boxes))
    for start in range(0, len(boxes), share):
        positions = slice(start, min(len(boxes), start + share))
        yield positions, _logits(program, clean, gathered(shown, None, boxes.at(positions))).to(cover.dtype)


@torch.no_grad()
def _logits(program: Program, clean: Clean, patches: Crops) -> Float[Tensor, "m k"]:
    changed: dict[int, Any] = {0: patches}
    for operation, done in zip(program.operations, program.last_reads(), strict=True):
        _compute(program, operation, changed, clean.map, len(patches.boxes))
        for number in done:
            changed.pop(number, None)
    return changed[program.output]


def _compute(program: Program, operation: Operation, changed: dict[int, Any], maps: Maps, count: int) -> None:
    """One operation for `count` positions, on boxes where it can be confined to them, else on whole maps."""
    inputs = {number: changed[number] for number in operation.inputs()}
    boxes = {number: one.boxes for number, one in inputs.items() if isinstance(one, Crops)}
    rule, first, number = rule_of(operation), operation.outputs[0], operation.inputs()[0]
    if rule is not None and first is not None:
        reached = rule.reach(operation, boxes, program.shapes)
        if reached is not None:
            changed[first] = rule.compute(operation, inputs, reached, maps)
            return
    if number in boxes and _averages(operation):
        store(changed, operation, _updated_mean(maps(number), inputs[number], keep=operation.args[2:3] == (True,)))
        return
    for number in boxes:
        changed[number] = whole(maps(number), changed[number])
    store(changed, operation, operation.run(changed, count))


def _averages(operation: Operation) -> bool:
    """Whether this is a mean over all pixels."""
    return operation.name == "mean" and sorted(side % 4 for side in operation.args[1] or ()) == [2, 3]


def _updated_mean(clean: Map, crops: Crops, keep: bool) -> Tensor:
    """The mean over all pixels: that of the clean map, and what its boxes have changed since."""
    before = gathered(clean, None, crops.boxes)
    means = clean.rows.mean(0).repeat(len(crops.boxes), 1)
    for (numbers, new), (_, old) in zip(crops.groups, before.groups, strict=True):
        means[torch.from_numpy(numbers)] += (new - old).sum((2, 3)) / len(clean.rows)
    return means[:, :, None, None] if keep else means


def _at_once(program: Program, reached: Mapping[int, Boxes], count: int) -> int:
    """For how many positions an operation's input and output fit into `MEMORY`."""

    def numbers(value: int) -> float:
        channels, *sides = program.shapes[value] or (1,)
        if value in reached:
            return channels * reached[value].area() / count
        return float(torch.Size((channels, *sides)).numel())

    most = max(
        sum(numbers(value) for value in {*operation.inputs(), *(one for one in operation.outputs if one is not None)})
        for operation in program.operations
    )
    return max(1, min(count, int(MEMORY / (8 * most))))
