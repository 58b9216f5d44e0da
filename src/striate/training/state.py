"""The state of a training: everything that a step reads or changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from striate.core.device import ExecutionPlan
from striate.core.duration import Clock, Duration
from striate.core.processes import ALONE, Processes
from striate.core.protocols import Constrained
from striate.core.rng import Stream
from striate.tasks import Task
from striate.training.averages import Average, Averaged
from striate.training.optimizers import split_parameters


@dataclass(kw_only=True)
class TrainState:
    """The state of a training between two steps.

    A step changes the weights and buffers of `model`, the statistics of `optimizer`, `clock` and `averaged`: with these
    and the same settings a training can be resumed at any step. `task` computes the loss. `schedule` returns the factor
    of each group's `initial_lr`. `clip_norm`, `clip_value`, `gradient_noise`, `l1`, `max_norm` and `sharpness` are the
    options of `OptimizerSettings`. `average` is the average of the weights that is evaluated and kept, and `averaged`
    holds it. `plan` is the execution plan: call `plan.adopt` on `model` first, then create `optimizer`. A step that
    finds too little memory replaces it. `kept_buffers` are copies of the `buffers` of `model` from before the step.
    `processes` train together: between steps, their states are the same to the bit.

    Parameters of a group of `optimizer` with a `start` (`LayerRate`) are frozen until that fraction of `length`, and
    those of a group with an `end` from that fraction on. `schedules` replace `schedule` for groups with these ends.
    Modules whose parameters are all frozen run in evaluation mode, so that batch norms keep their statistics. With
    `keep_statistics`, all batch norms that have running statistics use them in training too, and keep them.
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
    clip_value: float | None = None
    gradient_noise: float | None = None
    max_norm: float | None = None
    sharpness: float | None = None
    average: Average | None = None
    length: Duration | None = None
    processes: Processes = ALONE
    keep_statistics: bool = False
    schedules: Mapping[float, Callable[[Clock], float]] = field(default_factory=dict)
    noise: Stream = field(init=False)
    parameters: tuple[nn.Parameter, ...] = field(init=False)
    weights: tuple[nn.Parameter, ...] = field(init=False)
    constrained: tuple[Constrained, ...] = field(init=False)
    staged: tuple[Mapping[str, Any], ...] = field(init=False)
    averaged: Averaged | None = field(init=False)
    buffers: tuple[Tensor, ...] = field(init=False)
    kept_buffers: tuple[Tensor, ...] = field(init=False)

    def __post_init__(self) -> None:
        weights, others = split_parameters(self.model)
        self.noise = Stream(self.seed, "training.noise")
        self.parameters = (*weights, *others)
        self.weights = tuple(weights)
        self.constrained = tuple(module for module in self.model.modules() if isinstance(module, Constrained))
        for group in self.optimizer.param_groups:  # for optimizers not from OptimizerSettings.create
            group.setdefault("initial_lr", group["lr"])
        self.staged = tuple(group for group in self.optimizer.param_groups if group.get("start") or "end" in group)
        self.buffers = tuple(self.model.buffers())
        self.kept_buffers = tuple(buffer.clone() for buffer in self.buffers)
        self.averaged = None if self.average is None else Averaged(self.average, self.model)

    @property
    def network(self) -> nn.Module:
        """The network to evaluate and keep: the one with the averaged weights where there is an average, or `model`."""
        return self.averaged.model if self.averaged and self.averaged.count else self.model

    def seed_step(self) -> None:
        """Seed the random numbers of layers, such as dropout, for the step at `clock`; they differ between processes.

        They use torch's global generator: seeded by the number of the step, it need not be replayed on resume.
        """
        own = (self.processes.rank,) if self.processes.rank else ()
        self.plan.seed(self.noise.torch_seed(self.clock.step, *own))

    def begin(self) -> None:
        """Freeze and thaw parameters for the step at `clock`, and put the model into the modes of training."""
        self.thaw()
        self._set_modes()

    def thaw(self) -> None:
        """Freeze the parameters whose training has not begun or is over at `clock`, and thaw all others."""
        changed = False
        for group in self.staged:
            now = 0.0 if self.length is None else self.length.progress(self.clock)
            trained = (self.length is None or now >= group.get("start", 0.0)) and now < group.get("end", math.inf)
            for parameter in group["params"]:
                changed |= parameter.requires_grad != trained
                parameter.requires_grad_(trained)
        if changed:
            self._set_modes()

    def _set_modes(self) -> None:
        self.model.train()
        for module in self.model.modules():
            parameters = list(module.parameters())
            frozen = parameters and not any(parameter.requires_grad for parameter in parameters)
            if frozen or (self.keep_statistics and isinstance(module, _BatchNorm) and module.running_mean is not None):
                module.eval()
