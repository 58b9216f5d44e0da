"""LAMB: Adam with the step of each layer in proportion to its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import Optimizer

from striate.core.compiler import without_compiler
from striate.training.optimizers.adaptive import Adam, adam_step
from striate.training.optimizers.settings import OPTIMIZERS, Groups


class _LAMB(Optimizer):
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                step = adam_step(self.state[parameter], parameter, group["betas"], group["epsilon"])
                step.add_(parameter, alpha=group["weight_decay"])
                if parameter.ndim > 1:
                    weight, way = parameter.norm(), step.norm()
                    step.mul_(torch.where((weight > 0) & (way > 0), weight / way, torch.ones_like(weight)))
                parameter.sub_(step, alpha=group["lr"])


_rule = without_compiler(_LAMB)


@dataclass(frozen=True, kw_only=True)
class LAMB(Adam):
    """LAMB, for large batches: w ← w - lr · ‖w‖ / ‖s‖ · s for each layer, where s = m̂ / (√v̂ + ε) + weight_decay · w.

    You et al. 2019, arXiv:1904.00962, algorithm 2, with φ(x) = x. Where a norm is 0 the factor is 1, and so it is for
    biases and other parameters of one dimension, as in the authors' code.
    """

    def build(self, groups: Groups) -> Optimizer:
        return _rule(groups, {"betas": (self.betas[0], self.betas[1]), "epsilon": self.epsilon})


OPTIMIZERS.add("lamb", LAMB)
