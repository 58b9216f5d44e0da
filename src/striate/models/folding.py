"""A network as it is run when nobody looks inside: batch norms folded into convolutions, activations in place.

In use, batch norm is a fixed line for each channel, y = γ (x - μ) / √(σ² + ε) + β, and so part of the convolution
before it (Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018, arXiv:1712.05877, eq. 14):

    w' = w · γ / √(σ² + ε)          b' = (b - μ) · γ / √(σ² + ε) + β

What may be changed is not guessed from names or from the order in which modules were registered. One forward pass of a
shadow without data is followed operation by operation: a batch norm is folded where it alone reads what a convolution
wrote, and each of the two runs once; an activation works in place where it alone reads a value that nothing else
shares. Where the pass cannot be followed without data, or is not made of modules, nothing is changed.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.layers import Conv1dSame, Conv2dSame, Conv3dSame
from striate.models._operations import CONVOLUTION, arguments, aten
from striate.models._shapes import sketched
from striate.models._trace import floating_type, shadow

# By their exact classes: what a class derived from these does to its weights is not known.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, Conv1dSame, Conv2dSame, Conv3dSame)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
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


@dataclass(frozen=True)
class Changes:
    """What may be changed in a network, by the paths of its modules: (convolution, its norm), and activations."""

    folded: tuple[tuple[str, str], ...] = ()
    in_place: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.folded or self.in_place)


def fold(model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """A network that gives in eval mode what `model` gives for pictures of `shape` (c, h, w), faster.

    `model` is left as it is. All weights but those of the folded convolutions are shared with it; where nothing can be
    changed, the answer is `model` itself.
    """
    changes = find_changes(model, shape)
    if not changes:
        return model
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    folded = copy.deepcopy(model, shared).eval()
    for convolution, norm in changes.folded:
        _fold_one(folded.get_submodule(convolution), folded.get_submodule(norm))
    for path in changes.in_place:
        activation: Any = folded.get_submodule(path)
        activation.inplace = True
    return folded


def find_changes(model: nn.Module, shape: tuple[int, int, int]) -> Changes:
    """What `fold` may change in `model`, proved by one forward pass on the meta device."""
    if not any(type(module) in (*_NORMS, *_ACTIVATIONS) for module in model.modules()):
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
    except Exception:  # it needs data, or cannot be copied: whatever it is, the network itself may run
        return Changes()
    followed.read_outside(answer)
    norms = {path: module for path, module in copied.named_modules() if type(module) in _NORMS}
    activations = [path for path, module in copied.named_modules() if type(module) in _ACTIVATIONS]
    pairs = ((followed.convolution_before(path, copied), path) for path, norm in norms.items() if _is_line(norm))
    return Changes(
        tuple((convolution, norm) for convolution, norm in pairs if convolution),
        tuple(path for path in activations if followed.owns_its_input(path)),
    )


def _is_line(norm: Any) -> bool:
    """Whether a norm has statistics of its own to use; without, it takes those of the batch."""
    return norm.running_mean is not None


def _fold_one(convolution: Any, norm: Any) -> None:
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    factor = (variance + norm.eps).rsqrt() * (1.0 if norm.weight is None else norm.weight.detach().double())
    bias = torch.zeros_like(mean) if convolution.bias is None else convolution.bias.detach().double()
    shift = (bias - mean) * factor + (0.0 if norm.bias is None else norm.bias.detach().double())
    weight = convolution.weight.detach()
    scaled = weight.double() * factor.reshape(-1, *[1] * (weight.ndim - 1))
    convolution.weight = nn.Parameter(torch.empty_like(weight).copy_(scaled), requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)
    # Whoever holds this module, under whatever name, now gets back what was given.
    norm.forward = _unchanged


def _unchanged(x: Tensor) -> Tensor:
    return x


@dataclass
class _Calls:
    """What one module was given and gave, in the order of its calls."""

    given: list[Any] = field(default_factory=list)
    gave: list[Any] = field(default_factory=list)


class _Followed(TorchDispatchMode):
    """Follows one forward pass: which value each module was given and gave, and which modules' operations read it."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[str, _Calls] = defaultdict(_Calls)
        self._running: list[str] = []
        self._readers: dict[int, set[str]] = defaultdict(set)
        self._writers: dict[int, str] = {}
        self._sharing: dict[int, set[int]] = defaultdict(set)  # the values that lie in one storage
        self._alive: list[Any] = []  # so that no identity is given twice

    def enter(self, path: str) -> Any:
        def begin(module: nn.Module, args: tuple[Any, ...]) -> None:
            self._calls[path].given.append(args[0] if len(args) == 1 else None)
            self._running.append(path)

        return begin

    def leave(self, path: str) -> Any:
        def end(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._calls[path].gave.append(output)
            self._running.pop()

        return end

    def read_outside(self, answer: Any) -> None:
        """Note that what the network gives is read by others."""
        for tensor in _tensors([answer]):
            self._readers[id(tensor)].add("")

    def convolution_before(self, norm: str, network: nn.Module) -> str | None:
        """The path of the convolution whose output this norm alone reads; None where there is none."""
        value = self._only_input(norm)
        if value is None:
            return None
        path = self._writers.get(id(value))
        if path is None or type(network.get_submodule(path)) not in _CONVOLUTIONS:
            return None
        calls = self._calls[path]
        return path if len(calls.gave) == 1 and calls.gave[0] is value else None

    def owns_its_input(self, path: str) -> bool:
        """Whether nothing but this module can see the value it is given, and an operation wrote it."""
        value = self._only_input(path)
        return value is not None and id(value) in self._writers and self._sharing[_storage(value)] == {id(value)}

    def _only_input(self, path: str) -> Tensor | None:
        """What the module was given, if it ran once and alone read it."""
        calls = self._calls[path]
        value = calls.given[0] if len(calls.given) == 1 else None
        return value if isinstance(value, Tensor) and self._readers[id(value)] == {path} else None

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
        for tensor in _tensors([output]):
            if func in _WRITING:
                self._writers[id(tensor)] = here
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
