"""List what runs in a network, by the names under which it can be captured."""

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
from striate.hooks.places import PlaceError


@dataclass(frozen=True)
class Ran:
    """An operation of a forward pass: its place ("relu:3") and the shape of what it gave.

    `changed` is whether it computed anything: dropout at rest gives back the very tensor that it was given. `module` is
    the path of the innermost module that ran it, "" for the whole network.
    """

    place: str
    shape: tuple[int, ...]
    changed: bool
    module: str

    @property
    def operation(self) -> str:
        return self.place.partition(":")[0]


def operations(model: nn.Module, images: Float[Tensor, "n c h w"]) -> tuple[Ran, ...]:
    """The operations that give one map each, in the order in which `model` runs them on `images`.

    Nothing is kept of them, and autograd does not record. `model` runs as it is: lend it with `borrow` first.

    Raises:
        PlaceError: a region of the network is scripted: what runs within cannot be counted.
    """
    with torch.no_grad(), listing(model) as ran:
        model(images)
    return tuple(ran)


@contextmanager
def listing(model: nn.Module) -> Iterator[list[Ran]]:
    """Within the block, list the operations of the last forward pass of `model` (see `operations`).

    Raises:
        PlaceError: a region of the network is scripted: what runs within cannot be counted.
    """
    network = eager(model)
    for path in scripted(network):
        raise PlaceError(
            f"Operations cannot be listed past {f'module {path!r}' if path else 'the network'}, which is scripted: "
            f"name the place (`at`), or use the network it was scripted from."
        )
    listed = _Listing()
    with eagerly(), watching(network, listed.begin, listed.end), ExitStack() as stack, listed:
        for path, module in modules_by_path(network).items():
            enter, leave = _passing(listed.modules, path)
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield listed.ran


def _passing(modules: list[str], path: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """Hooks that tell of a module's beginning and end."""

    def enter(module: nn.Module, given: Any) -> None:
        modules.append(path)

    def leave(module: nn.Module, given: Any, output: Any) -> None:
        modules.pop()

    return enter, leave


class _Listing(TorchFunctionMode):
    """Counts operations as `capture` does; `modules` are those that run, the innermost last."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[Ran] = []
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
            self.ran.append(Ran(f"{name}:{self._counts[name]}", tuple(output.shape), not same, self.modules[-1]))
        return output
