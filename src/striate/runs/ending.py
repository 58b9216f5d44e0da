"""Another end for a training that has begun: whether it can be, and what follows from it for the learning rate."""

from __future__ import annotations

from dataclasses import replace

from striate.core.duration import Clock, Duration
from striate.core.errors import RunError
from striate.runs.folder import Run
from striate.runs.recipe import Recipe

_SAMPLES = 257


def check_end(run: Run, end: Duration, clock: Clock) -> None:
    """Refuse an end that lies behind.

    Raises:
        RunError: the training is past `end` already.
    """
    if end.progress(clock) > 1.0 + 1e-9:
        raise RunError(
            f"{run.path} was trained for {clock.epochs:g} epochs already, more than {end}. To end it where it is: "
            f"striate finish {run.argument}"
        )


def consequence(recipe: Recipe, before: Duration, clock: Clock) -> str:
    """Say what it means that the training, which stands at `clock`, followed the end `before` until now."""
    changed = f"epochs {before} → {recipe.epochs}"
    old, new = (recipe.schedule.over(end) for end in (before, recipe.epochs))
    places = [_at(clock, number / (_SAMPLES - 1)) for number in range(_SAMPLES)] if clock.step else []
    if all(old(place) == new(place) for place in places):
        if _evaluated_extra(recipe, before, clock):
            return f"{changed}; the result is that of a training meant for it, but for an evaluation at its former end"
        return f"{changed}; the result is exactly that of a training meant for {recipe.epochs} from the start"
    rate = recipe.optimizer.lr
    return (
        f"{changed}; the schedule {recipe.schedule.name!r} depends on the end: it followed {before} until now and "
        f"follows {recipe.epochs} from here on, so the next learning rate is {rate * new(clock):.3g} instead of "
        f"{rate * old(clock):.3g}, and the result differs from a training meant for {recipe.epochs} from the start"
    )


def _at(clock: Clock, share: float) -> Clock:
    """A clock at a share of the way from the start to `clock`, on a step before it."""
    return replace(clock, step=round(share * (clock.step - 1)), seconds=share * clock.seconds)


def _evaluated_extra(recipe: Recipe, before: Duration, clock: Clock) -> bool:
    """Whether the former end was reached, and there an evaluation was made that was not due."""
    every, last = recipe.evaluate_every, replace(clock, step=max(clock.step - 1, 0))
    return before.reached(clock) and int(every.progress(clock)) == int(every.progress(last))
