"""Torch's optimizers, without weight decay of biases and normalizations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn, optim
from torch.nn.modules.batchnorm import _NormBase  # every batch and instance normalization, and nothing else
from torch.optim import Optimizer

from striate.core.compiler import without_compiler
from striate.core.errors import ConfigError
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range

Groups = list[dict[str, Any]]

OPTIMIZERS: Registry[type[OptimizerSettings]] = Registry("optimizer")


@dataclass(frozen=True, eq=False)
class LayerRate:
    """Parameters with a rate of their own: `factor` times the base rate, from the fraction `start` of the training on.

    Before `start` they are frozen (`TrainState`).
    """

    parameters: Sequence[nn.Parameter]
    factor: float = 1.0
    start: float = 0.0


_NORMALIZATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Registered, ABC):
    """Options of an optimizer; `create` builds it.

    Args:
        lr: base learning rate for the recipe's batch size; the schedule multiplies it.
        weight_decay: L2 penalty on weights, never on biases and normalizations: sgd and adam add weight_decay · w to
            the gradient, adamw decays weights apart from it.
        l1: L1 penalty on the same weights, as the factor of Σ|w|.
        clip_norm: largest norm of the gradient of all parameters together; none does not clip.
    """

    registry = OPTIMIZERS

    lr: float
    weight_decay: float = 0.0
    l1: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        check_range(self, "lr", "clip_norm", above=0)
        check_range(self, "weight_decay", "l1", at_least=0)

    def create(self, model: nn.Module, rates: Sequence[LayerRate] = ()) -> Optimizer:
        """Return the optimizer over the trainable parameters of `model`, which must be on its device.

        There are two groups: weights, which decay, and the rest (biases, normalizations), which does not. With `rates`
        there are two for each of them, and every trainable parameter is in one.
        """
        decayed, others = split_parameters(model)
        groups: Groups = []
        for rate in rates or (LayerRate((*decayed, *others)),):
            own, lr = set(rate.parameters), self.lr * rate.factor
            common = {"lr": lr, "initial_lr": lr} | ({"start": rate.start} if rate.start else {})
            for parameters, decay in ((decayed, self.weight_decay), (others, 0.0)):
                chosen = [parameter for parameter in parameters if parameter in own]
                groups.append({"params": chosen, "weight_decay": decay, **common})
        return self.build([group for group in groups if group["params"]])

    @abstractmethod
    def build(self, groups: Groups) -> Optimizer:
        """Return the optimizer over parameter groups, which hold their own `lr` and `weight_decay`."""


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split the trainable parameters of `model`, each once, into those with penalties and all others.

    Penalties act on weights of at least two dimensions. Decay of biases and of the parameters of normalizations reduces
    accuracy (He et al. 2018, arXiv:1812.01187, section 3.1).
    """
    weights: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            exempt = name.endswith("bias") or parameter.ndim < 2 or isinstance(module, _NORMALIZATIONS)
            (others if exempt else weights).append(parameter)
    return weights, others


_SGD, _Adam, _AdamW = (without_compiler(rule) for rule in (optim.SGD, optim.Adam, optim.AdamW))

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

    Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2.
    """

    def build(self, groups: Groups) -> Optimizer:
        return _AdamW(groups, betas=(self.betas[0], self.betas[1]), eps=self.epsilon, fused=True)


OPTIMIZERS.add("sgd", SGD)
OPTIMIZERS.add("adam", Adam)
OPTIMIZERS.add("adamw", AdamW)
