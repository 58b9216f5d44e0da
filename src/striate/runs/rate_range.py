"""The learning-rate range test: how the loss of a run's training changes while the rate grows from step to step.

Smith 2015, arXiv:1506.01186, section 3.3, raises the rate linearly. Here it grows exponentially, as in fastai (Howard
and Gugger 2020, arXiv:2002.04688), so that each order of magnitude has the same number of steps.
"""

from __future__ import annotations

import contextlib
import functools
import math
from dataclasses import dataclass

import numpy as np

from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError, TrainingError
from striate.core.progress import Progress, silent
from striate.core.scalars import check_range
from striate.runs.train import Session, first_state, on_device
from striate.runs.transfer import Features
from striate.tasks.classification import Classification
from striate.training import StepDone, train
from striate.training.losses import CrossEntropy

RULE = "half the rate at which the smoothed loss is lowest"
_MEMORY = 0.9  # weight of the earlier losses in the moving average that ends the test
_DIVERGED = 4.0  # times the lowest average, as in fastai
_WIDTH = 0.2  # standard deviation of the smoothing, in powers of ten of the rate
_START = 10  # first steps, at rates that hardly change the network
_LEAST_FALL = 0.05  # of the loss at the start, for a suggestion


@dataclass(frozen=True, kw_only=True)
class RateRange:
    """The rates of a range test: `steps` in a geometric sequence from `lowest` to `highest`.

    Raises:
        ConfigError: a value out of range.
    """

    lowest: float = 1e-6
    highest: float = 100.0
    steps: int = 240

    def __post_init__(self) -> None:
        check_range(self, "lowest", above=0)
        check_range(self, "steps", at_least=2 * _START)
        if not self.lowest < self.highest < math.inf:
            raise ConfigError(f"highest must be above lowest ({self.lowest:g}) and finite; received {self.highest:g}.")

    def rate(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        return self.lowest * (self.highest / self.lowest) ** (step / (self.steps - 1))


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test.

    `losses[i]` is the loss of a batch before the update with `rates[i]`. `diverged` is the rate at which the test ended
    because the loss diverged; None if it reached the highest rate. `constant` is the loss of equal probabilities of all
    classes, where it is known: a network that has collapsed to them has learned nothing.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    diverged: float | None
    constant: float | None = None

    @functools.cached_property
    def smoothed(self) -> tuple[float, ...]:
        """The losses, averaged over neighbouring rates.

        The weights are a Gaussian of 0.2 powers of ten around each rate. Unlike a moving average of the steps before,
        it does not shift the curve to higher rates. Losses count at most twice the loss at the start, so that the
        divergence does not reach far back.
        """
        powers, losses = np.log10(self.rates), np.array(self.losses)
        weights = np.exp(-0.5 * ((powers[:, None] - powers) / _WIDTH) ** 2)
        bounded = np.minimum(losses, 2.0 * self.start)
        return tuple((weights @ bounded / weights.sum(axis=1)).tolist())

    @property
    def start(self) -> float:
        """The loss before any learning: the mean of the first losses, unless they rise from the first step on.

        At most that of a constant answer.
        """
        known = () if self.constant is None else (self.constant,)
        return min(self.losses[0], float(np.mean(self.losses[:_START])), *known)

    @property
    def lowest(self) -> int:
        """Index of the lowest smoothed loss."""
        return int(np.argmin(self.smoothed))

    @property
    def fault(self) -> str | None:
        """The reason why there is no suggestion, with a remedy; None if there is one."""
        least, at = self.smoothed[self.lowest], f"{self.rates[self.lowest]:.2g}"
        if self.diverged is not None and len(self.losses) <= 2 * _START:
            return f"the loss diverged at once: the lowest rate, {self.rates[0]:.2g}, is too high. Start at a lower one"
        if least > (1.0 - _LEAST_FALL) * self.start:
            return (
                f"the smoothed loss fell by less than {_LEAST_FALL:.0%} at every rate, from {self.start:.3g} to "
                f"{least:.3g} at {at}: the test was too short for this training to begin, its lowest rate too high, or "
                f"there is nothing left to learn. Try more steps than {len(self.losses)}, or start at a lower rate"
            )
        if self.diverged is None and self.lowest == len(self.losses) - 1:
            return f"the smoothed loss still falls at the highest rate, {at}. End at a higher one"
        return None

    @property
    def suggestion(self) -> float | None:
        """Half the rate at which the smoothed loss is lowest, to two digits; None where there is a `fault`.

        In `results/find_lr.md` it is compared with the best constant rate. At twice to four times the rate of the
        lowest loss the training diverges, and it gets there with weights that lower rates have prepared.
        """
        return None if self.fault else float(f"{self.rates[self.lowest] / 2.0:.2g}")


def range_test(session: Session, wanted: RateRange, *, progress: Progress = silent) -> RangeTest:
    """Train a network of `session`, which is not kept, with a rate that grows at every step, until the loss diverges.

    Images, augmentation, loss, optimizer and execution are those of the run; only the schedule is replaced. The rates
    of layers keep their ratios to the base rate. The test ends when a moving average of the loss has lost a third of
    what it had gained or has grown to four times its lowest value, if one of the first losses is four times the very
    first, or if the loss is not finite.

    Raises:
        ConfigError: the run fits a linear classifier on features, which has no learning rate.
        TrainingError: the first loss is not finite.
    """
    recipe = session.plan.recipe
    if isinstance(recipe.transfer, Features):
        raise ConfigError(
            "A linear classifier on features is fitted to the optimum and has no learning rate. Choose a training, as "
            "in --transfer full or --model tiny_vgg."
        )
    batches, _ = session.prepared.load(recipe, progress=progress)
    state = first_state(session, batches, progress=progress)
    batches = on_device(batches, state.plan)

    def factor(clock: Clock) -> float:
        return wanted.rate(clock.step) / recipe.optimizer.lr

    state.schedule, state.schedules = factor, {}
    losses: list[float] = []
    watch = _Divergence()
    diverged = False
    with contextlib.closing(train(state, batches, until=Duration(float(wanted.steps), "st"))) as events:
        try:
            for event in events:
                if isinstance(event, StepDone):
                    losses.append(event.loss)
                    progress("testing learning rates", len(losses), wanted.steps)
                    diverged = watch.note(event.loss)
                if diverged:
                    break
        except TrainingError:  # the loss is not finite
            if not losses:
                raise
            diverged = True
    rates = tuple(map(wanted.rate, range(len(losses))))
    single = isinstance(recipe.task, Classification) and isinstance(recipe.loss, CrossEntropy)
    constant = math.log(len(session.prepared.labels)) if single else None
    return RangeTest(rates, tuple(losses), rates[-1] if diverged else None, constant)


class _Divergence:
    """Watch the exponential moving average of the losses, corrected for its start at 0."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0
        self._first = self._best = 0.0
        self._untrained: float | None = None

    def note(self, loss: float) -> bool:
        """Record a loss; return whether the loss has diverged."""
        self._count += 1
        self._sum = _MEMORY * self._sum + (1.0 - _MEMORY) * loss
        average = self._sum / (1.0 - _MEMORY**self._count)
        if self._untrained is None:
            self._untrained = loss
        if self._count <= _START:  # the average of few losses is noise, and no fall
            self._first = self._best = average
            return loss > _DIVERGED * self._untrained
        self._best = min(self._best, average)
        gained = self._first - self._best
        lost = gained > 2 * _LEAST_FALL * self._first and average > self._best + gained / 3
        return lost or average > _DIVERGED * self._best
