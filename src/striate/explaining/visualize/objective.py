"""Objectives of gradient ascent, which add, subtract and scale, and print as the program that makes them.

Activations are those of the named place, before any later operation changes them (places are named as for
`striate.hooks.capture`). Each objective is one number for each image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from operator import index

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.model_view import Activations, ObjectiveError


@dataclass(frozen=True, eq=False)
class Term:
    """One term of an objective: `value` returns a number for each image. `name` is the program that made it."""

    name: str
    places: tuple[str, ...]
    value: Callable[[Activations], Float[Tensor, " n"]]


@dataclass(frozen=True, eq=False)
class Objective:
    """A weighted sum of terms: what an ascent raises, for each image.

        objective = channel("stage3", 12) - 0.1 * diversity("stage3")
        str(objective)    # channel('stage3', 12) - 0.1 * diversity('stage3')

    Objectives add to and subtract from each other, and are multiplied and divided by numbers; `sum` adds many.
    """

    terms: tuple[tuple[float, Term], ...]

    @classmethod
    def of(cls, name: str, places: tuple[str, ...], value: Callable[[Activations], Float[Tensor, " n"]]) -> Objective:
        """Make an objective of one term."""
        return cls(((1.0, Term(name, places, value)),))

    @property
    def places(self) -> tuple[str, ...]:
        """All places that it reads, each once."""
        return tuple(dict.fromkeys(place for _, term in self.terms for place in term.places))

    @property
    def reads_answer(self) -> bool:
        """Whether a term reads the network's answer: one that reads no place does."""
        return any(not term.places for _, term in self.terms)

    def __call__(self, activations: Activations) -> Float[Tensor, " n"]:
        """Return its value for each image."""
        values = [weight * term.value(activations) for weight, term in self.terms]
        return torch.stack(values).sum(0)

    def __add__(self, other: object) -> Objective:
        if isinstance(other, Objective):
            return Objective(self.terms + other.terms)
        if isinstance(other, Real) and other == 0:  # where `sum` begins
            return self
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: object) -> Objective:
        return self + -other if isinstance(other, Objective) else NotImplemented

    def __neg__(self) -> Objective:
        return self * -1

    def __mul__(self, factor: object) -> Objective:
        if not isinstance(factor, Real):
            return NotImplemented
        return Objective(tuple((weight * float(factor), term) for weight, term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: object) -> Objective:
        return self * (1 / float(divisor)) if isinstance(divisor, Real) else NotImplemented

    def __str__(self) -> str:
        words = []
        for number, (weight, term) in enumerate(self.terms):
            sign = ("-" if weight < 0 else "") if number == 0 else ("- " if weight < 0 else "+ ")
            words.append(f"{sign}{'' if abs(weight) == 1 else f'{abs(weight):g} * '}{term.name}")
        return " ".join(words)


def unit(place: str, channel: int, at: tuple[int, int] | None = None) -> Objective:
    """Excite one unit: `channel` at the position `at` (y, x), by default the middle (⌊h/2⌋, ⌊w/2⌋)."""
    number = index(channel)

    def value(activations: Activations) -> Float[Tensor, " n"]:
        a_map = _channel(activations, place, number)
        height, width = a_map.shape[-2:]
        y, x = at or (height // 2, width // 2)
        if not (0 <= y < height and 0 <= x < width):
            raise ObjectiveError(f"The map at place {place!r} is {height}×{width}; received position {at}.")
        return a_map[:, y, x]

    where = "" if at is None else f", at={tuple(at)}"
    return Objective.of(f"unit({place!r}, {number}{where})", (place,), value)


def channel(place: str, channel: int) -> Objective:
    """Excite a channel: its mean activation over all positions (of a vector: its entry)."""
    number = index(channel)

    def value(activations: Activations) -> Float[Tensor, " n"]:
        return _channel(activations, place, number).mean((1, 2))

    return Objective.of(f"channel({place!r}, {number})", (place,), value)


def class_logit(number: int) -> Objective:
    """Excite the logit of a class (Simonyan et al. 2013, arXiv:1312.6034, section 2).

    The logit, not the probability: that can also be raised by making all other classes less likely.
    """
    number = index(number)

    def value(activations: Activations) -> Float[Tensor, " n"]:
        logits = activations.logits()
        if not 0 <= number < logits.shape[1]:
            known = logits.shape[1]
            raise ObjectiveError(f"The network has {known} classes, 0 to {known - 1}; received class {number}.")
        return logits[:, number]

    return Objective.of(f"class_logit({number})", (), value)


def direction(place: str, vector: Float[np.ndarray | Tensor, " c"]) -> Objective:
    """Excite a direction `vector` of channel space: the mean over positions of ⟨a, v/‖v‖⟩."""
    along = torch.as_tensor(vector)
    if along.ndim != 1 or not along.is_floating_point() or not 0 < along.norm() < torch.inf:
        raise ObjectiveError(
            f"A direction is a vector of float numbers, not all zero; received {along.dtype} {tuple(along.shape)}."
        )

    def value(activations: Activations) -> Float[Tensor, " n"]:
        a_map = activations.map(place)
        if a_map.shape[1] != len(along):
            raise ObjectiveError(
                f"Place {place!r} has {a_map.shape[1]} channels; received a direction of {len(along)} numbers."
            )
        unit_vector = (along / along.norm()).to(a_map)
        return torch.einsum("nchw,c->nhw", a_map, unit_vector).mean((1, 2))

    return Objective.of(f"direction({place!r}, <{len(along)} numbers>)", (place,), value)


def layer(place: str) -> Objective:
    """Amplify whatever a place detects: the mean of a² over channels and positions (DeepDream's objective)."""

    def value(activations: Activations) -> Float[Tensor, " n"]:
        return activations.map(place).square().mean((1, 2, 3))

    return Objective.of(f"layer({place!r})", (place,), value)


def as_objective(given: Objective | str | Sequence[str]) -> Objective:
    """Return `given`, or for a place or several, the sum of their `layer` objectives.

    Raises:
        ObjectiveError: it is neither an objective nor a place.
    """
    if isinstance(given, Objective):
        return given
    places = [given] if isinstance(given, str) else given
    if not isinstance(places, Sequence) or not places or not all(isinstance(place, str) for place in places):
        raise ObjectiveError(
            f"An objective is made by layer, channel, unit, class_logit or direction, or is the name of a place such "
            f"as 'stage2'; received {given!r}."
        )
    return Objective(tuple(term for place in places for term in layer(place).terms))


def _channel(activations: Activations, place: str, number: int) -> Float[Tensor, "n h w"]:
    a_map = activations.map(place)
    known = a_map.shape[1]
    if not 0 <= number < known:
        raise ObjectiveError(f"Place {place!r} has {known} channels, 0 to {known - 1}; received channel {number}.")
    return a_map[:, number]
