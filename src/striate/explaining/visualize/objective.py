"""What a picture is to excite: objectives that add, subtract and scale, and say in words what they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.model_view import Look


@dataclass(frozen=True, eq=False)
class Term:
    """One thing to be excited: `value` gives a number for each picture. `name` is the program that made it."""

    name: str
    places: tuple[str, ...]
    value: Callable[[Look], Float[Tensor, " n"]]


@dataclass(frozen=True, eq=False)
class Objective:
    """A weighted sum of terms: what an ascent raises, for each picture.

        objective = channel("stage3", 12) - 0.1 * diversity("stage3")
        str(objective)    # channel('stage3', 12) - 0.1 * diversity('stage3')

    Objectives add to and subtract from each other, and are multiplied and divided by numbers; `sum` adds many.
    """

    terms: tuple[tuple[float, Term], ...]

    @classmethod
    def of(cls, name: str, places: tuple[str, ...], value: Callable[[Look], Float[Tensor, " n"]]) -> Objective:
        """An objective of one term."""
        return cls(((1.0, Term(name, places, value)),))

    @property
    def places(self) -> tuple[str, ...]:
        """All places that it reads, each once."""
        return tuple(dict.fromkeys(place for _, term in self.terms for place in term.places))

    @property
    def reads_answer(self) -> bool:
        """Whether a term reads the network's answer: one that reads no place does."""
        return any(not term.places for _, term in self.terms)

    def __call__(self, look: Look) -> Float[Tensor, " n"]:
        """Its value for each picture."""
        values = [weight * term.value(look) for weight, term in self.terms]
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
