"""Where a training stands, how fast it goes, and when it will be over."""

from __future__ import annotations

import time
from collections.abc import Mapping

from striate.cli.show.console import percent, span
from striate.core.duration import Clock
from striate.recipes.events import RunStarted


class Pace:
    """Where a training stands, how fast it goes and when it will be over."""

    def __init__(self, event: RunStarted) -> None:
        self.scores: Mapping[str, float] = {}
        self.share = 0.0
        self.evaluations_expected = 1.0
        self._until, self._batch_size = event.until, event.plan.recipe.batch_size
        self._steps_per_epoch = event.steps_per_epoch
        self._steps = event.until.steps(event.steps_per_epoch)
        self._first: tuple[float, float] = time.monotonic(), 0.0
        self._first_step: int | None = None
        between = event.plan.recipe.evaluate_every.steps(event.steps_per_epoch)
        if self._steps is not None and between is not None:
            self.evaluations_expected = self._steps / between

    def step(self, clock: Clock, loss: float) -> None:
        """Note one step."""
        self._clock, self._loss = clock, loss
        self.share = min(1.0, self._until.progress(clock))
        if self._first_step is None:  # the first one warms up: the pace is that of those after it
            self._first, self._first_step = (time.monotonic(), self.share), clock.step

    def evaluated(self, scores: Mapping[str, float]) -> None:
        """Note the validation scores."""
        self.scores = scores

    def line(self) -> str:
        """Epoch, step, loss, validation, pictures per second and time left."""
        began, share = self._first
        passed, gained = time.monotonic() - began, self.share - share
        epochs = "" if self._steps is None else f"/{self._steps / self._steps_per_epoch:g}"
        steps = "" if self._steps is None else f"/{self._steps}"
        parts = [
            f"epoch {self._clock.epochs:.4g}{epochs}",
            f"step {self._clock.step}{steps}",
            f"loss {self._loss:.4f}",
        ]
        if self.scores:
            parts.append(f"validation {percent(self.scores.get('accuracy'))} (loss {self.scores['loss']:.4f})")
        if passed > 0 and gained > 0:
            speed = (self._clock.step - (self._first_step or 0)) * self._batch_size / passed
            parts += [f"{speed:,.0f} pictures/s", f"{span(passed * (1 - self.share) / gained)} left"]
        return "  ".join(parts)
