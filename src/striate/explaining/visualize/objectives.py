"""The things of a network that can be excited: a unit, a channel, a class, a direction, a layer.

Activations are those of the named place, whatever the next operation makes of them (a place is named as for
`striate.hooks.capture`). Each objective is one number for each picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.model_view import Look, ObjectiveError
from striate.explaining.visualize.objective import Objective


def unit(place: str, channel: int, at: tuple[int, int] | None = None) -> Objective:
    """The activation of one unit: of `channel` at the position `at` (y, x), by default the middle (⌊h/2⌋, ⌊w/2⌋)."""
    number = index(channel)

    def value(look: Look) -> Float[Tensor, " n"]:
        a_map = _channel(look, place, number)
        height, width = a_map.shape[-2:]
        y, x = at or (height // 2, width // 2)
        if not (0 <= y < height and 0 <= x < width):
            raise ObjectiveError(f"The map at place {place!r} is {height}×{width}; received position {at}.")
        return a_map[:, y, x]

    where = "" if at is None else f", at={tuple(at)}"
    return Objective.of(f"unit({place!r}, {number}{where})", (place,), value)


def channel(place: str, channel: int) -> Objective:
    """The mean activation of a channel over all positions (of a vector: its entry)."""
    number = index(channel)

    def value(look: Look) -> Float[Tensor, " n"]:
        return _channel(look, place, number).mean((1, 2))

    return Objective.of(f"channel({place!r}, {number})", (place,), value)


def class_logit(number: int) -> Objective:
    """The logit of a class (Simonyan et al. 2013, arXiv:1312.6034, section 2).

    The logit, not the probability: that can also be raised by making all other classes less likely.
    """
    number = index(number)

    def value(look: Look) -> Float[Tensor, " n"]:
        logits = look.logits()
        if not 0 <= number < logits.shape[1]:
            known = logits.shape[1]
            raise ObjectiveError(f"The network tells {known} classes apart, 0 to {known - 1}; received class {number}.")
        return logits[:, number]

    return Objective.of(f"class_logit({number})", (), value)


def direction(place: str, vector: Float[np.ndarray | Tensor, " c"]) -> Objective:
    """The mean over positions of ⟨a, v/‖v‖⟩: how far activations reach in the direction `vector` of channel space."""
    along = torch.as_tensor(vector)
    if along.ndim != 1 or not along.is_floating_point() or not 0 < along.norm() < torch.inf:
        raise ObjectiveError(
            f"A direction is a vector of float numbers, not all zero; received {along.dtype} {tuple(along.shape)}."
        )

    def value(look: Look) -> Float[Tensor, " n"]:
        a_map = look.map(place)
        if a_map.shape[1] != len(along):
            raise ObjectiveError(
                f"Place {place!r} has {a_map.shape[1]} channels; received a direction of {len(along)} numbers."
            )
        unit_vector = (along / along.norm()).to(a_map)
        return torch.einsum("nchw,c->nhw", a_map, unit_vector).mean((1, 2))

    return Objective.of(f"direction({place!r}, <{len(along)} numbers>)", (place,), value)


def layer(place: str) -> Objective:
    """Whatever a place sees already, more of it: the mean of a² over channels and positions (DeepDream's objective)."""

    def value(look: Look) -> Float[Tensor, " n"]:
        return look.map(place).square().mean((1, 2, 3))

    return Objective.of(f"layer({place!r})", (place,), value)


def as_objective(given: Objective | str | Sequence[str]) -> Objective:
    """`given`, where a place or several stand for all that they see: `layer` of each, added.

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


def _channel(look: Look, place: str, number: int) -> Float[Tensor, "n h w"]:
    a_map = look.map(place)
    known = a_map.shape[1]
    if not 0 <= number < known:
        raise ObjectiveError(f"Place {place!r} has {known} channels, 0 to {known - 1}; received channel {number}.")
    return a_map[:, number]
