"""Averages of weights over the course of a training: they are evaluated and kept in place of the last weights."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan
from striate.core.duration import Clock, Duration
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range
from striate.tasks import Task
from striate.training.backward import pieces

AVERAGES: Registry[type[Average]] = Registry("average")


@dataclass(frozen=True, kw_only=True)
class Average(Registered, ABC):
    """Options of an average: when the weights enter it, and with which share.

    Attributes:
        from_start: the weights before the first step are its first value.
        continued: the training continues from the average.
        recomputed: batch-norm statistics of the average are those of the training images under its weights, computed
            whenever it changes. Otherwise they are averaged as the weights are.
    """

    registry = AVERAGES

    from_start: ClassVar[bool] = False
    continued: ClassVar[bool] = False
    recomputed: ClassVar[bool] = False

    @abstractmethod
    def due(self, now: Clock, length: Duration | None) -> bool:
        """Return whether the weights after the step at `now` enter the average, in a training of `length`."""

    @abstractmethod
    def share(self, count: int) -> float:
        """Return the share s of the `count`-th weights: average ← average + s · (weights - average)."""


@dataclass(frozen=True, kw_only=True)
class EMA(Average):
    """Exponential moving average of the weights after each step: Σ decayᵀ⁻ᵗ wₜ / Σ decayᵀ⁻ᵗ over the steps t = 1 … T.

    Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; with decay as in Szegedy et al.
    2015, arXiv:1512.00567, section 8. The sum is normalised as in Adam (arXiv:1412.6980, section 3), so that the
    initial weights have no share. Batch-norm statistics are averaged with the same shares, other buffers are copied.

    Args:
        decay: factor by which the share of a step's weights decreases with each later step, at least 0 and below 1. The
            average reaches back about 1 / (1 - decay) steps.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        check_range(self, "decay", at_least=0, below=1)

    def due(self, now: Clock, length: Duration | None) -> bool:
        return True

    def share(self, count: int) -> float:
        return (1.0 - self.decay) / (1.0 - self.decay**count)


@dataclass(frozen=True, kw_only=True)
class SWA(Average):
    """Stochastic weight averaging: the mean of the weights at the ends of epochs.

    Izmailov et al. 2018, arXiv:1803.05407, algorithm 1. The weights differ, so that their mean is better than each of
    them, only while the learning rate is not small: use a constant schedule, or one that does not end at 0. Batch-norm
    statistics are recomputed by a forward pass over the training images, whenever weights enter the mean: each is the
    mean over the batches. The pass is as in evaluation (without dropout), where that of the authors is as in training.

    Args:
        start: fraction of the training after which epochs count, at least 0 and below 1.
        every_epochs: epochs between two weights that enter the mean, at least 1.
    """

    recomputed: ClassVar[bool] = True

    start: float = 0.75
    every_epochs: int = 1

    def __post_init__(self) -> None:
        check_range(self, "start", at_least=0, below=1)
        check_range(self, "every_epochs", at_least=1)

    def due(self, now: Clock, length: Duration | None) -> bool:
        begun = length is None or length.progress(now) > self.start
        return begun and now.at_epoch_end and now.epoch % self.every_epochs == 0

    def share(self, count: int) -> float:
        return 1.0 / count


@dataclass(frozen=True, kw_only=True)
class Lookahead(Average):
    """Lookahead: after every k steps, slow ← slow + step · (weights - slow), and the training continues from there.

    Zhang et al. 2019, arXiv:1907.08610, algorithm 1. The statistics of the optimizer are kept. The slow weights are
    evaluated, with batch-norm statistics that are averaged with the same shares; the model continues with its own.

    Args:
        every_steps: k, at least 1.
        step: share of the way from the slow weights to the present ones, above 0 and at most 1.
    """

    from_start: ClassVar[bool] = True
    continued: ClassVar[bool] = True

    every_steps: int = 5
    step: float = 0.5

    def __post_init__(self) -> None:
        check_range(self, "every_steps", at_least=1)
        check_range(self, "step", above=0, at_most=1)

    def due(self, now: Clock, length: Duration | None) -> bool:
        return now.step % self.every_steps == 0

    def share(self, count: int) -> float:
        return self.step


class Averaged:
    """The average of a training: `model` is a copy of the network with the averaged weights, in evaluation mode.

    `count` is the number of weights that have entered it; while it is 0, there is no average yet.
    """

    def __init__(self, average: Average, model: nn.Module) -> None:
        self.average = average
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.count = int(average.from_start)

    def restore(self, model: nn.Module, tensors: Mapping[str, Tensor], count: int) -> None:
        """Restore the average of a checkpoint, whose model is `model`, from its tensors.

        Raises:
            RuntimeError: they are of another network.
        """
        self.model.load_state_dict(tensors if count else model.state_dict())
        self.count = count or int(self.average.from_start)

    @torch.no_grad()
    def enter(self, model: nn.Module) -> None:
        """Let the present weights of `model` enter; a `continued` average replaces them."""
        self.count += 1
        share = self.average.share(self.count)
        statistics = {id(value) for norm in _norms(self.model) for value in (norm.running_mean, norm.running_var)}
        averaged: list[Tensor] = [*self.model.parameters()]
        others: list[Tensor] = [*model.parameters()]
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            if id(own) in statistics:
                averaged.append(own)
                others.append(other)
            else:
                own.copy_(other)
        torch._foreach_lerp_(averaged, others, share)  # pyright: ignore[reportPrivateImportUsage]
        if self.average.continued:
            for own, other in zip(self.model.parameters(), model.parameters(), strict=True):
                other.copy_(own)

    @torch.no_grad()
    def recompute(self, model: nn.Module, task: Task, batches: Iterable[Batch], plan: ExecutionPlan) -> None:
        """Set each batch norm's statistics to the mean, over `batches`, of those of a batch under the averaged weights.

        Norms that are frozen in `model` keep theirs.
        """
        pairs = zip(_norms(self.model), _norms(model), strict=True)
        norms = [own for own, other in pairs if other.training]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.train().momentum = None  # torch then takes the mean over batches
        try:
            for piece in (piece for batch in batches for piece in pieces(batch, plan.micro_batch)):
                placed = Batch(plan.place(piece.images), piece.targets.to(plan.device), piece.index)
                with plan.autocast():
                    task.loss(self.model, placed)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.eval().momentum = momentum


def _norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that keep statistics."""
    return [norm for norm in model.modules() if isinstance(norm, _BatchNorm) and norm.running_mean is not None]


for _kind in (EMA, SWA, Lookahead):
    AVERAGES.add(_kind.__name__.lower(), _kind)
