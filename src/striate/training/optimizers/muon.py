"""Muon: momentum whose step is an orthogonal matrix for each layer."""

# pyright: reportPrivateImportUsage=false
# torch documents its functions of lists of tensors, which take one call for all parameters, and exports none of them.

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from striate.core.compiler import without_compiler
from striate.core.protocols import Described
from striate.core.replay import Replayed
from striate.core.scalars import check_range
from striate.training.optimizers.adaptive import adam_steps, gradients_of
from striate.training.optimizers.settings import OPTIMIZERS, Groups, Kinds, OptimizerSettings, split_parameters

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of AdamW


def orthogonalize(matrices: Float[Tensor, "n a b"]) -> Float[Tensor, "n a b"]:
    """Return U S' Vᵀ for each matrix U S Vᵀ, where S' is about 1: from 0.7 to 1.2 unless S is close to 0.

    Five Newton-Schulz iterations X ← a X + (b X Xᵀ + c (X Xᵀ)²) X from the matrix divided by its norm, in the type of
    the matrix; the author and torch compute in bfloat16.
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class _Muon(Optimizer):
    def __init__(self, groups: Groups, defaults: dict[str, Any]) -> None:
        super().__init__(groups, defaults)
        self._replays: dict[Hashable, Replayed[list[Tensor]]] = {}

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                steps = self._orthogonal(parameters, group) if group["orthogonal"] else self._adam(parameters)
                torch._foreach_sub_(parameters, steps, alpha=group["lr"])

    def _orthogonal(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> list[Tensor]:
        gradients = gradients_of(parameters)
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["velocity"] = torch.zeros_like(parameter)
        ways = [self.state[parameter]["velocity"] for parameter in parameters]
        torch._foreach_lerp_(ways, gradients, 1 - group["momentum"])
        if group["nesterov"]:
            ways = list(torch._foreach_lerp(gradients, ways, group["momentum"]))
        return self._replay(ways) if ways[0].is_cuda else _orthogonalized(ways)

    def _replay(self, ways: list[Tensor]) -> list[Tensor]:
        """Do the same by one call where some hundred kernels are shorter than the calls that start them."""
        key = tuple((way.shape, way.stride(), way.dtype, way.device) for way in ways)
        if key not in self._replays:
            self._replays[key] = Replayed(lambda *given: _orthogonalized(list(given)), ways)
        return self._replays[key](*ways)

    def _adam(self, parameters: list[nn.Parameter]) -> list[Tensor]:
        return adam_steps([self.state[parameter] for parameter in parameters], parameters, _BETAS, _EPSILON)


def _orthogonalized(ways: list[Tensor]) -> list[Tensor]:
    """Return √max(1, a / b) times the orthogonal matrix of each; matrices of the same shape are computed at once."""
    places: dict[tuple[int, int], list[int]] = {}
    for place, way in enumerate(ways):
        places.setdefault((len(way), way[0].numel()), []).append(place)
    found = list(ways)
    for (rows, columns), same in places.items():
        stacked = torch.stack([ways[place].reshape(rows, columns) for place in same])
        scaled = orthogonalize(stacked).mul_(math.sqrt(max(1.0, rows / columns)))
        for place, matrix in zip(same, scaled, strict=True):
            found[place] = matrix.reshape(ways[place].shape)
    return found


_rule = without_compiler(_Muon)


def _head(model: nn.Module) -> nn.Module | None:
    """Return the head that `model` declares, else the last linear layer or convolution in it, if there is one."""
    if isinstance(model, Described):
        return model.get_submodule(model.head)
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    return layers[-1] if layers and layers[-1] is not model else None


@dataclass(frozen=True, kw_only=True)
class Muon(OptimizerSettings):
    """Muon: v ← μ v + (1 - μ) g, w ← w - lr · √max(1, a / b) · O(v), where O(v) is the orthogonal matrix nearest to v.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks" (kellerjordan.github.io/posts/muon).
    O is computed by five Newton-Schulz iterations. A convolution is the matrix of its filters, (a, b) = (channels out,
    channels in · height · width). The last layer, biases and normalizations have the steps of AdamW, at `rest_lr`; the
    last layer of a model that declares none (`head`) is the linear layer or convolution that it defines last. Weights
    decay apart from the gradient.

    Args:
        momentum: μ, at least 0 and below 1.
        nesterov: replace v by (1 - μ) g + μ v in the step.
        rest_lr: base learning rate of the parameters with the steps of AdamW.
    """

    lr: float = 0.02
    momentum: float = 0.95
    nesterov: bool = True
    rest_lr: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "momentum", at_least=0, below=1)
        check_range(self, "rest_lr", above=0)

    def scaled(self, factor: float) -> Self:
        return replace(super().scaled(factor), rest_lr=factor * self.rest_lr)

    def kinds(self, model: nn.Module) -> Kinds:
        weights, others = split_parameters(model)
        head = _head(model)
        last = set() if head is None else set(head.parameters())
        decay, rest = {"weight_decay": self.weight_decay}, {"orthogonal": False, "lr": self.rest_lr}
        return [
            ([weight for weight in weights if weight not in last], {"orthogonal": True} | decay),
            ([weight for weight in weights if weight in last], rest | decay),
            (others, rest | {"weight_decay": 0.0}),
        ]

    def build(self, groups: Groups) -> Optimizer:
        return _rule(groups, {"momentum": self.momentum, "nesterov": self.nesterov})


OPTIMIZERS.add("muon", Muon)
