"""Learning-rate schedules: pure functions of the position in training that return a factor of the base rate.

A schedule has no state, so there is nothing to save and nothing to step. An update uses the value in the middle of its
interval: the first update of a warm-up from 0 and the last update of a cosine then change the weights, and no update
falls on a boundary, where rounding would decide.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

from striate.core.duration import Clock, Duration
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range


@dataclass(frozen=True)
class Position:
    """Position in training: `epochs` completed, with fractions, and `fraction` of the whole length, from 0 to 1."""

    epochs: float
    fraction: float


SCHEDULES: Registry[type[Schedule]] = Registry("schedule")


@dataclass(frozen=True, kw_only=True)
class Schedule(Registered, ABC):
    """A schedule with its options, called with a `Position`."""

    registry = SCHEDULES

    @abstractmethod
    def __call__(self, position: Position) -> float:
        """Return the factor of the base learning rate at `position`."""

    def over(self, length: Duration) -> Callable[[Clock], float]:
        """Return the factor as a function of the clock before an update, for a training of `length`.

        If `length` is a time, the factor depends on the speed of the machine and differs between runs.
        """

        def factor(clock: Clock) -> float:
            middle = (length.progress(clock) + length.progress(replace(clock, step=clock.step + 1))) / 2
            return self(Position((clock.step + 0.5) / clock.steps_per_epoch, min(middle, 1.0)))

        return factor


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """Constant base rate."""

    def __call__(self, position: Position) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """Multiplication by `factor` every `every_epochs` epochs: factor^⌊epochs / every_epochs⌋.

    Args:
        every_epochs: epochs between two changes, above 0.
        factor: multiplier of the rate at each change, above 0.
    """

    every_epochs: float = 30.0
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_range(self, "every_epochs", "factor", above=0)

    def __call__(self, position: Position) -> float:
        return self.factor ** math.floor(position.epochs / self.every_epochs)


@dataclass(frozen=True, kw_only=True)
class TimeDecay(Schedule):
    """Decay as 1 / (1 + decay_per_epoch · epochs).

    The sum of the rates diverges, so any distance can be covered, and the sum of their squares converges, so the noise
    vanishes (Robbins and Monro 1951).

    Args:
        decay_per_epoch: speed of the decay, at least 0.
    """

    decay_per_epoch: float = 0.1

    def __post_init__(self) -> None:
        check_range(self, "decay_per_epoch", at_least=0)

    def __call__(self, position: Position) -> float:
        return 1.0 / (1.0 + self.decay_per_epoch * position.epochs)


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to `final_factor`, after a linear warm-up from 0.

    Loshchilov and Hutter 2016, arXiv:1608.03983, eq. 5, without restarts; the warm-up is that of Goyal et al. 2017,
    arXiv:1706.02677, section 2.2.

    Args:
        warmup_fraction: fraction of the training that the warm-up takes, at least 0 and below 1.
        final_factor: factor at the end, from 0 to 1.
    """

    warmup_fraction: float = 0.0
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        check_range(self, "warmup_fraction", at_least=0, below=1)
        check_range(self, "final_factor", at_least=0, at_most=1)

    def __call__(self, position: Position) -> float:
        if position.fraction < self.warmup_fraction:
            return position.fraction / self.warmup_fraction
        descent = (position.fraction - self.warmup_fraction) / (1.0 - self.warmup_fraction)
        return _anneal(1.0, self.final_factor, descent)


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Half cosines from `start_factor` up to 1 during the warm-up, then down to `final_factor`.

    Smith and Topin 2017, arXiv:1708.07120. As in fastai and torch, both parts are cosines; in the paper they are
    linear. Momentum stays constant.

    Args:
        warmup_fraction: fraction of the training that the warm-up takes, at least 0 and below 1.
        start_factor: factor at the start, from 0 to 1.
        final_factor: factor at the end, from 0 to 1.
    """

    warmup_fraction: float = 0.3
    start_factor: float = 0.04
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        check_range(self, "warmup_fraction", at_least=0, below=1)
        check_range(self, "start_factor", "final_factor", at_least=0, at_most=1)

    def __call__(self, position: Position) -> float:
        if position.fraction < self.warmup_fraction:
            return _anneal(self.start_factor, 1.0, position.fraction / self.warmup_fraction)
        descent = (position.fraction - self.warmup_fraction) / (1.0 - self.warmup_fraction)
        return _anneal(1.0, self.final_factor, descent)


def _anneal(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * fraction)) / 2.0


SCHEDULES.add("constant", Constant)
SCHEDULES.add("step", Step)
SCHEDULES.add("time_decay", TimeDecay)
SCHEDULES.add("cosine", Cosine)
SCHEDULES.add("one_cycle", OneCycle)
