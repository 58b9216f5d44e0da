"""How the learning rate changes over a training: pure functions of the position, giving a factor of the base rate.

A schedule has no state, so there is nothing to save and nothing to step. An update uses the value in the middle of the
stretch of training that it covers: the first update of a warm-up from nothing then moves the weights, the last of a
cosine too, and no update falls onto a knot and its rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError
from striate.core.registry import Registry
from striate.training.named import bind


@dataclass(frozen=True)
class Position:
    """Where in a training: `epochs` gone by, with fractions, and `share` of the whole length, from 0 to 1."""

    epochs: float
    share: float


Schedule = Callable[[Clock], float]

SCHEDULES: Registry[Callable[..., float]] = Registry("schedule")


def create_schedule(name: str, length: Duration, **chosen: Any) -> Schedule:
    """The registered schedule `name` over a training of `length`: the factor for the update that follows a clock.

    Where `length` is a time, the factor depends on how fast the machine is, and a repeated run gets others.

    Raises:
        ConfigError: there is no such schedule or option, or the option's value cannot be.
    """
    schedule = bind(SCHEDULES, name, chosen)
    schedule(Position(0.0, 0.0))  # an impossible value is refused now, not at the first step

    def factor(clock: Clock) -> float:
        share = (length.progress(clock) + length.progress(replace(clock, step=clock.step + 1))) / 2
        return schedule(Position((clock.step + 0.5) / clock.steps_per_epoch, min(share, 1.0)))

    return factor


def constant(position: Position) -> float:
    """Always the base rate."""
    return 1.0


def step(position: Position, *, every_epochs: float = 30.0, factor: float = 0.1) -> float:
    """The rate is multiplied by `factor` after every `every_epochs` epochs: factor^⌊epochs / every⌋."""
    _positive(every_epochs=every_epochs, factor=factor)
    return factor ** math.floor(position.epochs / every_epochs)


def time_decay(position: Position, *, decay_per_epoch: float = 0.1) -> float:
    """The rate falls as 1 / (1 + decay · epochs): the sum of the rates diverges, so that any distance can be gone, and
    that of their squares does not, so that the noise dies out (Robbins and Monro 1951)."""
    if decay_per_epoch < 0:
        raise ConfigError(f"decay_per_epoch is at least 0; received {decay_per_epoch:g}.")
    return 1.0 / (1.0 + decay_per_epoch * position.epochs)


def cosine(position: Position, *, warmup_share: float = 0.0, final_factor: float = 0.0) -> float:
    """Half a cosine from 1 down to `final_factor` (Loshchilov and Hutter 2016, arXiv:1608.03983, eq. 5, without
    restarts), after a linear warm-up from 0 over `warmup_share` of the training (Goyal et al. 2017, arXiv:1706.02677,
    section 2.2)."""
    _shares(warmup_share, final_factor)
    if position.share < warmup_share:
        return position.share / warmup_share
    return _anneal(1.0, final_factor, (position.share - warmup_share) / (1.0 - warmup_share))


def one_cycle(
    position: Position, *, warmup_share: float = 0.3, start_factor: float = 0.04, final_factor: float = 0.0
) -> float:
    """Up from `start_factor` to 1 during `warmup_share` of the training and down to `final_factor` in the rest, by
    cosines (Smith and Topin 2017, arXiv:1708.07120).

    As in fastai and torch both stretches are cosines where the paper's are straight; momentum stays as it is.
    """
    _shares(warmup_share, final_factor)
    if not 0 <= start_factor <= 1:
        raise ConfigError(f"start_factor is a share from 0 to 1; received {start_factor:g}.")
    if position.share < warmup_share:
        return _anneal(start_factor, 1.0, position.share / warmup_share)
    return _anneal(1.0, final_factor, (position.share - warmup_share) / (1.0 - warmup_share))


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


def _shares(warmup_share: float, final_factor: float) -> None:
    if not 0 <= warmup_share < 1:
        raise ConfigError(f"warmup_share is at least 0 and below 1; received {warmup_share:g}.")
    if not 0 <= final_factor <= 1:
        raise ConfigError(f"final_factor is a share from 0 to 1; received {final_factor:g}.")


def _positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ConfigError(f"{name} is more than 0; received {value:g}.")


SCHEDULES.add("constant", constant)
SCHEDULES.add("step", step)
SCHEDULES.add("time_decay", time_decay)
SCHEDULES.add("cosine", cosine)
SCHEDULES.add("one_cycle", one_cycle)
