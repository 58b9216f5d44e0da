"""A network as the list of operations that it runs on a batch of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Ref:
    """Stands among the arguments of an operation for a value that depends on the pictures."""

    number: int


@dataclass(frozen=True)
class Batch:
    """Stands for a size that depends on the number of pictures n: slope · n + offset."""

    slope: int
    offset: int

    def at(self, pictures: int) -> int:
        return self.slope * pictures + self.offset


@dataclass(frozen=True)
class Operation:
    """One function of torch's own set (ATen), with `Ref` for values, `Batch` for sizes, and constants as they are.

    `outputs` are the numbers of what it gives; None for what is no tensor.
    """

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[int | None, ...]

    def inputs(self) -> list[int]:
        """The numbers of the values that it reads, in the order of its arguments."""
        return [leaf.number for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Ref)]

    def run(self, values: Mapping[int, Any], pictures: int) -> Any:
        """What it gives, reading `values`, for a batch of so many pictures."""

        def fill(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                return values[leaf.number]
            return leaf.at(pictures) if isinstance(leaf, Batch) else leaf

        return self.function(*mapped(self.args, fill), **mapped(self.kwargs, fill))


@dataclass(frozen=True)
class Program:
    """Operations in the order in which they run; value 0 is the pictures, value `output` the logits.

    `shapes` are those of the values for one picture, the batch left out.
    """

    operations: tuple[Operation, ...]
    output: int
    shapes: Mapping[int, tuple[int, ...]]

    def run(self, images: Tensor) -> dict[int, Tensor]:
        """Every value for these pictures, by its number."""
        values: dict[int, Tensor] = {0: images}
        for operation in self.operations:
            store(values, operation, operation.run(values, len(images)))
        return values

    def logits(self, images: Tensor) -> Tensor:
        """The answer alone: no value is held longer than it is read."""
        values: dict[int, Tensor] = {0: images}
        for operation, done in zip(self.operations, self.last_reads(), strict=True):
            store(values, operation, operation.run(values, len(images)))
            for number in done:
                del values[number]
        return values[self.output]

    def last_reads(self) -> list[list[int]]:
        """For each operation, the values that nobody reads after it."""
        seen = {self.output}
        found: list[list[int]] = []
        for operation in reversed(self.operations):
            met = {*operation.inputs(), *(one for one in operation.outputs if one is not None)}
            found.append(sorted(met - seen))
            seen |= met
        return found[::-1]

    def readers(self) -> dict[int, list[Operation]]:
        """The operations that read each value."""
        found: dict[int, list[Operation]] = {number: [] for number in self.shapes}
        for operation in self.operations:
            for number in dict.fromkeys(operation.inputs()):
                found[number].append(operation)
        return found

    def needed(self) -> Program:
        """The same without the operations on which the logits do not depend."""
        wanted, kept = {self.output}, []
        for operation in reversed(self.operations):
            if wanted.intersection(operation.outputs):
                wanted.update(operation.inputs())
                kept.append(operation)
        return Program(tuple(reversed(kept)), self.output, self.shapes)


def store(values: MutableMapping[int, Any], operation: Operation, given: Any) -> None:
    """Put what `operation` has given into `values`."""
    for number, value in zip(operation.outputs, given if isinstance(given, (tuple, list)) else (given,), strict=True):
        if number is not None:
            values[number] = value


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """`tree` of tuples, lists and dictionaries with every leaf changed."""
    if isinstance(tree, (tuple, list)):
        return type(tree)(mapped(item, change) for item in tree)
    if isinstance(tree, Mapping):
        return {key: mapped(value, change) for key, value in tree.items()}
    return change(tree)


def leaves(tree: Any) -> Iterator[Any]:
    """Everything in `tree` that is no tuple, list or dictionary, in order."""
    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, Mapping):
        yield from leaves(list(tree.values()))
    else:
        yield tree
