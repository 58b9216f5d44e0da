"""Early stopping on a validation metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from striate.core.errors import ConfigError, TrainingError
from striate.metrics import METRICS


class EarlyStopping:
    """Track the best value of one validation metric, and stop after `patience` evaluations without improvement.

    `metric` is the name of a registered metric, which defines whether higher is better. `patience` is the number of
    consecutive evaluations that may pass without a strictly better value; with None training never stops early. The
    state is a function of the evaluations, so a resumed training restores it from the evaluations in its event log.

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
        """Record an evaluation after `step` steps; return whether it is the best so far (of equal ones, the first).

        Raises:
            TrainingError: the evaluation does not contain the metric.
        """
        if self.metric not in scores:
            raise TrainingError(
                f"Early stopping needs the score {self.metric!r}; the evaluation returns {', '.join(scores)} only."
            )
        value = scores[self.metric]
        if math.isfinite(value) and (self.best_value is None or self._better(value, self.best_value)):
            self.best_value, self.best_step, self.waited = value, step, 0
            return True
        self.waited += 1
        return False

    def recall(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Record the evaluations in an event log.

        Those without the metric do not count: they were made before the user chose another one.
        """
        for event in events:
            if event["event"] == "evaluated" and self.metric in event["scores"]:
                self.note(event["clock"]["step"], event["scores"])

    @property
    def exhausted(self) -> bool:
        """Whether the metric has not improved for `patience` evaluations."""
        return self.patience is not None and self.waited >= self.patience

    @property
    def reason(self) -> str:
        """Reason for the end of a training when the patience is exhausted."""
        evaluations = "1 evaluation" if self.patience == 1 else f"{self.patience} evaluations"
        return f"the validation {METRICS[self.metric].title} has not improved for {evaluations}"
