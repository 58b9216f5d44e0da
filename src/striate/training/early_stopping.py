"""Readers of a training's events that decide something: which weights were the best, and whether to go on."""

from __future__ import annotations

import math
from collections.abc import Mapping

from striate.core.errors import ConfigError, TrainingError
from striate.metrics import METRICS


class EarlyStopping:
    """Follows one validation metric: where it was best, and whether the patience is used up.

    `metric` is a registered one and knows whether more of it is better. `patience` is the number of evaluations in a
    row that may pass without a strictly better value; None waits for ever and only remembers the best. The state is
    a function of the evaluations seen, so a resumed training notes those of its journal again and needs nothing more.

    Raises:
        ConfigError: there is no such metric, or the patience is less than 1.
    """

    def __init__(self, metric: str = "accuracy", patience: int | None = None) -> None:
        if patience is not None and patience < 1:
            raise ConfigError(f"Patience is at least 1 evaluation, or none; received {patience}.")
        self.metric = metric
        self.patience = patience
        self.best_value: float | None = None
        self.best_step: int | None = None
        self.waited = 0
        self._better = METRICS[metric].better

    def note(self, step: int, scores: Mapping[str, float]) -> bool:
        """Take in an evaluation made after `step` steps; whether it is the best so far. Of equal ones the first is.

        Raises:
            TrainingError: the evaluation does not tell the metric.
        """
        if self.metric not in scores:
            raise TrainingError(
                f"The training is followed by {self.metric!r}, and its evaluation tells {', '.join(scores)} only."
            )
        value = scores[self.metric]
        if math.isfinite(value) and (self.best_value is None or self._better(value, self.best_value)):
            self.best_value, self.best_step, self.waited = value, step, 0
            return True
        self.waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the metric has not improved for `patience` evaluations."""
        return self.patience is not None and self.waited >= self.patience

    @property
    def reason(self) -> str:
        """Why a training ends when this is exhausted."""
        evaluations = "1 evaluation" if self.patience == 1 else f"{self.patience} evaluations"
        return f"the validation {METRICS[self.metric].title} has not improved for {evaluations}"
