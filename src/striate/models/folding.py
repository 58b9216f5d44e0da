"""A network as it is run when nobody looks inside: norms folded into convolutions, activations and sums in place.

In use, batch norm is a fixed line for each channel, y = γ (x - μ) / √(σ² + ε) + β, and so part of the convolution
before it (Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018, arXiv:1712.05877, eq. 14):

    w' = w · γ / √(σ² + ε)          b' = (b - μ) · γ / √(σ² + ε) + β

A scale for each channel (`LayerScale`) is such a line too. What may be changed is proved first, see `_changes`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from striate.layers import LayerScale
from striate.models._bits import Bits
from striate.models._changes import Changes, find_changes
from striate.models._structure import Structure, Unwatchable, structure


def fold(model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """A network that gives in eval mode what `model` gives for images of `shape` (c, h, w), faster.

    `model` is left as it is. All weights but those of the folded convolutions are shared with it; where nothing can be
    changed, the answer is `model` itself. What is written into `model` later is not folded in: see `Folding`.
    """
    changes = find_changes(model, shape)
    return _changed(model, changes) if changes else model


class Folding:
    """The folded form of a network, kept only as long as it is that of the network as it is now.

    `network` is what to run; `note` says why it is the network itself, where folding was not possible. Whether the
    network has changed is read, not guessed: its modules, their attributes and tensors are compared by identity or
    value (`holds`), and the numbers that were folded bit by bit (`refresh`). Everything else is shared with the network
    and needs no comparison. On other devices than the CPU this would cost more than folding saves: there the network
    runs as it is.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, int, int]) -> None:
        self.network, self.note = model, ""
        self._shape = shape
        self._folded: list[_Folded] = []
        self._structure: Structure | None = None
        try:
            self._structure = structure(model)
        except Unwatchable as error:
            self.note = f"Batch norms are not folded: {error}."
            return
        if any(tensor.device.type != "cpu" for tensor in _held(model)):
            return
        changes = find_changes(model, shape)
        if changes.reason:
            self.note = f"Batch norms are not folded: {changes.reason}."
        if changes:
            self.network = _changed(model, changes)
            self._folded = [
                _Folded(model.get_submodule(path), model.get_submodule(norm), self.network.get_submodule(path))
                for path, norm in changes.folded
            ]

    def holds(self, model: nn.Module, shape: tuple[int, int, int]) -> bool:
        """Whether this is the folding of `model`, built as it is now, for images of `shape`."""
        if shape != self._shape:
            return False
        try:
            return structure(model) == self._structure
        except Unwatchable:
            return self.network is model

    def refresh(self) -> None:
        """Fold again whatever has been written to."""
        for each in self._folded:
            each.refresh()


class _Folded:
    """A convolution and its norm, and the convolution that does the work of both."""

    def __init__(self, convolution: nn.Module, norm: nn.Module, folded: nn.Module) -> None:
        self._modules = convolution, norm, folded
        self._bits = [Bits(tensor) for tensor in _numbers(convolution, norm)]

    def refresh(self) -> None:
        if any(bits.changed() for bits in self._bits):
            self._bits = [Bits(tensor) for tensor in _numbers(*self._modules[:2])]
            _fold_one(*self._modules)


def _changed(model: nn.Module, changes: Changes) -> nn.Module:
    """A copy of `model` with these changes, in eval mode."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in _held(model)}
    folded = copy.deepcopy(model, shared).eval()
    for convolution, norm in changes.folded:
        _fold_one(model.get_submodule(convolution), model.get_submodule(norm), folded.get_submodule(convolution))
        # Whoever holds this module, under whatever name, now gets back what was given.
        folded.get_submodule(norm).forward = _unchanged
    for path in changes.in_place:
        activation: Any = folded.get_submodule(path)
        activation.inplace = True
    for path in changes.summed:
        folded.get_submodule(path).forward = _add_in_place
    return folded


def _held(model: nn.Module) -> Iterable[Tensor]:
    """All tensors of a network: parameters, buffers, and those that are attributes only."""
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))


def _numbers(convolution: Any, norm: Any) -> Iterator[Tensor]:
    """The tensors from which a convolution is folded with its norm."""
    tensors = [convolution.weight, convolution.bias, norm.weight]
    if not isinstance(norm, LayerScale):
        tensors += [norm.bias, norm.running_mean, norm.running_var]
    return (tensor for tensor in tensors if tensor is not None)


def _line(norm: Any) -> tuple[Tensor, Tensor]:
    """Slope and offset of each channel, in float64."""
    if isinstance(norm, LayerScale):
        slope = norm.weight.detach().double().flatten()
        return slope, torch.zeros_like(slope)
    slope = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        slope = slope * norm.weight.detach().double()
    offset = -norm.running_mean.double() * slope
    return slope, offset if norm.bias is None else offset + norm.bias.detach().double()


def _fold_one(convolution: Any, norm: Any, folded: Any) -> None:
    """Give `folded` the weights that do alone what `convolution` and `norm` do together."""
    slope, offset = _line(norm)
    weight = convolution.weight.detach()
    scaled = weight.double() * slope.reshape(-1, *[1] * (weight.ndim - 1))
    if convolution.bias is not None:
        offset = offset + convolution.bias.detach().double() * slope
    folded.weight = nn.Parameter(torch.empty_like(weight).copy_(scaled), requires_grad=False)
    folded.bias = nn.Parameter(offset.to(weight.dtype), requires_grad=False)


def _unchanged(x: Tensor) -> Tensor:
    return x


def _add_in_place(total: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        total += other
    return total
