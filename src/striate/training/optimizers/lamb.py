"""LAMB: Adam with the step of each layer in proportion to its weights."""

# pyright: reportPrivateImportUsage=false
# torch documents its functions of lists of tensors, which take one call for all parameters, and exports none of them.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import Optimizer

from striate.core.compiler import without_compiler
from striate.training.optimizers.adaptive import Adam, adam_steps
from striate.training.optimizers.settings import OPTIMIZERS, Groups


class _LAMB(Optimizer):
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            statistics = [self.state[parameter] for parameter in parameters]
            steps = adam_steps(statistics, parameters, group["betas"], group["epsilon"])
            torch._foreach_add_(steps, parameters, alpha=group["weight_decay"])
            for parameter, step in zip(parameters, steps, strict=True):
                if parameter.ndim > 1:
                    weight, way = parameter.norm(), step.norm()
                    step.mul_(torch.where((weight > 0) & (way > 0), weight / way, torch.ones_like(weight)))
            torch._foreach_sub_(parameters, steps, alpha=group["lr"])


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
