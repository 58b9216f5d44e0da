"""A model as a list of ATen functions for a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from striate.tracing import Window


@dataclass(frozen=True)
class Ref:
    """Placeholder among the arguments of an instruction for a value that depends on the images."""

    number: int


@dataclass(frozen=True)
class BatchSize:
    """Placeholder for a size that depends on the number of images n: slope · n + offset."""

    slope: int
    offset: int

    def at(self, images: int) -> int:
        return self.slope * images + self.offset


@dataclass(frozen=True)
class Instruction:
    """One ATen function and its arguments by name: `Ref` for values, `BatchSize` for sizes, and constants.

    `outputs` are the numbers of its results; None for results that are not tensors. `window` is the input of a
    convolution, pooling, padding or slice of maps for each output position.
    """

    function: Callable[..., Any]
    name: str
    given: Mapping[str, Any]
    outputs: tuple[int | None, ...]
    window: Window | None = None

    def inputs(self) -> list[int]:
        """Return the numbers of its input values, in the order of its arguments."""
        return [leaf.number for leaf in leaves(self.given) if isinstance(leaf, Ref)]

    def run(self, values: Mapping[int, Any], images: int) -> Any:
        """Compute its results from `values`, for a batch of `images` images."""

        def fill(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                return values[leaf.number]
            return leaf.at(images) if isinstance(leaf, BatchSize) else leaf

        return self.function(**mapped(self.given, fill))


@dataclass(frozen=True)
class Program:
    """Instructions in the order of execution; `image` and `output` are the numbers of the images and of the logits.

    `shapes` are the shapes of the values for one image, without the batch.
    """

    instructions: tuple[Instruction, ...]
    image: int
    output: int
    shapes: Mapping[int, tuple[int, ...]]

    def run(self, images: Tensor) -> dict[int, Tensor]:
        """Compute all values for these images, by number."""
        values: dict[int, Tensor] = {self.image: images}
        for instruction in self.instructions:
            store(values, instruction, instruction.run(values, len(images)))
        return values

    def logits(self, images: Tensor) -> Tensor:
        """Compute the logits; release each value after its last use."""
        values: dict[int, Tensor] = {self.image: images}
        for instruction, done in zip(self.instructions, self.last_reads(), strict=True):
            store(values, instruction, instruction.run(values, len(images)))
            for number in done:
                del values[number]
        return values[self.output]

    def last_reads(self) -> list[list[int]]:
        """List, for each instruction, the values that no later instruction reads."""
        seen = {self.output}
        found: list[list[int]] = []
        for instruction in reversed(self.instructions):
            met = {*instruction.inputs(), *(one for one in instruction.outputs if one is not None)}
            found.append(sorted(met - seen))
            seen |= met
        return found[::-1]

    def readers(self) -> dict[int, list[Instruction]]:
        """Map each value to the instructions that read it."""
        found: dict[int, list[Instruction]] = {number: [] for number in self.shapes}
        for instruction in self.instructions:
            for number in dict.fromkeys(instruction.inputs()):
                found[number].append(instruction)
        return found

    def needed(self) -> Program:
        """Return the program without instructions that do not affect the logits."""
        wanted, kept = {self.output}, []
        for instruction in reversed(self.instructions):
            if wanted.intersection(instruction.outputs):
                wanted.update(instruction.inputs())
                kept.append(instruction)
        return Program(tuple(reversed(kept)), self.image, self.output, self.shapes)


def store(values: MutableMapping[int, Any], instruction: Instruction, results: Any) -> None:
    """Store the results of `instruction` in `values`."""
    listed = results if isinstance(results, (tuple, list)) else (results,)
    for number, value in zip(instruction.outputs, listed, strict=True):
        if number is not None:
            values[number] = value


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Apply `change` to every leaf of a tree of tuples, lists and dictionaries."""
    if isinstance(tree, (tuple, list)):
        return type(tree)(mapped(item, change) for item in tree)
    if isinstance(tree, Mapping):
        return {key: mapped(value, change) for key, value in tree.items()}
    return change(tree)


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves of a tree of tuples, lists and dictionaries, in order."""
    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, Mapping):
        yield from leaves(list(tree.values()))
    else:
        yield tree
