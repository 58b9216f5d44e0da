"""What may be changed in a network without changing what it computes, proved by one forward pass without data.

Nothing is guessed from names or from the order in which modules were registered. One forward pass of a shadow without
data is followed operation by operation: a norm may be folded where it alone reads what a convolution gave, each of the
two runs once, and nothing else reads the convolution's weights; an activation or a sum may work in place where it alone
reads a value that nothing else shares. Where the pass cannot be followed without data, nothing may be changed, and the
reason is kept.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.layers import Add, Conv2dSame, LayerScale, Pointwise
from striate.models._meta import shadow
from striate.models._operations import CONVOLUTION, arguments, aten
from striate.models._shapes import sketched
from striate.models._trace import floating_type

# By their exact classes: what a class derived from these does to its weights is not known.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, Conv2dSame, Pointwise)
_LINES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, LayerScale)
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.ELU)
# What writes a value of its own, however its arguments lie in memory. (A copy for the sake of order may be none.)
_WRITING = {
    CONVOLUTION,
    aten.native_batch_norm.default,
    aten.add.Tensor,
    aten.mul.Tensor,
    aten.addmm.default,
    aten.cat.default,
}
# What a forward pass without data, or a copy, raises where it needs what is not there. Other exceptions are defects.
_UNFOLLOWED = (RuntimeError, TypeError, ValueError, copy.Error)


@dataclass(frozen=True)
class Changes:
    """What may be changed in a network, by the paths of its modules: (convolution, its norm), activations, and sums.

    `reason` says why nothing could be found out, where that is so.
    """

    folded: tuple[tuple[str, str], ...] = ()
    in_place: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.folded or self.in_place or self.summed)


def find_changes(model: nn.Module, shape: tuple[int, int, int]) -> Changes:
    """What may be changed in `model` for images of `shape` (c, h, w), found by one forward pass on the meta device."""
    if not any(type(module) in (*_LINES, *_ACTIVATIONS, Add) for module in model.modules()):
        return Changes()
    try:
        copied = shadow(model)
        followed = _Followed()
        for path, module in copied.named_modules():
            module.register_forward_pre_hook(followed.enter(path))
            module.register_forward_hook(followed.leave(path))
        image = torch.empty(1, *shape, device="meta", dtype=floating_type(model))
        with torch.no_grad(), followed:
            answer = copied(image)
    except _UNFOLLOWED as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        return Changes(reason=f"a forward pass without data failed ({type(error).__name__}: {said})")
    followed.read_outside(answer)
    modules = dict(copied.named_modules())
    kinds = {path: type(module) for path, module in modules.items() if "forward" not in vars(module)}
    lines = [path for path, kind in kinds.items() if kind in _LINES and _is_line(modules[path])]
    pairs = ((followed.maker_before(path), path) for path in lines)
    return Changes(
        tuple(
            (maker, line)
            for maker, line in pairs
            if maker is not None
            and kinds.get(maker) in _CONVOLUTIONS
            and followed.alone_reads(maker, modules[maker].parameters(recurse=False))
        ),
        tuple(path for path, kind in kinds.items() if kind in _ACTIVATIONS and followed.owns_its_input(path)),
        tuple(path for path, kind in kinds.items() if kind is Add and followed.owns_its_input(path)),
    )


def _is_line(norm: Any) -> bool:
    """Whether a norm has statistics of its own to use; without, it takes those of the batch."""
    return isinstance(norm, LayerScale) or norm.running_mean is not None


@dataclass
class _Calls:
    """What one module was given by position, and what it gave, in the order of its calls."""

    given: list[tuple[Any, ...]] = field(default_factory=list)
    gave: list[Any] = field(default_factory=list)


class _Followed(TorchDispatchMode):
    """Follows one forward pass: which value each module was given and gave, and which modules' operations read it."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[str, _Calls] = defaultdict(_Calls)
        self._running: list[str] = []
        self._readers: dict[int, set[str]] = defaultdict(set)
        self._makers: dict[int, str] = {}
        self._written: set[int] = set()
        self._sharing: dict[int, set[int]] = defaultdict(set)  # the values that lie in one storage
        self._storage_readers: dict[int, set[str]] = defaultdict(set)
        self._alive: list[Any] = []  # so that no identity is given twice

    def enter(self, path: str) -> Any:
        def begin(module: nn.Module, args: tuple[Any, ...]) -> None:
            self._calls[path].given.append(args)
            self._running.append(path)

        return begin

    def leave(self, path: str) -> Any:
        def end(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._calls[path].gave.append(output)
            self._makers.setdefault(id(output), path)  # the innermost ends first
            self._alive.append(output)
            self._running.pop()

        return end

    def read_outside(self, answer: Any) -> None:
        """Note that what the network gives is read by others."""
        for tensor in _tensors([answer]):
            self._readers[id(tensor)].add("")
            self._storage_readers[_storage(tensor)].add("")

    def maker_before(self, path: str) -> str | None:
        """The path of the module that ran once and made what this module alone reads; None where there is none."""
        value = self._first_input(path)
        maker = None if value is None else self._makers.get(id(value))
        return maker if maker is not None and len(self._calls[maker].gave) == 1 else None

    def owns_its_input(self, path: str) -> bool:
        """Whether nothing but this module can see the first value it is given, and an operation wrote it."""
        value = self._first_input(path)
        return value is not None and id(value) in self._written and self._sharing[_storage(value)] == {id(value)}

    def alone_reads(self, path: str, parameters: Iterable[nn.Parameter]) -> bool:
        """Whether only operations of the module at `path` read these parameters, be it through a view."""
        return all(self._storage_readers[_storage(parameter)] <= {path} for parameter in parameters)

    def _first_input(self, path: str) -> Tensor | None:
        """What the module was given first, if it ran once and alone read it; all that it was given is of one form."""
        calls = self._calls[path]
        values = list(calls.given[0]) if len(calls.given) == 1 else []
        if not all(isinstance(value, Tensor) for value in values):
            return None
        if len({(value.shape, value.dtype) for value in values}) != 1:
            return None
        first, *others = values
        alone = self._readers[id(first)] == {path} and not any(other is first for other in others)
        return first if alone else None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch's compiler is loaded to be told to keep out

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = arguments(func, args, kwargs or {})
        output = sketched(func, named)
        if output is None:
            output = func(*args, **(kwargs or {}))
        here = self._running[-1] if self._running else ""
        read = list(_tensors(named.values()))
        for tensor in read:
            self._readers[id(tensor)].add(here)
            self._storage_readers[_storage(tensor)].add(here)
        for tensor in _tensors([output]):
            if func in _WRITING:
                self._written.add(id(tensor))
            self._sharing[_storage(tensor)].add(id(tensor))
            self._alive.append(tensor)
        return output


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _tensors(values: Any) -> Iterator[Tensor]:
    """All tensors among `values`, which may be nested."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())
