"""Torch's optimizers with a rate for each weight, from running statistics of its gradient."""

# pyright: reportPrivateImportUsage=false
# torch documents its functions of lists of tensors, which take one call for all parameters, and exports none of them.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from striate.core.compiler import without_compiler
from striate.core.errors import ConfigError
from striate.core.scalars import check_range
from striate.training.optimizers.settings import OPTIMIZERS, Groups, OptimizerSettings

_Adagrad, _Adadelta, _RMSprop, _Adam, _AdamW = map(
    without_compiler, (optim.Adagrad, optim.Adadelta, optim.RMSprop, optim.Adam, optim.AdamW)
)

# Fused kernels are used where torch has them (see `descent`), else the kernels that take all parameters at once.


@dataclass(frozen=True, kw_only=True)
class Adagrad(OptimizerSettings):
    """Adagrad: s ← s + g², w ← w - lr g / (√s + ε), so that the rate of each weight only decreases.

    Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR
    12, figure 1 with a diagonal matrix.

    Args:
        epsilon: added to the denominator.
    """

    lr: float = 0.01
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "epsilon", at_least=0)

    def build(self, groups: Groups) -> Optimizer:
        fused = groups[0]["params"][0].device.type == "cpu"  # torch has no fused kernel of it for CUDA
        return _Adagrad(groups, eps=self.epsilon, fused=fused, foreach=not fused)


@dataclass(frozen=True, kw_only=True)
class Adadelta(OptimizerSettings):
    """Adadelta: w ← w - lr · RMS(Δw) / RMS(g) · g, where RMS(x) = √(mean of x² + ε).

    Both means are running ones. The step has the unit of the weight: a loss that is multiplied by a constant gives the
    same steps. Zeiler 2012, arXiv:1212.5701, algorithm 1, in which lr is 1.

    Args:
        rho: decay of the running means, at least 0 and below 1.
        epsilon: added to both means; it determines the first steps, which have the size √ε.
    """

    lr: float = 1.0
    rho: float = 0.95
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "rho", at_least=0, below=1)
        check_range(self, "epsilon", above=0)

    def build(self, groups: Groups) -> Optimizer:
        return _Adadelta(groups, rho=self.rho, eps=self.epsilon, foreach=True)


@dataclass(frozen=True, kw_only=True)
class RMSProp(OptimizerSettings):
    """RMSProp: the gradient divided by the root of its running mean square, then momentum.

    s ← ρ s + (1 - ρ) g², v ← μ v + g / (√s + ε), w ← w - lr v. Tieleman and Hinton 2012, "Neural networks for machine
    learning", lecture 6e; the centered form is that of Graves 2013, arXiv:1308.0850, eq. 38 to 41, where ε is inside of
    the root. As in torch, the learning rate multiplies the velocity.

    Args:
        rho: decay of the running means, at least 0 and below 1.
        epsilon: added to the denominator.
        momentum: μ, at least 0 and below 1.
        centered: divide by the running standard deviation of the gradient instead of its root mean square.
    """

    lr: float = 1e-3
    rho: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "rho", "momentum", at_least=0, below=1)
        check_range(self, "epsilon", above=0)

    def build(self, groups: Groups) -> Optimizer:
        rest = {"momentum": self.momentum, "centered": self.centered, "foreach": True}
        return _RMSprop(groups, alpha=self.rho, eps=self.epsilon, **rest)


def gradients_of(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """Return the gradients of parameters that have one."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def adam_steps(
    statistics: Sequence[dict[str, Any]],
    parameters: Sequence[nn.Parameter],
    betas: tuple[float, float],
    epsilon: float,
) -> list[Tensor]:
    """Return Adam's step m̂ / (√v̂ + ε) for the gradient of each parameter, after an update of its statistics."""
    gradients = gradients_of(parameters)
    for own, parameter in zip(statistics, parameters, strict=True):
        if not own:
            own |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
        own["step"] += 1
    means, squares = [own["mean"] for own in statistics], [own["square"] for own in statistics]
    torch._foreach_lerp_(means, gradients, 1 - betas[0])
    torch._foreach_mul_(squares, betas[1])
    torch._foreach_addcmul_(squares, gradients, gradients, value=1 - betas[1])
    roots = torch._foreach_div(squares, [1 - betas[1] ** own["step"] for own in statistics])
    torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, epsilon)
    steps = torch._foreach_div(means, [1 - betas[0] ** own["step"] for own in statistics])
    torch._foreach_div_(steps, roots)
    return list(steps)


@dataclass(frozen=True, kw_only=True)
class Adam(OptimizerSettings):
    """Adam: a rate for each weight, from running means of the gradient and the squared gradient.

    Kingma and Ba 2014, arXiv:1412.6980, algorithm 1.

    Args:
        betas: decay of the running means of the gradient and of its square, each at least 0 and below 1.
        epsilon: added to the denominator.
    """

    lr: float = 1e-3
    betas: tuple[float, ...] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "epsilon", at_least=0)
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas must be two numbers, at least 0 and below 1; received {self.betas}.")

    def build(self, groups: Groups) -> Optimizer:
        return _Adam(groups, betas=(self.betas[0], self.betas[1]), eps=self.epsilon, fused=True)


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: w ← w - lr · weight_decay · w, in addition to Adam's step.

    Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2. As in torch, the decay is multiplied by the learning
    rate; theirs only by the factor of the schedule.
    """

    def build(self, groups: Groups) -> Optimizer:
        return _AdamW(groups, betas=(self.betas[0], self.betas[1]), eps=self.epsilon, fused=True)


for _name, _kind in (
    ("adagrad", Adagrad),
    ("adadelta", Adadelta),
    ("rmsprop", RMSProp),
    ("adam", Adam),
    ("adamw", AdamW),
):
    OPTIMIZERS.add(_name, _kind)
