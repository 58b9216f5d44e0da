"""Keep the activations of places in a network, and the gradients that reach them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from striate.hooks._compiled import eager, eagerly, watching
from striate.hooks._inplace import tap, version, versions
from striate.hooks._names import computed, operation
from striate.hooks._places import Operation, PlaceError, find


class Reached(Exception):  # noqa: N818 – not an error: it ends a forward pass early
    """Every place of `capture(…, stop=True)` has been computed."""


class Captured:
    """The activations of the last forward pass by the names of their places, within autograd's graph.

    `names` are those names, each once, in their order.
    """

    def __init__(self, names: Sequence[str], *, stop: bool = False) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._stop = stop
        self._begin()
        self._end()

    def __getitem__(self, name: str) -> Tensor:
        """Return the value of place `name`, as it was before any later operation changed it in place.

        Raises:
            PlaceError: `name` was not captured, did not run, ran more than once, or was changed by a hidden operation.
        """
        if name not in self.names:
            raise PlaceError(f"Place {name!r} was not captured; received the places {', '.join(self.names)}.")
        calls = self._calls[name]
        if calls == 0:
            raise PlaceError(f"Place {name!r} did not run in the block. {self._operations_seen()}")
        if calls > 1:
            raise PlaceError(
                f"Place {name!r} ran {calls} times in one forward pass: name the operation meant. "
                f"{self._operations_seen()}"
            )
        kept, found = self._kept[name]
        if version(kept) != found:
            raise PlaceError(
                f"Place {name!r} was changed in place by a hidden operation after it was captured: its value is lost."
            )
        return kept

    def gradient(self, name: str) -> Tensor:
        """Return the gradient of place `name` in the last backward pass, of the same shape as its activation.

        Raises:
            PlaceError: no gradient reached it, or the activation itself cannot be returned.
        """
        _ = self[name]
        if name not in self._gradients:
            raise PlaceError(
                f"No gradient reached place {name!r}: call backward() or torch.autograd.grad on a score that depends "
                f"on it."
            )
        return self._gradients[name]

    def _begin(self) -> None:
        """Start a forward pass: drop the values of the one before."""
        self._running = True
        self._recording = torch.is_grad_enabled()
        self._calls: Counter[str] = Counter()
        self._kept: dict[str, tuple[Tensor, int]] = {}
        self._gradients: dict[str, Tensor] = {}
        self._operations: Counter[str] = Counter()

    def _end(self) -> None:
        self._running = False

    def _keep(self, name: str, output: Any, before: Sequence[tuple[Tensor, int]]) -> Any:
        """Keep the output of a place; return the tensor with which the network continues."""
        if not self._running:
            return output
        if not isinstance(output, Tensor):
            raise PlaceError(
                f"Place {name!r} must return one map; it returns {type(output).__name__}: name a place within or "
                f"after it."
            )
        self._calls[name] += 1
        if self._calls[name] > 1:
            return output
        with torch._C.DisableTorchFunction():  # not an operation of the network
            kept, onward = tap(output, before, recording=self._recording)
            self._kept[name] = kept, version(kept)
            if kept.requires_grad:
                # The hook must not hold the tensor, which would be a reference cycle.
                gradients = self._gradients
                kept.register_hook(lambda gradient: gradients.__setitem__(name, gradient.detach()))
        if self._stop and all(self._calls[each] for each in self.names):
            raise Reached
        return onward

    def _operations_seen(self) -> str:
        """Return a sentence that lists the operations that ran, if they were counted."""
        if not self._operations:
            return "Operations are named as 'relu:3', the third ReLU of a forward pass."
        ran = ", ".join(f"{name}:1" if count == 1 else f"{name}:1…{count}" for name, count in self._operations.items())
        return f"These ran: {ran}."


@contextmanager
def capture(model: nn.Module, names: Sequence[str], *, stop: bool = False) -> Iterator[Captured]:
    """Within the block, keep the activations of the named places whenever `model` is called.

        with capture(model, ["stage3", "relu:2"]) as captured:
            logits = model(images)
        gradient, = torch.autograd.grad(logits[:, 3].sum(), captured["stage3"])

    A name is that of a declared feature map, the path of a module, or an operation that the network's Python calls,
    counted in a forward pass from 1: "relu:3" is the third ReLU, whether module, function, method or in place, "add:2"
    the second sum. Operations within one function of torch (the products in `F.multi_head_attention_forward`, for
    example) or in a scripted function have no names of their own and are not counted.

    A value is that of the place itself, even if the next operation overwrites it: the network continues with a copy, so
    each place costs one copy of its map. Where autograd records and nothing before a place needs a gradient, the graph
    begins at the place, so that with frozen parameters only what follows is recorded. It likewise begins at the last
    place of a part that the network itself runs under `torch.no_grad`.

    With `stop`, a forward pass raises `Reached` as soon as all places have been computed: the layers that follow need
    not fit the image. Whether a place would run again is then not known.

    Compiled regions run as the Python they were compiled from. Call `model` itself, not a part of it.

    Raises:
        PlaceError: a place does not exist, lies within a scripted region, or its value is not one map.
    """
    network = eager(model)
    captured = Captured(names, stop=stop)
    wanted: dict[Operation, str] = {}
    with ExitStack() as stack:
        stack.enter_context(eagerly())
        stack.enter_context(watching(network, captured._begin, captured._end))
        for name, place in zip(captured.names, find(network, captured.names), strict=True):
            if isinstance(place, Operation):
                wanted[place] = name
            else:
                _hook(place, name, captured, stack)
        if wanted:
            stack.enter_context(_Operations(captured, wanted))
        yield captured


def _hook(module: nn.Module, name: str, captured: Captured, stack: ExitStack) -> None:
    """Keep the output of `module` until `stack` is closed."""
    before: list[tuple[Tensor, int]] = []

    def begin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        before[:] = versions(args, kwargs)

    def end(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        onward = captured._keep(name, output, before)
        before.clear()
        return onward

    stack.callback(module.register_forward_pre_hook(begin, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(end, with_kwargs=True).remove)


class _Operations(TorchFunctionMode):
    """Count the operations of each forward pass and keep the wanted ones."""

    def __init__(self, captured: Captured, wanted: Mapping[Operation, str]) -> None:
        super().__init__()
        self._captured = captured
        self._wanted = wanted
        self._names = {place.name for place in wanted}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._captured._running:
            return func(*args, **kwargs)
        name = operation(func, args, kwargs)
        before = versions(args, kwargs) if name in self._names else []
        output = func(*args, **kwargs)
        if not name or not computed(output):
            return output
        self._captured._operations[name] += 1
        asked = self._wanted.get(Operation(name, self._captured._operations[name]))
        return output if asked is None else self._captured._keep(asked, output, before)
