"""Follow one forward pass: every operation and every call of a module, in the order in which they run.

Operations are seen where torch dispatches them to its own set (ATen), below all Python of the network, so it makes no
difference whether a module, a function or a method called for them.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.core.errors import ModelError
from striate.tracing.meta import floating_type, meta_copy
from striate.tracing.operations import Window, arguments, window
from striate.tracing.shapes import infer

Shape = tuple[int, ...]


class EmptyMapError(ModelError):
    """A kernel is larger than the map that it slides over: nothing would be left of it."""


UNFOLLOWED = (RuntimeError, TypeError, ValueError, copy.Error, EmptyMapError)
"""Errors of copying a network to the meta device and running it there, if it needs data. Others are defects."""


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """A tensor at one moment of the pass; an operation in place makes a new value of the same tensor.

    `number` counts values in the order in which they appear; `shape` is that of the moment. `storage` identifies the
    memory, which views share. The tensor is kept, so that neither its identity nor its address is given to another.
    """

    number: int
    tensor: Tensor
    shape: torch.Size
    storage: int

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        return self.shape.numel()


@dataclass(eq=False, slots=True)
class ModuleCall:
    """One call of the module at `path`: its arguments as passed, and all tensors among them and in its output."""

    path: str
    module: nn.Module
    args: tuple[Any, ...]
    inputs: tuple[Value, ...]
    output: Any = None
    outputs: tuple[Value, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Operation:
    """One function of ATen, its arguments by name (defaults included) with values in the place of tensors.

    `inputs` are the values among the arguments; `outputs` has None for what is no tensor. `call` is the innermost
    module call that ran it, `window` the window with which it slides over a map.
    """

    function: Any
    given: dict[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value | None, ...]
    call: ModuleCall | None
    window: Window | None

    @property
    def results(self) -> list[Value]:
        """The outputs that are tensors."""
        return [value for value in self.outputs if value is not None]


@dataclass(frozen=True, slots=True)
class Entered:
    call: ModuleCall


@dataclass(frozen=True, slots=True)
class Left:
    call: ModuleCall


Event = Entered | Operation | Left


class Recorder(TorchDispatchMode):
    """Record the forward pass that runs within the `with` block; `events` are what happened, in order.

    `image` is the value of the input. On the meta device, shapes are inferred without loading torch's compiler, and a
    window that is larger than its map raises `EmptyMapError`.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.events: list[Event] = []
        self._values: dict[int, Value] = {}  # the current one of each tensor, by its identity
        self._running: list[ModuleCall] = []
        self._infers = images.is_meta
        self._count = 0
        self.image = self.value(images)

    @classmethod
    def of(cls, model: nn.Module, shape: tuple[int, int, int]) -> Recorder:
        """Record `model` on one image of `shape` (c, h, w): in eval mode, without data, without touching it.

        Raises:
            EmptyMapError: the image is so small that a map would be empty.
            Exception: what the network raises on the meta device.
        """
        copied, image = on_meta(model, shape)
        recorder = cls(image)
        recorder.run(copied, image)
        return recorder

    def run(self, network: nn.Module, images: Tensor) -> None:
        """Record `network`, with the calls of its modules. The hooks for these stay: pass a copy."""
        for path, module in network.named_modules():
            module.register_forward_pre_hook(functools.partial(self._enter, path), with_kwargs=True)
            module.register_forward_hook(self._leave)
        with torch.no_grad(), self:
            network(images)

    @property
    def operations(self) -> list[Operation]:
        return [event for event in self.events if isinstance(event, Operation)]

    @property
    def place(self) -> str:
        """The innermost running module, as the subject of a sentence."""
        running = self._running[-1] if self._running else None
        return f"Layer {running.path!r}" if running and running.path else "The network"

    def value(self, tensor: Tensor) -> Value:
        """Return the current value of `tensor`."""
        known = self._values.get(id(tensor))
        return self._new(tensor) if known is None else known

    def _enter(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        call = ModuleCall(path, module, args, tuple(map(self.value, tensors((args, kwargs)))))
        self._running.append(call)
        self.events.append(Entered(call))

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        call = self._running.pop()
        call.output, call.outputs = output, tuple(map(self.value, tensors(output)))
        self.events.append(Left(call))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch loads its compiler, only to keep it out

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = arguments(func, args, kwargs or {})
        inputs: list[Value] = []
        named = {name: self._named(argument, inputs) for name, argument in given.items()}
        slid = window(func, named)
        output = None
        if self._infers:
            if slid is not None and slid.empty:
                raise EmptyMapError(f"{self.place} {too_large(slid)}")
            output = infer(func, given)
        if output is None:
            output = func(*args, **(kwargs or {}))
        listed = output if isinstance(output, (list, tuple)) else (output,)
        outputs = tuple(self._new(one) if isinstance(one, Tensor) else None for one in listed)
        call = self._running[-1] if self._running else None
        self.events.append(Operation(func, named, tuple(inputs), outputs, call, slid))
        return output

    def _named(self, argument: Any, inputs: list[Value]) -> Any:
        """Put values in the place of tensors, and append them to `inputs`."""
        if isinstance(argument, Tensor):
            value = self.value(argument)
            inputs.append(value)
            return value
        if isinstance(argument, (list, tuple)):
            return type(argument)(self._named(item, inputs) for item in argument)
        return argument

    def _new(self, tensor: Tensor) -> Value:
        value = Value(self._count, tensor, tensor.shape, tensor.untyped_storage()._cdata)
        self._count += 1
        self._values[id(tensor)] = value
        return value


def on_meta(model: nn.Module, shape: tuple[int, int, int]) -> tuple[nn.Module, Tensor]:
    """Copy `model` to the meta device, and make one image of `shape` (c, h, w) for it."""
    return meta_copy(model), torch.empty(1, *shape, device="meta", dtype=floating_type(model))


def too_large(window: Window) -> str:
    """Return the end of a sentence about a window that does not fit into its map."""
    return f"has a kernel of {by(window.reach)}, larger than its input of {by(window.size)}."


def by(pair: tuple[int, int]) -> str:
    """Write a pair of numbers: 3×3."""
    return f"{pair[0]}×{pair[1]}"


def tensors(tree: Any) -> Iterator[Tensor]:
    """All tensors in `tree`, which may be nested in lists, tuples and dictionaries."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from tensors(item)
    elif isinstance(tree, Mapping):
        yield from tensors(list(tree.values()))
