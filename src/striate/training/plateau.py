"""The schedule that follows the evaluations: a lower learning rate where a validation metric no longer improves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from striate.core.duration import Clock, Duration
from striate.core.errors import TrainingError
from striate.core.scalars import check_range
from striate.metrics import METRICS
from striate.training.schedules import SCHEDULES, Position, Schedule


@runtime_checkable
class FollowsEvaluations(Protocol):
    """A factor of the learning rate that depends on the evaluations so far, in order.

    `train_session` notes those in the event log, and then each new one. So a resumed training has the same factors as
    an uninterrupted one, and a checkpoint holds nothing more.
    """

    def __call__(self, clock: Clock) -> float: ...
    def note(self, scores: Mapping[str, float]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """Multiplication by `factor` whenever a metric has not improved for `patience` evaluations.

    As `torch.optim.lr_scheduler.ReduceLROnPlateau`, whose patience is ours - 1: it is the number of evaluations that
    are tolerated, ours the number that lead to a reduction, as in `stop.patience`. An evaluation improves on the best
    one if it is better by more than `threshold` times the best.

    Args:
        factor: multiplier of the rate at each reduction, above 0 and below 1.
        patience: evaluations without improvement that lead to a reduction, at least 1.
        metric: accuracy or loss on the validation split.
        threshold: smallest relative improvement that counts, at least 0.
        cooldown: evaluations after a reduction that do not count as without improvement, at least 0.
        minimum_factor: factor of the base rate below which there is no reduction, from 0 to 1.
    """

    factor: float = 0.1
    patience: int = 5
    metric: Literal["accuracy", "loss"] = "loss"
    threshold: float = 1e-4
    cooldown: int = 0
    minimum_factor: float = 0.0

    def __post_init__(self) -> None:
        check_range(self, "factor", above=0, below=1)
        check_range(self, "patience", at_least=1)
        check_range(self, "threshold", "cooldown", at_least=0)
        check_range(self, "minimum_factor", at_least=0, at_most=1)

    def __call__(self, position: Position) -> float:
        """Return the factor before any evaluation."""
        return 1.0

    def over(self, length: Duration, *, part: float = 1.0) -> Callable[[Clock], float]:
        """Return a factor that follows the evaluations (`FollowsEvaluations`); length, part and clock do not matter."""
        return _Reductions(self)


@dataclass(eq=False)
class _Reductions:
    """The factor of a `Plateau` after the evaluations that were noted."""

    settings: Plateau
    factor: float = 1.0
    best: float | None = None
    waited: int = 0
    cooling: int = 0

    def __call__(self, clock: Clock) -> float:
        return self.factor

    def note(self, scores: Mapping[str, float]) -> None:
        """Record an evaluation, and reduce the factor if it is the last one that the patience allows.

        Raises:
            TrainingError: the evaluation does not contain the metric.
        """
        settings = self.settings
        if settings.metric not in scores:
            raise TrainingError(
                f"The schedule needs the score {settings.metric!r}; the evaluation returns {', '.join(scores)} only."
            )
        value = scores[settings.metric]
        if self._improves(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooling:
            self.cooling, self.waited = self.cooling - 1, 0
        if self.waited >= settings.patience:
            self.factor = min(self.factor, max(self.factor * settings.factor, settings.minimum_factor))
            self.cooling, self.waited = settings.cooldown, 0

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return value == value  # NaN is no best
        higher = METRICS[self.settings.metric].higher_is_better
        least = self.best * (1.0 + self.settings.threshold if higher else 1.0 - self.settings.threshold)
        return value > least if higher else value < least


SCHEDULES.add("plateau", Plateau)
