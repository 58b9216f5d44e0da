"""Changes of a network that keep its output, proved by one forward pass without data.

Nothing is guessed from names or from the order in which modules were registered. A norm may be folded where it alone
reads the output of a convolution, each of the two runs once, and nothing else reads the convolution's weights; an
activation or a sum may work in place where it alone reads a value with which nothing else shares memory. Where the pass
fails without data, or forward hooks see or change values of their own, nothing may be changed, and the reason is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from striate.core.errors import first_line
from striate.core.protocols import LayerRole, role_of
from striate.tracing.operations import CONVOLUTION, aten
from striate.tracing.recorder import UNFOLLOWED, Left, ModuleCall, Operation, Recorder, on_meta

# Exactly these classes, and ours by their roles: what a derived class does to its weights is not known.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.ELU)
# Operations that write new memory, in whatever order their arguments lie. (A copy that changes the order may not.)
_WRITING = {
    CONVOLUTION,
    aten.native_batch_norm.default,
    aten.add.Tensor,
    aten.mul.Tensor,
    aten.addmm.default,
    aten.cat.default,
}


@dataclass(frozen=True)
class FoldPlan:
    """Changes that keep the output, by module paths: (convolution, its norm), activations, and sums.

    `reason` says why no change could be proved, if none could.
    """

    folded: tuple[tuple[str, str], ...] = ()
    in_place: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.folded or self.in_place or self.summed)


def plan_fold(model: nn.Module, shape: tuple[int, int, int]) -> FoldPlan:
    """Find what may be changed in `model` for images of `shape` (c, h, w), by one forward pass on the meta device."""
    if not any(_is_line(module) or type(module) in _ACTIVATIONS or _is_sum(module) for module in model.modules()):
        return FoldPlan()
    if is_watched(model):  # the pass runs without hooks, which may compute weights, and change or keep any value
        return FoldPlan(reason="a module has a forward hook")
    try:
        copied, image = on_meta(model, shape)
        recorder = Recorder(image)
        recorder.run(copied, image)
    except UNFOLLOWED as error:
        said = first_line(error)
        return FoldPlan(reason=f"a forward pass without data failed ({type(error).__name__}: {said})")
    read = _Reading(recorder)
    modules = {path: module for path, module in copied.named_modules() if "forward" not in vars(module)}
    pairs = [(read.maker_before(path), path) for path, module in modules.items() if _is_line(module)]
    return FoldPlan(
        tuple(
            (maker, line)
            for maker, line in pairs
            if maker is not None
            and maker in modules
            and _is_convolution(modules[maker])
            and read.alone_reads(maker, modules[maker].parameters(recurse=False))
        ),
        tuple(path for path, module in modules.items() if type(module) in _ACTIVATIONS and read.owns_its_input(path)),
        tuple(path for path, module in modules.items() if _is_sum(module) and read.owns_its_input(path)),
    )


def is_watched(model: nn.Module) -> bool:
    """Return whether a module has a forward hook or forward pre-hook, or a global one exists."""
    everywhere = nn.modules.module._global_forward_hooks or nn.modules.module._global_forward_pre_hooks
    return bool(everywhere) or any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def is_scale(module: nn.Module) -> bool:
    """Return whether the module multiplies each channel by its number in `weight`."""
    return role_of(module) is LayerRole.SCALE


def _is_line(module: Any) -> bool:
    """Return whether the module is a scale, or a norm with statistics of its own: a fixed line for each channel."""
    return is_scale(module) or (type(module) in _NORMS and module.running_mean is not None)


def _is_convolution(module: nn.Module) -> bool:
    """Return whether the module is a convolution whose weights are parameters, not numbers computed elsewhere."""
    known = type(module) in _CONVOLUTIONS or role_of(module) is LayerRole.CONVOLUTION
    return known and {"weight", "bias"} <= module._parameters.keys()


def _is_sum(module: nn.Module) -> bool:
    return role_of(module) is LayerRole.SUM


class _Reading:
    """The modules that made and read each tensor of a recorded pass, by their paths; tensors by their identity."""

    def __init__(self, recorder: Recorder) -> None:
        self._calls: dict[str, list[ModuleCall]] = defaultdict(list)
        self._makers: dict[int, str] = {}
        self._readers: dict[int, set[str]] = defaultdict(set)
        self._written: set[int] = set()
        self._sharing: dict[int, set[int]] = defaultdict(set)  # the tensors that lie in one storage
        self._storage_readers: dict[int, set[str]] = defaultdict(set)
        for event in recorder.events:
            if isinstance(event, Operation):
                self._read(event)
            elif isinstance(event, Left):
                self._calls[event.call.path].append(event.call)
                self._makers.setdefault(id(event.call.output), event.call.path)  # the innermost ends first
        for value in self._calls[""][-1].outputs:  # what the network returns is read by others
            self._readers[id(value.tensor)].add("")
            self._storage_readers[value.storage].add("")

    def _read(self, operation: Operation) -> None:
        here = operation.call.path if operation.call else ""
        for value in operation.inputs:
            self._readers[id(value.tensor)].add(here)
            self._storage_readers[value.storage].add(here)
        for value in operation.results:
            if operation.function in _WRITING:
                self._written.add(id(value.tensor))
            self._sharing[value.storage].add(id(value.tensor))

    def maker_before(self, path: str) -> str | None:
        """Return the path of the module that runs once and makes what this module alone reads; None without one."""
        tensor = self._first_input(path)
        maker = None if tensor is None else self._makers.get(id(tensor))
        return maker if maker is not None and len(self._calls[maker]) == 1 else None

    def owns_its_input(self, path: str) -> bool:
        """Return whether an operation wrote the module's first input, and nothing but the module can read it."""
        tensor = self._first_input(path)
        if tensor is None or id(tensor) not in self._written:
            return False
        return self._sharing[tensor.untyped_storage()._cdata] == {id(tensor)}

    def alone_reads(self, path: str, parameters: Iterable[nn.Parameter]) -> bool:
        """Return whether only operations of the module at `path` read these parameters, or views of them."""
        return all(self._storage_readers[parameter.untyped_storage()._cdata] <= {path} for parameter in parameters)

    def _first_input(self, path: str) -> Tensor | None:
        """Return the module's first argument, if it runs once, alone reads it, and all arguments are of one form."""
        calls = self._calls[path]
        given = list(calls[0].args) if len(calls) == 1 else []
        if not all(isinstance(each, Tensor) for each in given):
            return None
        if len({(each.shape, each.dtype) for each in given}) != 1:
            return None
        first, *others = given
        alone = self._readers[id(first)] == {path} and not any(other is first for other in others)
        return first if alone else None
