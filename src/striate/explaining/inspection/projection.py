"""Projection of one unit's activation back to the pixels that caused it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.explaining._batching import checked_batching, in_batches
from striate.explaining.inspection.layers import as_map
from striate.explaining.inspection.patches import TopPatches
from striate.explaining.model_input import as_model_input, borrowed_with_copies
from striate.hooks import DECONVNET, NoRectifierError, PlaceError, capture, place_name, rewrite

Position = tuple[int, int]


def project_units(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    place: str | nn.Module,
    units: Sequence[int],
    positions: Sequence[Position] | None = None,
) -> Float[np.ndarray, "n c h w"]:
    """Project one unit's activation in each image to pixels with the deconvnet: Zeiler and Fergus 2014, section 2.1.

    In image i all activations of `place` are set to 0 except that of unit `units[i]` at `positions[i]`, (y, x), by
    default its strongest one. It is projected back by the transposed filters, through max-pooling by the switches that
    this image has set, and through ReLUs by the rule of the deconvnet (see `striate.hooks.Rule`, which also says how it
    reads batch norm, sums and concatenations, of which the paper has none).

    A unit that is not above zero projects to nothing.

    Raises:
        PlaceError: the place does not exist or has no such unit or position.
        RewriteError: the network has no rectifier that the rule covers, or hides its operations.
    """
    images, name = as_model_input(model, images), place_name(model, place)
    if len(units) != len(images) or (positions is not None and len(positions) != len(images)):
        raise PlaceError(f"There are {len(images)} images and {len(units)} units: give one, and one position, each.")

    def run(chosen: slice) -> Float[Tensor, "m c h w"]:
        where = None if positions is None else torch.tensor(list(positions[chosen]), device=images.device)
        return _projected(model, images[chosen], name, torch.tensor(list(units[chosen]), device=images.device), where)

    with borrowed_with_copies(model), checked_batching(model, images):
        found = torch.cat(list(in_batches(len(images), run)))
    return found.to("cpu", torch.float32).numpy()


def project_patches(
    model: nn.Module, top: TopPatches, units: Sequence[int] | None = None
) -> Float[np.ndarray, "u k c h w"]:
    """Project each top patch of `units` (by default all), cut to the patch's box: figure 2 of the paper.

    The projections start from the positions of the patches. They are signed, on the scale of the activations times the
    filters; a missing patch has zeros. Many units are projected at once: each item of a batch is an image with a unit
    of its own.

    Raises:
        RewriteError: as `project_units`.
    """
    units = range(len(top.values)) if units is None else units
    items = [(nth, unit, rank) for nth, unit in enumerate(units) for rank in _present(top, unit)]
    count, (height, width) = top.values.shape[1], top.size
    found = np.zeros((len(units), count, top.images.shape[1], height, width), np.float32)
    if not items:
        return found

    def run(chosen: slice) -> None:
        _, unit, rank = (list(column) for column in zip(*items[chosen], strict=True))
        images = as_model_input(model, torch.from_numpy(top.images[top.rows[unit, rank]]))
        where = torch.from_numpy(top.positions[unit, rank]).to(images.device)
        projections = _projected(model, images, top.place, torch.tensor(unit, device=images.device), where)
        for (nth, unit_, rank_), projection in zip(items[chosen], projections.cpu().float().numpy(), strict=True):
            found[nth, rank_] = top.cut(projection, unit_, rank_)

    with (
        borrowed_with_copies(model),
        checked_batching(model, as_model_input(model, torch.from_numpy(top.images[:1]))),
    ):
        for _ in in_batches(len(items), run):
            pass
    return found


def _present(top: TopPatches, unit: int) -> list[int]:
    return np.flatnonzero(top.index[unit] >= 0).tolist()


def _projected(
    model: nn.Module,
    images: Float[Tensor, "m c h w"],
    place: str,
    units: Int[Tensor, " m"],
    positions: Int[Tensor, "m 2"] | None,
) -> Float[Tensor, "m c h w"]:
    try:
        with rewrite(model, DECONVNET):
            return _gradient(model, images, place, units, positions)
    except NoRectifierError as error:
        if error.unruled:
            raise
    # Below the first ReLU all is linear, and the plain gradient is the filters transposed.
    return _gradient(model, images, place, units, positions)


def _gradient(
    model: nn.Module,
    images: Float[Tensor, "m c h w"],
    place: str,
    units: Int[Tensor, " m"],
    positions: Int[Tensor, "m 2"] | None,
) -> Float[Tensor, "m c h w"]:
    """Return the gradient of the activations, one in each image's map, with respect to the pixels."""
    images = images.detach().requires_grad_()
    with capture(model, [place]) as captured:
        model(images)
        maps = as_map(captured[place], place)
    items = torch.arange(len(maps), device=maps.device)
    _check(place, maps, units, positions)
    if positions is None:
        strongest = maps.detach()[items, units].flatten(1).argmax(1)
        positions = torch.stack([strongest // maps.shape[3], strongest % maps.shape[3]], 1)
    activations = maps[items, units, positions[:, 0], positions[:, 1]]
    (projections,) = torch.autograd.grad((activations * activations.detach().clamp(min=0)).sum(), images)
    return projections


def _check(place: str, maps: Tensor, units: Tensor, positions: Tensor | None) -> None:
    _, count, height, width = maps.shape
    if not bool(((units >= 0) & (units < count)).all()):
        raise PlaceError(f"Place {place!r} has {count} units, 0 to {count - 1}; received {units.tolist()}.")
    limits = torch.tensor([height, width], device=maps.device)
    if positions is not None and not bool(((positions >= 0) & (positions < limits)).all()):
        raise PlaceError(
            f"The map of {place!r} has {height}×{width} positions, (y, x) from (0, 0); received {positions.tolist()}."
        )
