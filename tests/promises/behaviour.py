"""Digest of what a model computes: how its weights begin, and the operations of its forward passes."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.core.protocols import Auxiliary
from striate.models import MODELS


@functools.cache
def digest_of(name: str) -> str:
    """Return the digest of the model `name`, for its card's input and classes."""
    card = MODELS[name].card
    return digest(MODELS[name].build, card.input, card.classes)


def digest(build: Any, shape: tuple[int, int, int], classes: int) -> str:
    """Return 16 hexadecimal digits for the network that `build` makes for images of `shape` (c, h, w).

    The network is built on the meta device and runs once in eval and once in training mode. The digest covers every
    operation of all three, in order: the path of the module that runs it, its arguments, the shapes, types and memory
    layouts of the tensors that it takes and returns, and where the former come from (the image, a parameter, an earlier
    operation); also the name of each parameter and buffer. Names of classes, functions and files do not count.
    """
    record = _Record()
    with torch.device("meta"), record:
        network = build(channels=shape[0], size=shape[1:], classes=classes)
    for path, parameter in network.named_parameters(remove_duplicate=False):
        record.name(parameter, f"parameter {path}")
    for path, buffer in network.named_buffers(remove_duplicate=False):
        record.name(buffer, f"buffer {path}")
    image = torch.empty(2, *shape, device="meta")
    record.name(image, "image")
    with record.paths(network), torch.no_grad(), record:
        record.result("eval", network.eval()(image))
        network.train()
        passes = network.forward_with_auxiliary if isinstance(network, Auxiliary) else network
        record.result("train", passes(image))
    return record.digest.hexdigest()[:16]


class _Record(TorchDispatchMode):
    """The digest of the operations that run in this mode; the digest of a tensor's origin is its name."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self._known: dict[int, tuple[Tensor, str, str]] = {}  # by identity: the tensor itself, its name and its form
        self._path = [""]

    def name(self, tensor: Tensor, name: str) -> None:
        """Call `tensor` by `name` from now on."""
        _, before, form = self._known.get(id(tensor), (tensor, "new", _form(tensor)))
        self._known[id(tensor)] = tensor, name, form
        self._note(f"{name} is {before} {form} {tensor.requires_grad}")

    def paths(self, network: nn.Module) -> _Hooks:
        """Note within a context which module of `network` runs."""
        paths = {id(module): path for path, module in network.named_modules()}
        return _Hooks(lambda module: self._path.append(paths[id(module)]), self._path.pop)

    def result(self, mode: str, value: Any) -> None:
        """Note what a forward pass returns."""
        given: list[Tensor] = []
        told = _told(value, given)
        self._note(f"{mode} returns {told} {' '.join(self._known[id(tensor)][1] for tensor in given)}")

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch loads its compiler

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors: list[Tensor] = []
        told = f"{_spelled(func)} {_told(args, tensors)} {_told(kwargs, tensors) if kwargs else ''}"
        given = [self._known.get(id(tensor)) or (tensor, "unknown", _form(tensor)) for tensor in tensors]
        forms = " ".join([form for _, _, form in given])
        key = f"{told} {forms}"
        if key not in _RESULTS:
            _RESULTS[key] = _described(func(*args, **(kwargs or {})), tensors)
        described = _RESULTS[key]
        output = _made(described, tensors)
        returned = zip(described, output, strict=True) if isinstance(described, list) else [(described, output)]
        for result, tensor in returned:
            if isinstance(result, _New):
                self._known[id(tensor)] = tensor, str(len(self._known)), result.form
        self._note(f"{self._path[-1]}: {key} {' '.join([name for _, name, _ in given])}")
        return output

    def _note(self, line: str) -> None:
        self.digest.update(f"{line}\n".encode())


class _Hooks:
    """Call `enter` with each module that begins, and `leave` when it ends."""

    def __init__(self, enter: Callable[[nn.Module], object], leave: Callable[[], object]) -> None:
        self._enter, self._leave = enter, leave

    def __enter__(self) -> None:
        hooks = nn.modules.module
        before = hooks.register_module_forward_pre_hook(lambda module, args: (self._enter(module), None)[1])
        after = hooks.register_module_forward_hook(lambda module, args, output: (self._leave(), None)[1])
        self._handles = before, after

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()


class _New(NamedTuple):
    """A tensor that an operation makes."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    form: str


class _Same(NamedTuple):
    """The operation's argument number `place`: it was changed in place."""

    place: int


# What an operation returned, by its arguments: torch's rules for the meta device take a tenth of a millisecond and
# more, and the operations of the zoo are 300,000, mostly the same.
_RESULTS: dict[str, Any] = {}


def _described(output: Any, given: Sequence[Tensor]) -> Any:
    if isinstance(output, (list, tuple)):
        return [_described(item, given) for item in output]
    if not isinstance(output, Tensor):
        return output
    assert output.is_meta, "the network holds tensors that are not on the meta device"
    place = next((place for place, tensor in enumerate(given) if tensor is output), None)
    return _New(output.shape, output.stride(), output.dtype, _form(output)) if place is None else _Same(place)


def _made(described: Any, given: Sequence[Tensor]) -> Any:
    if isinstance(described, list):
        return tuple([_made(item, given) for item in described])
    if isinstance(described, _Same):
        return given[described.place]
    if isinstance(described, _New):
        return torch.empty_strided(described.shape, described.stride, dtype=described.dtype, device="meta")
    return described


def _form(tensor: Tensor) -> str:
    return f"{(*tensor.shape,)} {tensor.stride()} {tensor.dtype}"


_spelled = functools.cache(str)


def _told(value: Any, tensors: list[Tensor]) -> str:
    """Return the value as text with a star for each tensor; add the tensors to `tensors`."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return "*"
    if isinstance(value, dict):
        return "{" + ", ".join([f"{key}: {_told(item, tensors)}" for key, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join([_told(item, tensors) for item in value]) + "]"
    return repr(value)
