"""List the operations that run in a network, by the names under which they can be captured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from striate.hooks._compiled import eager, eagerly, modules_by_path, scripted, watching
from striate.hooks._inplace import version, versions
from striate.hooks._names import computed, operation
from striate.hooks._places import PlaceError


@dataclass(frozen=True)
class OperationRecord:
    """An operation of a forward pass: its place ("relu:3") and the shape of its output.

    `changed` is whether it computed anything: dropout in eval mode returns its input tensor. `module` is the path of
    the innermost module that ran it, "" for the whole network.
    """

    place: str
    shape: tuple[int, ...]
    changed: bool
    module: str

    @property
    def operation(self) -> str:
        return self.place.partition(":")[0]


def operations(model: nn.Module, images: Float[Tensor, "n c h w"]) -> tuple[OperationRecord, ...]:
    """List the operations that return one map each, in the order in which `model` runs them on `images`.

    No values are kept, and autograd does not record. `model` runs in its current mode: `borrow` it first.

    Raises:
        PlaceError: a region of the network is scripted, so that its operations cannot be counted.
    """
    with torch.no_grad(), listing(model) as ran:
        model(images)
    return tuple(ran)


@contextmanager
def listing(model: nn.Module) -> Iterator[list[OperationRecord]]:
    """Within the block, list the operations of the last forward pass of `model` (see `operations`).

    Raises:
        PlaceError: a region of the network is scripted, so that its operations cannot be counted.
    """
    network = eager(model)
    for path in scripted(network):
        raise PlaceError(
            f"Operations cannot be listed past {f'module {path!r}' if path else 'the network'}, which is scripted: "
            f"name the place (`at`), or use the network before scripting."
        )
    listed = _Listing()
    with eagerly(), watching(network, listed.begin, listed.end), ExitStack() as stack, listed:
        for path, module in modules_by_path(network).items():
            enter, leave = _passing(listed.modules, path)
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield listed.ran


def _passing(modules: list[str], path: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return hooks that add a module's path to the running ones and remove it."""

    def enter(module: nn.Module, given: Any) -> None:
        modules.append(path)

    def leave(module: nn.Module, given: Any, output: Any) -> None:
        modules.pop()

    return enter, leave


class _Listing(TorchFunctionMode):
    """Count operations as `capture` does; `modules` are the running ones, the innermost last."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[OperationRecord] = []
        self.modules = [""]
        self._counts: Counter[str] = Counter()
        self._running = False

    def begin(self) -> None:
        self.ran.clear()
        self.modules[1:] = []
        self._counts.clear()
        self._running = True

    def end(self) -> None:
        self._running = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        before = versions(args, kwargs) if self._running else []
        output = func(*args, **kwargs)
        name = operation(func, args, kwargs)
        if not self._running or not name or not computed(output):
            return output
        self._counts[name] += 1
        if isinstance(output, Tensor):
            same = any(tensor is output and found == version(output) for tensor, found in before)
            self.ran.append(
                OperationRecord(f"{name}:{self._counts[name]}", tuple(output.shape), not same, self.modules[-1])
            )
        return output
