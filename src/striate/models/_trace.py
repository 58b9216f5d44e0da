"""One forward pass on the meta device, overheard: what each layer was given, computed and gave.

The network itself is not touched: a shadow of it runs, with the same modules and no data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from striate.core.errors import ModelError
from striate.models._meta import shadow
from striate.models._operations import Sharing, Window, arguments, macs, sharing, window
from striate.models._receptive import Sight, Sights, tensors
from striate.models._shapes import sketched

Shape = tuple[int, ...]


class EmptyMapError(ModelError):
    """A kernel met a map smaller than itself: nothing would be left of it."""


@dataclass
class Call:
    """One call of one module: its own operations only, not those of the modules inside it.

    Shapes are without the batch. `bytes` are those of the values that its operations wrote; a view of what was there
    before, or a change in place, writes none. `parameters` are those that its operations read, by their paths, be they
    the module's own or another's; each is named at its first reading only.
    """

    path: str
    module: nn.Module
    input_shape: Shape = ()
    output_shape: Shape = ()
    sight: Sight | None = None
    macs: int = 0
    bytes: int = 0
    windows: list[Window] = field(default_factory=list)
    sharings: list[Sharing] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)


def trace(model: nn.Module, shape: tuple[int, int, int]) -> list[Call]:
    """Every call of a module during one forward pass of one picture of `shape` (c, h, w), in the order they end.

    The pass is that of eval mode. `model` and its hooks neither run nor change.

    Raises:
        EmptyMapError: the picture is so small that a map would be empty.
        ModelError: a layer does not take what it is given, computes something that needs data, or is lazy and has not
            seen any.
    """
    _refuse_lazy(model)
    copied = shadow(model)
    image = torch.empty(1, *shape, device="meta", dtype=floating_type(model))
    overheard = _Overheard(image, copied)
    for path, module in copied.named_modules():
        module.register_forward_pre_hook(overheard.enter(path), with_kwargs=True)
        module.register_forward_hook(overheard.leave)
    try:
        with torch.no_grad(), overheard:
            copied(image)
    except ModelError:
        raise
    except Exception as error:  # the network's own code ran: whatever it raises is told as one sentence
        raise ModelError(_sentence(overheard.place, shape, error)) from error
    return overheard.calls


def _refuse_lazy(model: nn.Module) -> None:
    lazy = [path for path, parameter in model.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise ModelError(
            f"Layer {lazy[0].rpartition('.')[0]!r} is lazy: it has no weights before it has seen data. Run the network "
            f"once on a batch of images, then describe it."
        )


def _sentence(place: str, shape: tuple[int, int, int], error: Exception) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    size = "×".join(map(str, shape))
    if "meta" in said:  # no shape is wrong: a number is asked for, as by .item(), .numpy(), or an `if` on a tensor
        return (
            f"{place} needs the values of its input, as in .item(), .numpy() or an if on a tensor; here only shapes "
            f"are followed, without data ({said}). Compute such values with tensor operations, or describe the layers "
            f"one by one."
        )
    return f"{place} cannot work on what it is given for pictures of {size} (channels × height × width): {said}."


def floating_type(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


class _Overheard(TorchDispatchMode):
    """Listens to the operations of one forward pass and books each on the module that is running."""

    def __init__(self, image: Tensor, network: nn.Module) -> None:
        super().__init__()
        # By storage, since a view of a parameter, and `.data`, is another tensor. Those found are taken out.
        self._unread: dict[int, list[str]] = {}
        for path, parameter in network.named_parameters():
            self._unread.setdefault(parameter.untyped_storage()._cdata, []).append(path)
        self.calls: list[Call] = []
        self._running: list[Call] = []
        self._sights = Sights(image)
        self._stored = [image.untyped_storage()]
        self._storages = {self._stored[0]._cdata}

    @property
    def place(self) -> str:
        """The innermost running module, as the subject of a sentence."""
        running = self._running[-1] if self._running else None
        return f"Layer {running.path!r}" if running and running.path else "The network"

    def enter(self, path: str) -> Any:
        """A pre-hook for the module at `path`."""

        def begin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = _first([*args, *kwargs.values()])
            self._running.append(Call(path, module, input_shape=_shape(given)))

        return begin

    def leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A hook for any module's end."""
        call, result = self._running.pop(), _first([output])
        call.output_shape = _shape(result)
        call.sight = None if result is None else self._sights.get(result)
        self.calls.append(call)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch's compiler is loaded to be told to keep out

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = arguments(func, args, kwargs or {})
        slid = window(func, given)
        if slid is not None and slid.empty:
            raise EmptyMapError(
                f"{self.place} lays a window of {_by(slid.reach)} on a map of {_by(slid.size)}: "
                f"nothing would be left of it."
            )
        output = sketched(func, given)
        if output is None:
            output = func(*args, **(kwargs or {}))
        outputs = [item for item in (output if isinstance(output, (list, tuple)) else [output]) if _is_tensor(item)]
        self._sights.follow(func, given, outputs, slid)
        if self._running:
            for tensor in tensors(given.values()):
                self._running[-1].parameters += self._unread.pop(tensor.untyped_storage()._cdata, [])
            if outputs:
                self._book(self._running[-1], func, given, outputs[0], slid)
        return output

    def _book(self, call: Call, function: Any, given: dict[str, Any], output: Tensor, slid: Window | None) -> None:
        call.macs += macs(function, given, output)
        call.windows += [slid] if slid else []
        saved = sharing(function, given, output)
        call.sharings += [saved] if saved else []
        storage = output.untyped_storage()
        if storage._cdata not in self._storages and self._sights.get(output):
            self._stored.append(storage)  # kept, so that its address is not given to another
            self._storages.add(storage._cdata)
            call.bytes += output.numel() * output.element_size()


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _first(values: Any) -> Tensor | None:
    """The first tensor among `values`, which may be nested."""
    for value in values:
        if isinstance(value, Tensor):
            return value
        inner = _first(value.values() if isinstance(value, dict) else value) if _holds(value) else None
        if inner is not None:
            return inner
    return None


def _holds(value: object) -> bool:
    return isinstance(value, (list, tuple, dict))


def _shape(tensor: Tensor | None) -> Shape:
    return () if tensor is None else tuple(tensor.shape[1:])


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}×{pair[1]}"
