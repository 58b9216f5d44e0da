"""Learning-rate schedules: pure functions of the position in training that return a factor of the base rate.

A schedule has no state, so there is nothing to save and nothing to step (`plateau` follows the evaluations in the event
log). An update uses the value in the middle of its interval: the first update of a warm-up from 0 and the last update
of a cosine then change the weights, and no update falls on a boundary, where rounding would decide.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError
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

    def over(self, length: Duration, *, part: float = 1.0) -> Callable[[Clock], float]:
        """Return the factor as a function of the clock before an update, for a training of `length`.

        Its course takes the fraction `part` of the training: it passes epochs that much faster. If `length` is a time,
        the factor depends on the speed of the machine and differs between runs.
        """

        def factor(clock: Clock) -> float:
            middle = (length.progress(clock) + length.progress(replace(clock, step=clock.step + 1))) / 2
            return self(Position((clock.step + 0.5) / clock.steps_per_epoch / part, min(middle / part, 1.0)))

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
class Milestones(Schedule):
    """Multiplication by `factor` at each of `at_epochs`: factor^(number of milestones passed).

    The default is that of Goyal et al. 2017, arXiv:1706.02677, section 5.1, for 90 epochs.

    Args:
        at_epochs: epochs at which the rate changes, in ascending order, above 0.
        factor: multiplier of the rate at each change, above 0.
    """

    at_epochs: tuple[float, ...] = (30.0, 60.0, 80.0)
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_range(self, "factor", above=0)
        if not self.at_epochs or any(later <= before for before, later in pairwise((0.0, *self.at_epochs))):
            received = ", ".join(f"{epoch:g}" for epoch in self.at_epochs) or "none"
            raise ConfigError(f"at_epochs must be epochs above 0 in ascending order; received {received}.")

    def __call__(self, position: Position) -> float:
        return self.factor ** sum(epoch <= position.epochs for epoch in self.at_epochs)


@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """Decay as factor_per_epoch^epochs, a little at every update.

    Args:
        factor_per_epoch: multiplier of the rate over one epoch, above 0 and at most 1.
    """

    factor_per_epoch: float = 0.95

    def __post_init__(self) -> None:
        check_range(self, "factor_per_epoch", above=0, at_most=1)

    def __call__(self, position: Position) -> float:
        return self.factor_per_epoch**position.epochs


@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """Decay as (1 - fraction)^power from 1 down to `final_factor`, after a linear warm-up from 0.

    The fraction is that of the training after the warm-up. With power 1 the decay is linear; Chen et al. 2016,
    arXiv:1606.00915, section 4.1, have power 0.9.

    Args:
        power: exponent of the decay, above 0.
        warmup_fraction: fraction of the training that the warm-up takes, at least 0 and below 1.
        final_factor: factor at the end, from 0 to 1.
    """

    power: float = 1.0
    warmup_fraction: float = 0.0
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        check_range(self, "power", above=0)
        check_range(self, "warmup_fraction", at_least=0, below=1)
        check_range(self, "final_factor", at_least=0, at_most=1)

    def __call__(self, position: Position) -> float:
        if position.fraction < self.warmup_fraction:
            return position.fraction / self.warmup_fraction
        left = (1.0 - position.fraction) / (1.0 - self.warmup_fraction)
        return self.final_factor + (1.0 - self.final_factor) * left**self.power


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
    arXiv:1706.02677, section 2.2, which starts at the rate of one of its processes instead of 0.

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
class CosineRestarts(Schedule):
    """Half cosines from 1 down to `final_factor`, each from a restart to the next, after a linear warm-up from 0.

    Loshchilov and Hutter 2016, arXiv:1608.03983, eq. 5 with T_0 = `first_epochs` and T_mult = `growth`. The last
    cosine is complete only if the training ends at the end of a cycle: with the defaults at 10, 30, 70, 150 … epochs.

    Args:
        first_epochs: epochs of the first cycle, above 0.
        growth: length of a cycle relative to the one before, at least 1.
        warmup_epochs: epochs of the warm-up, before the first cycle, at least 0.
        final_factor: factor at the end of each cycle, from 0 to 1.
    """

    first_epochs: float = 10.0
    growth: float = 2.0
    warmup_epochs: float = 0.0
    final_factor: float = 0.0

    def __post_init__(self) -> None:
        check_range(self, "first_epochs", above=0)
        check_range(self, "growth", at_least=1)
        check_range(self, "warmup_epochs", at_least=0)
        check_range(self, "final_factor", at_least=0, at_most=1)

    def __call__(self, position: Position) -> float:
        if position.epochs < self.warmup_epochs:
            return position.epochs / self.warmup_epochs
        return _anneal(1.0, self.final_factor, self._within_cycle(position.epochs - self.warmup_epochs))

    def _within_cycle(self, epochs: float) -> float:
        """Return the fraction of the present cycle that has passed, from 0 to 1."""
        cycles = epochs / self.first_epochs
        if self.growth == 1.0:
            return cycles % 1.0
        complete = math.floor(math.log1p(cycles * (self.growth - 1.0)) / math.log(self.growth))
        length = self.growth**complete
        passed = (cycles - (length - 1.0) / (self.growth - 1.0)) / length
        return min(max(passed, 0.0), 1.0)  # the logarithm rounds


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
SCHEDULES.add("milestones", Milestones)
SCHEDULES.add("exponential", Exponential)
SCHEDULES.add("polynomial", Polynomial)
SCHEDULES.add("time_decay", TimeDecay)
SCHEDULES.add("cosine", Cosine)
SCHEDULES.add("cosine_restarts", CosineRestarts)
SCHEDULES.add("one_cycle", OneCycle)
