"""Everything that a training changes or needs to make its next step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from striate.core.device import ExecutionPlan
from striate.core.duration import Clock
from striate.core.protocols import Constrained
from striate.core.rng import Stream
from striate.training.losses import Loss
from striate.training.optimizers import split_parameters


@dataclass(kw_only=True)
class TrainState:
    """A training between two steps.

    What changes is the weights and buffers of `model`, the statistics of `optimizer`, and `clock`: with these three
    and the same settings a training can be continued anywhere. `schedule` gives the factor of each group's
    `initial_lr`; `clip_norm` bounds the norm of the gradient of all parameters together; `l1` is the factor of Σ|w|
    over the weights (biases and normalizations apart), `auxiliary` that of the loss of each auxiliary classifier, where
    `model` has any. `plan` is how it is executed: `model` has been brought into it
    by `plan.adopt`, and `optimizer` was made after that.
    """

    model: nn.Module
    optimizer: Optimizer
    schedule: Callable[[Clock], float]
    loss: Loss
    clock: Clock
    plan: ExecutionPlan
    seed: int = 0
    clip_norm: float | None = None
    l1: float = 0.0
    auxiliary: float = 0.0
    noise: Stream = field(init=False)
    parameters: tuple[nn.Parameter, ...] = field(init=False)
    weights: tuple[nn.Parameter, ...] = field(init=False)
    constrained: tuple[Constrained, ...] = field(init=False)

    def __post_init__(self) -> None:
        weights, others = split_parameters(self.model)
        self.noise = Stream(self.seed, "training.noise")
        self.parameters = (*weights, *others)
        self.weights = tuple(weights)
        self.constrained = tuple(module for module in self.model.modules() if isinstance(module, Constrained))
        for group in self.optimizer.param_groups:  # one not from OptimizerSettings.create
            group.setdefault("initial_lr", group["lr"])
