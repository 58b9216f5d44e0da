"""The base class of optimizers: their common options, and groups of parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import nn
from torch.nn.modules.batchnorm import _NormBase  # every batch and instance normalization, and nothing else
from torch.optim import Optimizer

from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range

Groups = list[dict[str, Any]]
Kinds = list[tuple[list[nn.Parameter], dict[str, Any]]]

OPTIMIZERS: Registry[type[OptimizerSettings]] = Registry("optimizer")


@dataclass(frozen=True, eq=False)
class LayerRate:
    """Parameters with a rate of their own: `factor` times the base rate.

    They are trained from the fraction `start` of the training to `end`, and frozen before and after (`TrainState`).
    """

    parameters: Sequence[nn.Parameter]
    factor: float = 1.0
    start: float = 0.0
    end: float = 1.0


_NORMALIZATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Registered, ABC):
    """Options of an optimizer; `create` builds it.

    Args:
        lr: base learning rate for the recipe's batch size; the schedule multiplies it.
        weight_decay: L2 penalty on weights, never on biases and normalizations: weight_decay · w is added to the
            gradient; adamw, lamb and muon decay weights apart from it.
        l1: L1 penalty on the same weights, as the factor of Σ|w|.
        clip_norm: largest norm of the gradient of all parameters together; none does not clip.
        clip_value: largest absolute value of a gradient, clipped before the norm; none does not clip.
        gradient_noise: η of normal noise of variance η / (1 + step)^0.55, added to the gradient after clipping; none
            adds none. Neelakantan et al. 2015 (arXiv:1511.06807) choose among 0.01, 0.3 and 1.
        max_norm: largest Euclidean norm of the weights of each filter or unit, restored after each update; none
            does not bound them. Layers with a bound of their own (`maxnorm`) keep to both.
        norm_bias_rate: learning rate of the biases of normalizations, as a multiple of the others'; Jordan 2024
            (arXiv:2404.00498, section 3.4) has 64.
        sharpness: ρ of sharpness-aware minimization: the gradient is taken at the weights moved by ρ along the
            gradient, for twice the time; none takes it at the weights.
    """

    registry = OPTIMIZERS

    lr: float
    weight_decay: float = 0.0
    l1: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    gradient_noise: float | None = None
    max_norm: float | None = None
    sharpness: float | None = None
    norm_bias_rate: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "lr", "clip_norm", "clip_value", "gradient_noise", "max_norm", "sharpness", above=0)
        check_range(self, "norm_bias_rate", above=0)
        check_range(self, "weight_decay", "l1", at_least=0)

    def scaled(self, factor: float) -> Self:
        """Return these settings with all learning rates multiplied by `factor`."""
        return replace(self, lr=factor * self.lr)

    def create(self, model: nn.Module, rates: Sequence[LayerRate] = ()) -> Optimizer:
        """Return the optimizer over the trainable parameters of `model`, which must be on its device.

        There is a group for each of `kinds`: weights, which decay, and the rest (biases, normalizations), which does
        not. With `rates` there is one for each rate and kind, and every trainable parameter is in one.
        """
        kinds = self.kinds(model) if self.norm_bias_rate == 1.0 else self._kinds_with_norm_biases(model)
        groups: Groups = []
        for rate in rates or (LayerRate([parameter for parameters, _ in kinds for parameter in parameters]),):
            limits = {"start": rate.start} if rate.start else {}
            limits |= {"end": rate.end} if rate.end < 1 else {}
            own = set(rate.parameters)
            for parameters, options in kinds:
                chosen, lr = [each for each in parameters if each in own], options.get("lr", self.lr) * rate.factor
                groups.append({"params": chosen, **options, "lr": lr, "initial_lr": lr, **limits})
        return self.build([group for group in groups if group["params"]])

    def _kinds_with_norm_biases(self, model: nn.Module) -> Kinds:
        """Return the kinds of parameters, where the biases of normalizations have groups with a rate of their own."""
        biases = {getattr(module, "bias", None) for module in model.modules() if isinstance(module, _NORMALIZATIONS)}
        kinds: Kinds = []
        for parameters, options in self.kinds(model):
            scaled = {**options, "lr": options.get("lr", self.lr) * self.norm_bias_rate}
            kinds.append(([each for each in parameters if each not in biases], options))
            kinds.append(([each for each in parameters if each in biases], scaled))
        return kinds

    def kinds(self, model: nn.Module) -> Kinds:
        """Return the kinds of parameters of `model`, each with the options of its group, where `lr` is a base rate."""
        weights, others = split_parameters(model)
        return [(weights, {"weight_decay": self.weight_decay}), (others, {"weight_decay": 0.0})]

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
