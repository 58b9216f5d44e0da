"""The weights of a network as its judge sees them: one cell after another, in the order in which they are used.

A cell is a module (or a Keras layer) with parameters or buffers of its own. A torch module's cells stand in the order
in which their first call ends; a Keras model's in the order in which the function that builds it calls its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

Layout = Callable[[Tensor], Tensor]


def _same(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Slot:
    """One tensor of a network: `read` gives what it holds in torch's layout, `write` puts it back into its own."""

    tensor: Tensor
    read: Layout = _same
    write: Layout = _same

    @property
    def value(self) -> Tensor:
        return self.read(self.tensor.detach())

    @property
    def gradient(self) -> Tensor | None:
        return None if self.tensor.grad is None else self.read(self.tensor.grad)

    def fill(self, value: Tensor | float) -> None:
        wanted = value if isinstance(value, Tensor) else torch.full_like(self.value, value)
        self.tensor.detach().copy_(self.write(wanted))


@dataclass(frozen=True)
class Cell:
    """One module's own tensors by name; `epsilon` is a norm's."""

    path: str
    kind: str
    slots: dict[str, Slot] = field(default_factory=dict)
    epsilon: float | None = None


def torch_cell(path: str, module: nn.Module) -> Cell:
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    slots = {name: Slot(tensor) for name, tensor in own if name != "num_batches_tracked"}
    return Cell(path, type(module).__name__, slots, getattr(module, "eps", None))


@contextmanager
def listening(network: nn.Module) -> Iterator[list[Cell]]:
    """The cells that a torch network's forward pass uses, while it runs inside the block."""
    used: list[Cell] = []
    met: set[str] = set()

    def end(path: str) -> Callable[..., None]:
        def note(module: nn.Module, *_: object) -> None:
            cell = torch_cell(path, module)
            if cell.slots and path not in met:
                met.add(path)
                used.append(cell)

        return note

    handles = [module.register_forward_hook(end(path)) for path, module in network.named_modules()]
    try:
        yield used
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def overhearing_keras() -> Iterator[list[Any]]:
    """The Keras layers that are called while a model is built inside the block, in order, each once."""
    import keras

    called: list[Any] = []
    call = keras.Layer.__call__

    def noted(layer: Any, *args: Any, **kwargs: Any) -> Any:
        result = call(layer, *args, **kwargs)
        if not any(layer is known for known in called):
            called.append(layer)
        return result

    with mock.patch.object(keras.Layer, "__call__", noted):
        yield called


def keras_cells(layers: list[Any]) -> list[Cell]:
    return [cell for layer in layers for cell in _keras_layer(layer) if cell.slots]


def _keras_layer(layer: Any) -> Iterator[Cell]:
    """The cells of one layer: two for a separable convolution, which is a depthwise and a pointwise one."""
    kind = type(layer).__name__
    held: dict[str, Tensor] = {v.name: v.value for v in (*layer._trainable_variables, *layer._non_trainable_variables)}
    if kind == "SeparableConv2D":
        yield Cell(f"{layer.name}.depthwise", kind, {"weight": _depthwise(held.pop("depthwise_kernel"))})
        held = {"kernel": held.pop("pointwise_kernel"), **held}
    names: dict[str, str] = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
    names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    layouts = {"DepthwiseConv2D": _depthwise, "Dense": _dense}
    slots = {
        names.get(name, name): layouts.get(kind, _kernel)(value) if name == "kernel" else Slot(value)
        for name, value in held.items()
    }
    yield Cell(layer.name, kind, slots, getattr(layer, "epsilon", None))


def _kernel(tensor: Tensor) -> Slot:
    """(height, width, in, out) for (out, in, height, width)."""
    return Slot(tensor, lambda t: t.permute(3, 2, 0, 1), lambda t: t.permute(2, 3, 1, 0))


def _depthwise(tensor: Tensor) -> Slot:
    """(height, width, channels, multiplier) for (channels · multiplier, 1, height, width)."""
    height, width, channels, multiplier = tensor.shape
    return Slot(
        tensor,
        lambda t: t.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width),
        lambda t: t.reshape(channels, multiplier, height, width).permute(2, 3, 0, 1),
    )


def _dense(tensor: Tensor) -> Slot:
    return Slot(tensor, lambda t: t.T, lambda t: t.T)
