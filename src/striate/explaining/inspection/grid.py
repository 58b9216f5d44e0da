"""Activation grids: what each position of a network's map stands for in one image, shown by patches of other images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining._batching import checked_batching, in_batches
from striate.explaining._repr import ShortRepr
from striate.explaining.inspection.patches import Best, Pool
from striate.explaining.inspection.receptive import receptive_fields
from striate.explaining.layout import Grid, stated_layout
from striate.explaining.model_input import (
    ImageBatches,
    as_model_input,
    borrowed_with_copies,
    for_batches,
    searched_batches,
)
from striate.explaining.places import At, MapPlace, last_map
from striate.explaining.target import ResolvedTarget
from striate.hooks import capture, place_name

_LARGEST = 32  # rows or columns of a grid
_CELLS = 3  # rows and columns of the grid that a patch covers


@dataclass(frozen=True, eq=False, repr=False)
class ActivationGrid(ShortRepr):
    """For each position of the map of `place` in one image, the most similar position in many others.

    `strength` (h w): the length of the activation vector of each position. `similarity` (h w): its cosine with that of
    the position found. `index` (h w): the image of that position in its data set. `patches` (h w c y x): the pixels
    around it, as prepared for the network.
    """

    place: str
    strength: Float[np.ndarray, "h w"]
    similarity: Float[np.ndarray, "h w"]
    index: Int[np.ndarray, "h w"]
    patches: Float[np.ndarray, "h w c y x"]


def activation_grid(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    batches: ImageBatches,
    *,
    at: At = None,
    tokens: Grid | None = None,
) -> tuple[ActivationGrid, ...]:
    """Find for each position of the map of each image the most similar position in the images of `batches`.

    The spatial activation grid of Olah et al. 2018, "The building blocks of interpretability" (Distill,
    doi:10.23915/distill.00010), which shows each activation vector by an image synthesised to excite it; here, by the
    part of an image that excites the same vector: the one with the highest cosine, 3 × 3 positions large, or as large
    as the receptive field if that is smaller. `direction(place, vector)` synthesises the paper's.

    `at` and `tokens` are as in `grad_cam`. `batches` are read once. An image that is among them finds itself.

    Raises:
        ImageError: there are no images, or they differ in size.
        PlaceError: there is no such place, or it is not laid out over the image.
        ConfigError: the map has more than 32 rows or columns.
    """
    images = as_model_input(model, images)
    with searched_batches(model, images, batches) as searched, borrowed_with_copies(model):
        place = _place(model, images, at, tokens)
        with checked_batching(model, images), torch.no_grad(), capture(model, [place.name]) as captured:

            def maps_of(some: Float[Tensor, "m c h w"]) -> Float[Tensor, "m k y x"]:
                model(some)
                return place.layout.lay(captured[place.name]).float()

            wanted = torch.cat(list(in_batches(len(images), lambda chosen: maps_of(images[chosen]))))
            vectors = F.normalize(wanted, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
            best, pool = Best(1), Pool()

            def look(index: list[int], some: Float[Tensor, "m c h w"]) -> None:
                best.add(torch.einsum("uk,mkyx->muyx", vectors, F.normalize(maps_of(some), dim=1)), pool.seen)
                pool.add(index, some, set(best.numbers.flatten().tolist()))

            for_batches(searched, look)
    corners, window = _corners(model, images, place)
    found = zip(best.numbers.flatten().tolist(), best.positions.flatten().tolist(), strict=True)
    patches = np.stack([_cut(pool.images[number], corners[position], window) for number, position in found])
    index = np.array([pool.index[number] for number in best.numbers.flatten().tolist()])
    shape = len(images), *place.layout.grid
    each = zip(
        wanted.norm(dim=1).cpu().numpy(),
        best.values.numpy().clip(-1, 1).reshape(shape),
        index.reshape(shape),
        patches.reshape(*shape, *patches.shape[1:]),
        strict=True,
    )
    return tuple(ActivationGrid(place.name, *parts) for parts in each)


def _place(model: nn.Module, images: Float[Tensor, "n c h w"], at: At, tokens: Grid | None) -> MapPlace:
    """Return the place to read, and its layout."""
    if at is None:
        place = last_map(model, images[:1], ResolvedTarget(None), tokens)
    else:
        name = place_name(model, at)
        with torch.no_grad(), capture(model, [name]) as captured:
            model(images[:1])
        size = images.shape[2], images.shape[3]
        place = MapPlace(name, stated_layout(name, captured[name].shape, 1, size, tokens))
    rows, columns = place.layout.grid
    if max(rows, columns) > _LARGEST:
        raise ConfigError(
            f"A grid has at most {_LARGEST} rows and columns; the map of {place.name!r} has {rows} × {columns}: name a "
            f"later place."
        )
    return place


def _corners(
    model: nn.Module, images: Float[Tensor, "n c h w"], place: MapPlace
) -> tuple[Int[np.ndarray, "positions 2"], tuple[int, int]]:
    """Return the upper left corner of the patch of each position, and the size of all patches.

    A patch lies about the middle of the receptive field where the place is a map with channels first, else about the
    share of the image that the position has in the grid; all of it lies within the image.
    """
    layout, corners, window = place.layout, [], []
    field = receptive_fields(model, images, place.name)[0] if layout.kind == "channels first" else None
    for axis, (length, count) in enumerate(zip(images.shape[2:], layout.grid, strict=True)):
        middles = np.broadcast_to(np.expand_dims((np.arange(count) + 0.5) * length / count, 1 - axis), layout.grid)
        side = min(length, round(_CELLS * length / count))
        if field is not None:
            seen = (field.rows, field.columns)[axis]
            middles, side = seen.mean(axis=2), min(side, field.size[axis])
        side = max(1, side)
        corners.append(np.clip(np.round(middles - side / 2), 0, length - side).astype(np.int64).flatten())
        window.append(side)
    return np.stack(corners, axis=1), (window[0], window[1])


def _cut(
    image: Float[np.ndarray, "c h w"], corner: Int[np.ndarray, " 2"], window: tuple[int, int]
) -> Float[np.ndarray, "c y x"]:
    (top, left), (height, width) = corner.tolist(), window
    return image[:, top : top + height, left : left + width]
