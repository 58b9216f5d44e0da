"""Objectives that compare images: by their activations, or by which channels are active together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.spec import InputSpec
from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.model_view import Activations, ObjectiveError, view_model
from striate.explaining.visualize.objective import Objective


def gram(a_map: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c c"]:
    """Compute G_ij = 1/(h·w) Σ_k F_ik F_jk over positions k: Gatys et al. 2016 (CVPR, arXiv:1508.06576), eq. 3.

    The paper's is the sum; ours is the mean, so that images of different sizes can be compared.
    """
    flat = a_map.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def diversity(place: str) -> Objective:
    """Measure how alike each image is to the others of the batch: subtracted, it makes the images differ.

        D_i = mean_{j≠i} ⟨G_i, G_j⟩ / (‖G_i‖ ‖G_j‖)

    G are the Gram matrices at `place`, so D lies between 0 and 1; it is 0 for a single image. After Olah et al. 2017
    (section "Diversity"), who add over the others where we take the mean, so that the weight does not depend on their
    number. Activations have a scale of their own: try weights of about a tenth of the objective's value without
    diversity.
    """

    def value(activations: Activations) -> Float[Tensor, " n"]:
        found = gram(activations.map(place)).flatten(1)
        if len(found) == 1:
            return found.new_zeros(1)
        unit_length = found / found.norm(dim=1, keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)
        alike = unit_length @ unit_length.T
        return (alike.sum(1) - alike.diagonal()) / (len(found) - 1)

    return Objective.of(f"diversity({place!r})", (place,), value)


def style(grams: Mapping[str, Float[Tensor, "1 _ _"]]) -> Objective:
    """Measure how close an image's Gram matrices are to those of another, `grams_of` it; 0 is the same style.

        S = -mean_l ‖G_l - A_l‖² / ‖A_l‖²        over the places l

    The paper's loss (Gatys et al. 2016, equations 4 and 5) divides by 4·c²·(h·w)² instead and leaves the sizes of
    activations in, so that its weights fit one network; here all places of any network count alike, and an image in
    which nothing is active has S = -1.
    """
    return _nearness("style", grams, gram)


def content(maps: Mapping[str, Float[Tensor, "1 _ _ _"]]) -> Objective:
    """Measure how close an image's activations are to those of another, `maps_of` it; 0 is the same content.

        C = -mean_l ‖F_l - P_l‖² / ‖P_l‖²        over the places l

    The paper's loss (Gatys et al. 2016, equation 1) is ½ ‖F - P‖² at one place.
    """
    return _nearness("content", maps, lambda a_map: a_map)


def _nearness(name: str, wanted: Mapping[str, Tensor], read: Callable[[Tensor], Tensor]) -> Objective:
    """Return minus the squared distance between each place's value and the wanted one, as a fraction of the latter."""
    if not wanted:
        raise ObjectiveError(f"An objective of {name} compares at least one place; received none.")

    def value(activations: Activations) -> Float[Tensor, " n"]:
        distances = []
        for place, aim in wanted.items():
            found = read(activations.map(place))
            if found.shape[1:] != aim.shape[1:]:
                raise ObjectiveError(
                    f"Place {place!r} gives {tuple(found.shape[1:])} for this image, and {tuple(aim.shape[1:])} is "
                    f"wanted: for `content`, both images must be of one size."
                )
            size = aim.square().sum().clamp(min=torch.finfo(aim.dtype).tiny)
            distances.append((found - aim.to(found)).square().flatten(1).sum(1) / size.to(found))
        return -torch.stack(distances).mean(0)

    return Objective.of(f"{name}({', '.join(map(repr, wanted))})", tuple(wanted), value)


def maps_of(
    model: nn.Module, image: Float[np.ndarray, "h w c"], places: Sequence[str], spec: InputSpec
) -> dict[str, Float[Tensor, "1 _ _ _"]]:
    """Return the activations of an image (values from 0 to 1), by place.

    Raises:
        ImageError: it does not fit this network.
        ObjectiveError: a place returns neither maps nor vectors.
        PlaceError: the network has no such place.
    """
    with view_model(model, places, ImageScaling(spec)) as activations, torch.no_grad():
        seen = activations(ImageScaling(spec).tensor(image))
        return {place: seen.map(place) for place in places}


def grams_of(
    model: nn.Module, image: Float[np.ndarray, "h w c"], places: Sequence[str], spec: InputSpec
) -> dict[str, Float[Tensor, "1 _ _"]]:
    """Return the Gram matrices of an image, by place; for the rest see `maps_of`."""
    return {place: gram(a_map) for place, a_map in maps_of(model, image, places, spec).items()}
