"""What a picture is to excite: objectives that add, subtract and scale, and say in words what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import torch
from jaxtyping import Float
from torch import Tensor

from striate.core.errors import StriateError
from striate.hooks import Captured


class ObjectiveError(StriateError):
    """Something that a network cannot be asked to be excited by."""


@dataclass(frozen=True)
class Look:
    """What a network computed of some pictures: its places, and its answer."""

    captured: Captured | Mapping[str, Tensor]
    answer: object

    def map(self, place: str) -> Float[Tensor, "n c h w"]:
        """The activations at `place` in at least float32; a vector is a map of one position.

        Raises:
            ObjectiveError: the place gives neither maps nor vectors.
        """
        values = self.captured[place]
        if values.ndim not in (2, 4):
            raise ObjectiveError(
                f"An objective reads maps (n, c, h, w) or vectors (n, c); place {place!r} gives {tuple(values.shape)}."
            )
        values = values if values.dtype == torch.float64 else values.float()
        return values if values.ndim == 4 else values[:, :, None, None]

    def logits(self) -> Float[Tensor, "n k"]:
        """The answer in at least float32.

        Raises:
            ObjectiveError: the network does not answer with rows of logits.
        """
        if not isinstance(self.answer, Tensor) or self.answer.ndim != 2:
            given = tuple(self.answer.shape) if isinstance(self.answer, Tensor) else type(self.answer).__name__
            raise ObjectiveError(
                f"A class is one of the logits (n, k), and this network answers with {given}: aim at a place in it."
            )
        return self.answer if self.answer.dtype == torch.float64 else self.answer.float()


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
