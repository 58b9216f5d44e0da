"""Gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass

from torch import optim
from torch.optim import Optimizer

from striate.core.compiler import without_compiler
from striate.core.errors import ConfigError
from striate.core.scalars import check_range
from striate.training.optimizers.settings import OPTIMIZERS, Groups, OptimizerSettings

_SGD = without_compiler(optim.SGD)

# torch's fused kernels make one pass over memory and one call from Python for all parameters. Separate calls take most
# of the time of an update in a small model.


@dataclass(frozen=True, kw_only=True)
class SGD(OptimizerSettings):
    """Gradient descent with momentum: v ← μ v + g, w ← w - lr v (Polyak 1964).

    With Nesterov's momentum, w ← w - lr (g + μ v), in the form of Sutskever et al. 2013. As in torch, the learning
    rate multiplies the velocity; in the paper it multiplies the gradient within the velocity.

    Args:
        momentum: μ, at least 0 and below 1.
        nesterov: use Nesterov's momentum; needs momentum above 0.
    """

    lr: float = 0.05
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "momentum", at_least=0, below=1)
        if self.nesterov and self.momentum == 0:
            raise ConfigError("nesterov needs momentum above 0; received momentum 0. Raise it, or set nesterov=false.")

    def build(self, groups: Groups) -> Optimizer:
        return _SGD(groups, momentum=self.momentum, nesterov=self.nesterov, fused=True)


@dataclass(frozen=True, kw_only=True)
class SAM(SGD):
    """Sharpness-aware minimization: gradient descent by the gradient at w + ρ g / ‖g‖, where g is that at w.

    Foret et al. 2020, arXiv:2010.01412, algorithm 1. Each step takes two passes over its batch. `sharpness` is ρ; the
    other optimizers have the same option.
    """

    sharpness: float | None = 0.05


OPTIMIZERS.add("sgd", SGD)
OPTIMIZERS.add("sam", SAM)
