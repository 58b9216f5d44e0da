"""The things of a network that can be excited: a unit, a channel, a class, a direction, a layer; and two that compare.

Activations are those of the named place, whatever the next operation makes of them (a place is named as for
`striate.hooks.capture`). Each objective is one number for each picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import index

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.gram import gram, style_distance
from striate.explaining.visualize.objective import Look, Objective, ObjectiveError


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


def diversity(place: str) -> Objective:
    """How alike each picture is to the others of the batch: to be subtracted, so that the pictures differ.

        D_i = mean_{j≠i} ⟨G_i, G_j⟩ / (‖G_i‖ ‖G_j‖)

    G are the Gram matrices at `place`, so D lies between 0 and 1; it is 0 for a picture that is alone. After Olah et
    al. 2017 (section "Diversity"), who add over the others where we take the mean, so that the weight does not depend
    on their number. Activations have their own size: try weights of about a tenth of what the objective reaches alone.
    """

    def value(look: Look) -> Float[Tensor, " n"]:
        found = gram(look.map(place)).flatten(1)
        if len(found) == 1:
            return found.new_zeros(1)
        unit_length = found / found.norm(dim=1, keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)
        alike = unit_length @ unit_length.T
        return (alike.sum(1) - alike.diagonal()) / (len(found) - 1)

    return Objective.of(f"diversity({place!r})", (place,), value)


def style(grams: Mapping[str, Float[Tensor, "1 c c"]]) -> Objective:
    """How near the Gram matrices of a picture come to `grams`, as `striate.explaining.visualize.grams_of` gives them:

        S = -mean_l ‖G_l - A_l‖² / ‖A_l‖²

    over the places l; 0 is the same style. After Gatys et al. 2016, equations 3 to 5 (see `gram` for where we differ).
    """

    def value(look: Look) -> Float[Tensor, " n"]:
        distances = [style_distance(look.map(place), wanted) for place, wanted in grams.items()]
        return -torch.stack(distances).mean(0)

    return Objective.of(f"style({', '.join(map(repr, grams))})", tuple(grams), value)


def _channel(look: Look, place: str, number: int) -> Float[Tensor, "n h w"]:
    a_map = look.map(place)
    known = a_map.shape[1]
    if not 0 <= number < known:
        raise ObjectiveError(f"Place {place!r} has {known} channels, 0 to {known - 1}; received channel {number}.")
    return a_map[:, number]
