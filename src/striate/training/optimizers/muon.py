"""Muon: momentum whose step is an orthogonal matrix for each layer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from striate.core.compiler import without_compiler
from striate.core.protocols import Described
from striate.core.scalars import check_range
from striate.training.optimizers.adaptive import adam_step
from striate.training.optimizers.settings import OPTIMIZERS, Groups, Kinds, OptimizerSettings, split_parameters

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of AdamW


def orthogonalize(matrix: Float[Tensor, "a b"]) -> Float[Tensor, "a b"]:
    """Return U S' Vᵀ for the matrix U S Vᵀ, where S' is about 1: from 0.7 to 1.2 unless S is close to 0.

    Five Newton-Schulz iterations X ← a X + (b X Xᵀ + c (X Xᵀ)²) X from the matrix divided by its norm, in the type of
    the matrix; the author and torch compute in bfloat16.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class _Muon(Optimizer):
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    step = self._orthogonal if group["orthogonal"] else self._adam
                    parameter.sub_(step(parameter, group), alpha=group["lr"])

    def _orthogonal(self, parameter: nn.Parameter, group: dict[str, Any]) -> Float[Tensor, "*shape"]:
        statistics, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not statistics:
            statistics["velocity"] = torch.zeros_like(parameter)
        velocity = statistics["velocity"].lerp_(gradient, 1 - group["momentum"])
        way = gradient.lerp(velocity, group["momentum"]) if group["nesterov"] else velocity
        rows = way.reshape(len(way), -1)
        return orthogonalize(rows).mul(math.sqrt(max(1.0, rows.shape[0] / rows.shape[1]))).reshape(way.shape)

    def _adam(self, parameter: nn.Parameter, group: dict[str, Any]) -> Float[Tensor, "*shape"]:
        return adam_step(self.state[parameter], parameter, _BETAS, _EPSILON)


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
