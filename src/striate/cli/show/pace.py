"""The position, speed and time left of a training."""

from __future__ import annotations

import time
from collections.abc import Mapping

from striate.cli.show.console import percent, span
from striate.core.duration import Clock
from striate.metrics import headline
from striate.runs.events import RunStarted


class Pace:
    """The position, speed and time left of a training."""

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

    def line(self, width: int = 80) -> str:
        """Return epoch, step, loss, validation, images per second and time left, as many as fit into `width` columns.

        The least important are dropped first: the step, the speed, the validation loss.
        """
        full, brief = self._validation(), self._validation(brief=True)
        speed, left = self._speed()
        start, loss = self._epoch(), f"loss {self._loss:.4f}"
        forms = (
            (start, self._step(), loss, full, speed, left),
            (start, loss, full, speed, left),
            (start, loss, full, left),
            (start, loss, brief, left),
            (start, brief or loss, left),
        )
        lines = ["  ".join(filter(None, form)) for form in forms]
        return next((line for line in lines if len(line) <= width), lines[-1])

    def _epoch(self) -> str:
        return f"epoch {self._clock.epochs:.4g}" + (
            "" if self._steps is None else f"/{self._steps / self._steps_per_epoch:g}"
        )

    def _step(self) -> str:
        return f"step {self._clock.step}" + ("" if self._steps is None else f"/{self._steps}")

    def _validation(self, *, brief: bool = False) -> str:
        if not self.scores:
            return ""
        title, score = headline(self.scores)
        said = f"validation {percent(score)}" + ("" if title == "accuracy" else f" {title}")
        return said if brief else f"{said} (loss {self.scores['loss']:.4f})"

    def _speed(self) -> tuple[str, str]:
        """Return images per second and the time left; both empty until there is a pace."""
        began, share = self._first
        passed, gained = time.monotonic() - began, self.share - share
        if passed <= 0 or gained <= 0:
            return "", ""
        speed = (self._clock.step - (self._first_step or 0)) * self._batch_size / passed
        return f"{speed:,.0f} images/s", f"{span(passed * (1 - self.share) / gained)} left"
