"""The state of a training: everything that a step reads or changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from striate.core.device import ExecutionPlan
from striate.core.duration import Clock
from striate.core.protocols import Constrained
from striate.core.rng import Stream
from striate.tasks import Task
from striate.training.optimizers import split_parameters


@dataclass(kw_only=True)
class TrainState:
    """The state of a training between two steps.

    A step changes the weights and buffers of `model`, the statistics of `optimizer`, and `clock`: with these three
    and the same settings a training can be resumed at any step. `task` computes the loss. `schedule` returns the factor
    of each group's `initial_lr`. `clip_norm` bounds the norm of the gradient of all parameters together. `l1` is the
    factor of Σ|w| over the weights (without biases and normalizations). `plan` is the execution plan: call `plan.adopt`
    on `model` first, then create `optimizer`.
    """

    model: nn.Module
    optimizer: Optimizer
    schedule: Callable[[Clock], float]
    task: Task
    clock: Clock
    plan: ExecutionPlan
    seed: int = 0
    clip_norm: float | None = None
    l1: float = 0.0
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
        for group in self.optimizer.param_groups:  # for optimizers not from OptimizerSettings.create
            group.setdefault("initial_lr", group["lr"])
