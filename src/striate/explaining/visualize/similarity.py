"""Objectives that compare pictures: by what is active where, or by which channels are active together, wherever."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.spec import InputSpec
from striate.explaining.visualize.color import Palette
from striate.explaining.visualize.model_view import Look, ObjectiveError, looking
from striate.explaining.visualize.objective import Objective


def gram(a_map: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """G_ij = 1/(h·w) Σ_k F_ik F_jk over the positions k: Gatys et al. 2016 (CVPR, arXiv:1508.06576), equation 3.

    The paper's is the sum; ours is the mean, so that pictures of different sizes can be compared.
    """
    flat = a_map.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


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


def style(grams: Mapping[str, Float[Tensor, "1 _ _"]]) -> Objective:
    """How near a picture's Gram matrices come to the wanted ones, `grams_of` another picture; 0 is the same style.

        S = -mean_l ‖G_l - A_l‖² / ‖A_l‖²        over the places l

    The paper's loss (Gatys et al. 2016, equations 4 and 5) divides by 4·c²·(h·w)² instead and leaves the sizes of
    activations in, so that its weights fit one network; here all places of any network count alike, and a picture in
    which nothing is active has S = -1.
    """
    return _nearness("style", grams, gram)


def content(maps: Mapping[str, Float[Tensor, "1 _ _ _"]]) -> Objective:
    """How near a picture's activations come to the wanted ones, `maps_of` another picture; 0 is the same content.

        C = -mean_l ‖F_l - P_l‖² / ‖P_l‖²        over the places l

    The paper's loss (Gatys et al. 2016, equation 1) is ½ ‖F - P‖² at one place.
    """
    return _nearness("content", maps, lambda a_map: a_map)


def _nearness(name: str, wanted: Mapping[str, Tensor], read: Callable[[Tensor], Tensor]) -> Objective:
    """Minus the squared distance of what is read at each place from what is wanted, as a share of the latter."""
    if not wanted:
        raise ObjectiveError(f"An objective of {name} compares at least one place; received none.")

    def value(look: Look) -> Float[Tensor, " n"]:
        distances = []
        for place, aim in wanted.items():
            found = read(look.map(place))
            if found.shape[1:] != aim.shape[1:]:
                raise ObjectiveError(
                    f"Place {place!r} gives {tuple(found.shape[1:])} for this picture, and {tuple(aim.shape[1:])} is "
                    f"wanted: for `content`, both pictures must be of one size."
                )
            size = aim.square().sum().clamp(min=torch.finfo(aim.dtype).tiny)
            distances.append((found - aim.to(found)).square().flatten(1).sum(1) / size.to(found))
        return -torch.stack(distances).mean(0)

    return Objective.of(f"{name}({', '.join(map(repr, wanted))})", tuple(wanted), value)


def maps_of(
    model: nn.Module, picture: Float[np.ndarray, "h w c"], places: Sequence[str], spec: InputSpec
) -> dict[str, Float[Tensor, "1 _ _ _"]]:
    """The activations of a picture (values from 0 to 1), by place.

    Raises:
        PictureError: it is no picture for this network.
        ObjectiveError: a place gives neither maps nor vectors.
        PlaceError: the network has no such place.
    """
    with looking(model, places, Palette(spec)) as look, torch.no_grad():
        seen = look(Palette(spec).tensor(picture))
        return {place: seen.map(place) for place in places}


def grams_of(
    model: nn.Module, picture: Float[np.ndarray, "h w c"], places: Sequence[str], spec: InputSpec
) -> dict[str, Float[Tensor, "1 _ _"]]:
    """The Gram matrices of a picture, by place; for the rest see `maps_of`."""
    return {place: gram(a_map) for place, a_map in maps_of(model, picture, places, spec).items()}
