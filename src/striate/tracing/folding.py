"""Fold norms into convolutions, and let activations and sums work in place.

In eval mode, batch norm is a fixed line for each channel, y = γ (x - μ) / √(σ² + ε) + β, and so part of the convolution
before it (Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018, arXiv:1712.05877, eq. 14):

    w' = w · γ / √(σ² + ε)          b' = (b - μ) · γ / √(σ² + ε) + β

A scale for each channel (`LayerScale`) is such a line too. Every change is proved first, see `plan_fold`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from striate.tracing.bits import Bits
from striate.tracing.fold_plan import FoldPlan, is_scale, plan_fold
from striate.tracing.structure import Structure, Unwatchable, structure


def fold(model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """Return a faster network with the same eval-mode output as `model` for images of `shape` (c, h, w).

    `model` stays as it is. All weights but those of the folded convolutions are shared with it; where nothing can be
    changed, `model` itself is returned. Weights that are written into `model` later are not folded in: see `Folding`.
    """
    plan = plan_fold(model, shape)
    return _changed(model, plan) if plan else model


class Folding:
    """The folded form of a network, valid as long as the network has not changed.

    `network` is what to run; `note` says why it is the network itself, where folding was not possible. Whether the
    network has changed is checked, not guessed: its modules, their attributes and tensors are compared by identity or
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
        plan = plan_fold(model, shape)
        if plan.reason:
            self.note = f"Batch norms are not folded: {plan.reason}."
        if plan:
            self.network = _changed(model, plan)
            self._folded = [
                _Folded(model.get_submodule(path), model.get_submodule(norm), self.network.get_submodule(path))
                for path, norm in plan.folded
            ]

    def holds(self, model: nn.Module, shape: tuple[int, int, int]) -> bool:
        """Return whether this is the folded form of `model`, built as it is now, for images of `shape`."""
        if shape != self._shape:
            return False
        try:
            return structure(model) == self._structure
        except Unwatchable:
            return self.network is model

    def refresh(self) -> None:
        """Fold again the convolutions and norms that have been written to."""
        for each in self._folded:
            each.refresh()


class _Folded:
    """A convolution and its norm, and the convolution that computes both."""

    def __init__(self, convolution: nn.Module, norm: nn.Module, folded: nn.Module) -> None:
        self._modules = convolution, norm, folded
        self._bits = [Bits(tensor) for tensor in _numbers(convolution, norm)]

    def refresh(self) -> None:
        if any(bits.changed() for bits in self._bits):
            self._bits = [Bits(tensor) for tensor in _numbers(*self._modules[:2])]
            _fold_one(*self._modules)


def _changed(model: nn.Module, plan: FoldPlan) -> nn.Module:
    """Copy `model` with these changes, in eval mode."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in _held(model)}
    folded = copy.deepcopy(model, shared).eval()
    for convolution, norm in plan.folded:
        _fold_one(model.get_submodule(convolution), model.get_submodule(norm), folded.get_submodule(convolution))
        # Under whatever name the network calls this module, it now returns its input.
        folded.get_submodule(norm).forward = _unchanged
    for path in plan.in_place:
        activation: Any = folded.get_submodule(path)
        activation.inplace = True
    for path in plan.summed:
        folded.get_submodule(path).forward = _add_in_place
    return folded


def _held(model: nn.Module) -> Iterable[Tensor]:
    """List all tensors of a network: parameters, buffers, and those that are attributes only."""
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))


def _numbers(convolution: Any, norm: Any) -> Iterator[Tensor]:
    """List the tensors from which a convolution is folded with its norm."""
    tensors = [convolution.weight, convolution.bias, norm.weight]
    if not is_scale(norm):
        tensors += [norm.bias, norm.running_mean, norm.running_var]
    return (tensor for tensor in tensors if tensor is not None)


def norm_line(
    mean: Tensor, variance: Tensor, epsilon: float, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return slope and offset of a batch norm in eval mode, for each channel, in float64."""
    slope = (variance.double() + epsilon).rsqrt()
    if weight is not None:
        slope = slope * weight.detach().double()
    offset = -mean.double() * slope
    return slope, offset if bias is None else offset + bias.detach().double()


def folded_weights(weight: Tensor, bias: Tensor | None, slope: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a convolution followed by a line for each channel: formula above.

    They are computed in float64, and returned in the type and memory order of `weight`.
    """
    scaled = weight.double() * slope.reshape(-1, *[1] * (weight.ndim - 1))
    if bias is not None:
        offset = offset + bias.double() * slope
    return torch.empty_like(weight).copy_(scaled), offset.to(weight.dtype)


def _fold_one(convolution: Any, norm: Any, folded: Any) -> None:
    """Give `folded` the weights of `convolution` followed by `norm`."""
    if is_scale(norm):
        slope = norm.weight.detach().double().flatten()
        offset = torch.zeros_like(slope)
    else:
        slope, offset = norm_line(norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    bias = None if convolution.bias is None else convolution.bias.detach()
    weights = folded_weights(convolution.weight.detach(), bias, slope, offset)
    folded.weight, folded.bias = (nn.Parameter(each, requires_grad=False) for each in weights)


def _unchanged(x: Tensor) -> Tensor:
    return x


def _add_in_place(total: Tensor, *others: Tensor) -> Tensor:
    for other in others:
        total += other
    return total
