"""Record a model as a program, from two forward passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.occluding.incremental.program import BatchSize, Instruction, Program, Ref, mapped
from striate.explaining.occluding.incremental.rules import window_of
from striate.tracing import Operation, Recorder, Value

_UNREPEATABLE = {
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
    torch.Tag.nondeterministic_seeded,
}
# The program may store maps in another memory layout, so these operations must not depend on it.
_LAYOUT_FREE: dict[Any, Any] = {
    torch.ops.aten.view.default: torch.ops.aten.reshape.default,
    torch.ops.aten._unsafe_view.default: torch.ops.aten.reshape.default,
}


class UntraceableError(Exception):
    """The model cannot be recorded as a program. The message is the end of a sentence."""


@torch.no_grad()
def record(model: nn.Module, image: Float[Tensor, "1 c h w"]) -> Program:
    """Record the operations of `model` on an image as a program for batches of any size.

    The model runs twice, on one image and on two: sizes among the arguments that differ between the two runs depend on
    the batch. Values that do not depend on the image, such as a normalized weight, are stored as constants. An
    in-place operation is recorded as its out-of-place variant.

    Raises:
        UntraceableError: a decision in the model depends on the image's content, or the model draws random numbers,
            changes a tensor through a view of it, or does not return one tensor.
    """
    one, two = (_Writer(model, image.repeat(count, 1, 1, 1)) for count in (1, 2))
    if len(one.instructions) != len(two.instructions) or one.output != two.output:
        raise UntraceableError("it runs other operations for another number of images")
    instructions = tuple(_joined(*pair) for pair in zip(one.instructions, two.instructions, strict=True))
    return Program(instructions, one.image, one.output, one.shapes).needed()


class _Writer:
    """Instructions of one forward pass; values have the numbers of its record."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        recorder = Recorder(images)
        with recorder:
            answer = model(images)
        self.instructions: list[Instruction] = []
        self.shapes: dict[int, tuple[int, ...]] = {}
        self._dependent: set[Value] = set()
        self._sharing: dict[int, set[int]] = defaultdict(set)  # dependent tensors by storage
        self._overwritten: set[int] = set()  # tensors changed through another tensor
        self.image = self._add(recorder.image)
        for operation in recorder.operations:
            if not self._dependent.isdisjoint(operation.inputs):
                self._write(operation)
        if not isinstance(answer, Tensor) or recorder.value(answer) not in self._dependent:
            raise UntraceableError("it does not return one tensor that depends on the images")
        self.output = self._read(recorder.value(answer)).number

    def _write(self, operation: Operation) -> None:
        function = operation.function
        if _UNREPEATABLE.intersection(function.tags) or function is torch.ops.aten.as_strided.default:
            raise UntraceableError(f"{function} depends on more than shapes")
        given = mapped(operation.given, self._read)
        written = [
            operation.given[argument.name]
            for argument in function._schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        twin: Any = _out_of_place(function, written) if written else _LAYOUT_FREE.get(function, function)
        for value in written:
            self._overwrite(value)
        outputs = tuple(None if value is None else self._add(value) for value in operation.outputs)
        names = (argument.name for argument in twin._schema.arguments)
        self.instructions.append(
            Instruction(
                twin,
                twin._schema.name.split("::")[1],
                dict(zip(names, given.values(), strict=False)),
                outputs,
                window_of(operation),
            )
        )

    def _read(self, leaf: Any) -> Any:
        if not isinstance(leaf, Value):
            return leaf
        if leaf not in self._dependent:
            return leaf.tensor
        if id(leaf.tensor) in self._overwritten:
            raise UntraceableError("it changes a tensor through another that shares its memory")
        return Ref(leaf.number)

    def _add(self, value: Value) -> int:
        self._dependent.add(value)
        self.shapes[value.number] = tuple(value.shape[1:])
        self._sharing[value.storage].add(id(value.tensor))
        return value.number

    def _overwrite(self, value: Value) -> None:
        if value not in self._dependent:
            raise UntraceableError("it writes what depends on the image into a tensor that does not")
        self._overwritten |= self._sharing[value.storage] - {id(value.tensor)}


def _out_of_place(function: Any, written: list[Any]) -> Callable[..., Any]:
    """Return the out-of-place variant of an in-place operation."""
    name, overload = function._schema.name.split("::")[1], function._overloadname
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None)
    if not name.endswith("_") or len(written) != 1 or overload not in getattr(packet, "overloads", list)():
        raise UntraceableError(f"{function} writes in place")
    return getattr(packet, overload)


def _joined(one: Instruction, other: Instruction) -> Instruction:
    """Merge the instructions recorded for one image and for two images into one for batches of any size."""
    if one.function is not other.function or one.outputs != other.outputs:
        raise UntraceableError("it runs other operations for another number of images")
    return Instruction(one.function, one.name, _merged(one.given, other.given), one.outputs, one.window)


def _merged(one: Any, other: Any) -> Any:
    """Merge arguments recorded for one image with those for two images."""
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)) and len(one) == len(other):
        return type(one)(_merged(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {key: _merged(one[key], other[key]) for key in one}
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one is other or (one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)):
            return one
    elif type(one) is type(other) and one == other:
        return one
    elif type(one) is int and type(other) is int:
        return BatchSize(other - one, one - (other - one))
    raise UntraceableError("an argument changes with the number of images")
