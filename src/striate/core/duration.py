"""Lengths of training with a unit (`"90ep"`, `"5000st"`, `"30min"`), and the clock of a training."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from striate.core.errors import ConfigError

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_UNITS = ("ep", "st", *_SECONDS)


@dataclass(frozen=True)
class Clock:
    """Position of a training in time.

    `step` counts all updates made, `epoch` the epochs completed, `seconds` the time spent training, over all sessions.
    `seconds` is measured, so it may differ between identical runs.
    """

    steps_per_epoch: int
    step: int = 0
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def step_in_epoch(self) -> int:
        return self.step % self.steps_per_epoch

    @property
    def epochs(self) -> float:
        """The position in epochs, fractions included."""
        return self.step / self.steps_per_epoch

    @property
    def at_epoch_end(self) -> bool:
        return self.step > 0 and self.step_in_epoch == 0

    def tick(self, seconds: float) -> Clock:
        """Return the clock after one more update that took `seconds`."""
        return replace(self, step=self.step + 1, seconds=self.seconds + seconds)


@dataclass(frozen=True)
class Duration:
    """A length of training in epochs (`ep`), steps (`st`) or time (`s`, `min`, `h`).

    >>> Duration.parse("2ep").reached(Clock(steps_per_epoch=10, step=19))
    False
    """

    amount: float
    unit: str

    def __post_init__(self) -> None:
        if self.unit not in _UNITS:
            raise ConfigError(f"A duration ends in one of {', '.join(_UNITS)}; received {self.unit!r}.")
        if not 0 < self.amount < float("inf"):
            raise ConfigError(f"A duration must be above 0; received {self}.")
        if self.unit == "st" and self.amount != int(self.amount):
            raise ConfigError(f"A number of steps is a whole number; received {self}.")

    @classmethod
    def parse(cls, text: str | int | Duration) -> Duration:
        """Parse a text such as `"90ep"`; a bare number counts epochs.

        Raises:
            ConfigError: the text is not a duration, or not a positive one.
        """
        if isinstance(text, Duration):
            return text
        match = re.fullmatch(r"\s*([-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)\s*([a-z]*)\s*", str(text))
        if match is None:
            raise ConfigError(
                f"A duration is a number and a unit, as in '30ep', '5000st' or '10min'; received {text!r}."
            )
        return cls(float(match[1]), match[2] or "ep")

    def __str__(self) -> str:
        number = int(self.amount) if float(self.amount).is_integer() else self.amount
        return f"{number}{self.unit}"

    def progress(self, clock: Clock) -> float:
        """Return the fraction of this duration that has passed: 0 at the start, 1 or more when it is over."""
        if self.unit == "ep":
            return clock.step / self._updates(clock.steps_per_epoch)
        if self.unit == "st":
            return clock.step / self.amount
        return clock.seconds / (self.amount * _SECONDS[self.unit])

    def position(self, clock: Clock) -> str:
        """Describe the position of `clock` in this duration, in its unit: `epoch 40 of 60`.

        >>> Duration.parse("60ep").position(Clock(steps_per_epoch=10, step=405))
        'epoch 40.5 of 60'
        """
        end = str(self).removesuffix(self.unit)
        if self.unit == "ep":
            return f"epoch {round(clock.epochs, 2):g} of {end}"
        if self.unit == "st":
            return f"step {clock.step} of {end}"
        return f"{clock.seconds / _SECONDS[self.unit]:.3g} {self.unit} of {end}"

    def reached(self, clock: Clock) -> bool:
        """Return whether `clock` has reached the end of this duration."""
        return self.progress(clock) >= 1.0

    def steps(self, steps_per_epoch: int) -> int | None:
        """Return the number of updates, rounded up; None for a length of time, which has no fixed number."""
        if self.unit == "ep":
            return -int(-self._updates(steps_per_epoch) // 1)
        return int(self.amount) if self.unit == "st" else None

    def _updates(self, steps_per_epoch: int) -> float:
        """Return the number of updates in the epochs, fractions included.

        The product is rounded: 1.1 epochs of 50 updates would be 55.00000000000001.
        """
        return float(f"{self.amount * steps_per_epoch:.12g}")
