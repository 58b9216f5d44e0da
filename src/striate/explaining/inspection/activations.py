"""Activations of a network, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining._batching import checked_batching, in_batches
from striate.explaining._repr import ShortRepr
from striate.explaining.inspection.layers import Places, as_map, places_of
from striate.explaining.model_input import as_model_input, borrowed_with_copies
from striate.hooks import capture


@dataclass(frozen=True, eq=False, repr=False)
class ActivationMaps(ShortRepr):
    """The maps of all units (channels) of `place` for each image; those of a dense layer have one position, 1×1."""

    place: str
    values: Float[np.ndarray, "n u h w"]


def activation_maps(
    model: nn.Module, images: Float[Tensor, "n c h w"], places: Places | None = None
) -> tuple[ActivationMaps, ...]:
    """Compute the activations of each place, in the order of `places`.

    Without `places`, the declared feature maps, and for a network that declares none, its `layers`.

    Raises:
        PlaceError: a place does not exist, or its value is not a map.
    """
    images = as_model_input(model, images)
    places = places_of(model, images, places)

    def run(chosen: slice) -> list[Float[Tensor, "m u h w"]]:
        model(images[chosen])
        return [as_map(captured[place], place).to("cpu", torch.float32) for place in places]

    with (
        borrowed_with_copies(model),
        checked_batching(model, images),
        torch.no_grad(),
        capture(model, places) as captured,
    ):
        parts = list(in_batches(len(images), run))
    return tuple(
        ActivationMaps(place, torch.cat(maps).numpy())
        for place, maps in zip(places, zip(*parts, strict=True), strict=True)
    )
