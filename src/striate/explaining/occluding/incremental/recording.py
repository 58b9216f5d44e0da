"""Write down the operations of any network, by watching them run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.explaining.occluding.incremental.program import Batch, Operation, Program, Ref, leaves, mapped

_UNREPEATABLE = {
    torch.Tag.data_dependent_output,
    torch.Tag.dynamic_output_shape,
    torch.Tag.nondeterministic_seeded,
}
# Where the maps will lie otherwise in memory, these must not ask how they lay.
_LAYOUT_FREE: dict[Any, Any] = {
    torch.ops.aten.view.default: torch.ops.aten.reshape.default,
    torch.ops.aten._unsafe_view.default: torch.ops.aten.reshape.default,
}


class UntraceableError(Exception):
    """A network that cannot be written down as a list of operations. Its user never sees this: the whole is run."""


@torch.no_grad()
def record(model: nn.Module, image: Float[Tensor, "1 c h w"]) -> Program:
    """The operations that `model` runs on a picture, for batches of any size.

    They are seen where torch dispatches them, below all Python of the network: modules, functions, methods, scripted
    regions are alike there. The network runs twice, on one picture and on two: sizes among the arguments that differ
    between the two follow the batch. What does not depend on the picture, such as a weight that is normalized first,
    is kept as it was computed. An operation in place is written down as its twin that is not.

    Raises:
        UntraceableError: a decision in the network depends on what is in the picture, it draws random numbers, changes
            a tensor through a view of it, or its answer is not one tensor.
    """
    one, two = (_Recorder.watch(model, image.repeat(count, 1, 1, 1)) for count in (1, 2))
    if len(one.operations) != len(two.operations) or one.answer != two.answer:
        raise UntraceableError("other operations for another number of pictures")
    operations = tuple(_joined(*pair) for pair in zip(one.operations, two.operations, strict=True))
    return Program(operations, one.answer, one.shapes).needed()


class _Recorder(TorchDispatchMode):
    """Hears every operation of one forward pass.

    Tensors are known by identity, so those that depend on the picture are held until the pass has ended.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.answer = 0
        self._held: list[Tensor] = []
        self._numbers: dict[int, int] = {}  # of each tensor that depends on the pictures, by its identity
        self._sharing: dict[int, set[int]] = defaultdict(set)  # by the address of a storage, tensors that lie in it
        self._overwritten: set[int] = set()
        self._number(images)

    @classmethod
    def watch(cls, model: nn.Module, images: Tensor) -> _Recorder:
        recorder = cls(images)
        with recorder:
            answer = model(images)
        if not isinstance(answer, Tensor) or id(answer) not in recorder._numbers:
            raise UntraceableError("the answer is not one tensor that depends on the pictures")
        recorder.answer = recorder._read(answer).number
        return recorder

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not any(id(tensor) in self._numbers for tensor in given):
            return func(*args, **kwargs)
        if _UNREPEATABLE.intersection(func.tags) or func is torch.ops.aten.as_strided.default:
            raise UntraceableError(f"{func} depends on more than shapes")
        asked, named = mapped(args, self._read), mapped(kwargs, self._read)
        written = [
            args[place] if place < len(args) else kwargs[argument.name]
            for place, argument in enumerate(func._schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        twin: Callable[..., Any] = _out_of_place(func, written) if written else _LAYOUT_FREE.get(func, func)
        output = func(*args, **kwargs)
        for tensor in written:
            self._overwrite(tensor)
        outputs = tuple(self._number(one) for one in (output if isinstance(output, (tuple, list)) else (output,)))
        self.operations.append(Operation(twin, _plain_name(twin), asked, named, outputs))
        return output

    def _read(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or id(leaf) not in self._numbers:
            return leaf
        if id(leaf) in self._overwritten:
            raise UntraceableError("a tensor was changed through another that shares its memory")
        return Ref(self._numbers[id(leaf)])

    def _number(self, output: Any) -> int | None:
        """Give a tensor that depends on the pictures its number; a new one if it was changed in place."""
        if not isinstance(output, Tensor):
            return None
        number = len(self.shapes)
        self._numbers[id(output)] = number
        self.shapes[number] = tuple(output.shape[1:])
        self._held.append(output)
        self._sharing[output.untyped_storage().data_ptr()].add(id(output))
        return number

    def _overwrite(self, tensor: Tensor) -> None:
        if id(tensor) not in self._numbers:
            raise UntraceableError("what depends on the picture is written into a tensor that does not")
        self._overwritten |= self._sharing[tensor.untyped_storage().data_ptr()] - {id(tensor)}


def _out_of_place(function: Any, written: list[Any]) -> Callable[..., Any]:
    """The twin of an operation in place that gives a new tensor."""
    name, overload = function._schema.name.split("::")[1], function._overloadname
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None)
    if not name.endswith("_") or len(written) != 1 or overload not in getattr(packet, "overloads", list)():
        raise UntraceableError(f"{function} writes in place")
    return getattr(packet, overload)


def _plain_name(function: Any) -> str:
    return function._schema.name.split("::")[1]


def _joined(one: Operation, other: Operation) -> Operation:
    """One operation for batches of any size, of those recorded for one picture and for two."""
    if one.function is not other.function or one.outputs != other.outputs:
        raise UntraceableError("other operations for another number of pictures")
    return Operation(
        one.function, one.name, _merged(one.args, other.args), _merged(one.kwargs, other.kwargs), one.outputs
    )


def _merged(one: Any, other: Any) -> Any:
    """Arguments of the recording with one picture, laid beside those with two."""
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
        return Batch(other - one, one - (other - one))
    raise UntraceableError("an argument changes with the number of pictures")
