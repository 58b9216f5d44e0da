"""Occlusion: the drop of the score when a patch covers part of the image."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import first_line
from striate.explaining._batching import in_batches, is_one_at_a_time
from striate.explaining.attribution._method import RawAttribution, attribution_method
from striate.explaining.occluding.incremental import Incremental, UntraceableError
from striate.explaining.occluding.patch_grid import Fill, Positions, Sides, covers, positions
from striate.explaining.target import ResolvedTarget

_WORTHWHILE = 1.2  # ratio of multiplications: the management of boxes costs about a tenth of them


@attribution_method(
    title="Occlusion", paper="Zeiler and Fergus 2014, section 4.2 (arXiv:1311.2901)", signed=True, variants=True
)
@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    patch: Sides | None = None,
    stride: Sides | None = None,
    fill: Fill | str = "grey",
    seed: int = 0,
) -> RawAttribution:
    """Measure how much the score drops when a patch covers a part of the image.

        R(pixel) = mean of S(x) - S(x under the patch) over the patches that cover the pixel

    R is positive for pixels that support the score. Values have shape (n h w), in units of the score. The patch covers
    all channels. It is `patch` pixels high and wide (one number or two; by default a seventh of the image) and moves by
    `stride` (by default half of the patch); the border may cut the last patch of a row or column. `fill` is the content
    of the patch (see `Fill`), `seed` the seed of its noise. For a linear model and patches of one pixel, R is
    Σ_c w ⊙ (x - fill).

    Zeiler and Fergus map the true class's probability over the positions of a grey patch; those maps are
    `occlusion_maps`. This function maps the drop of the logit, which does not depend on other classes, to the covered
    pixels.

    If it saves work, only the values that each patch reaches are recomputed (`explaining.occluding.incremental`): in
    float32 the logits then equal those of the whole model within 1e-4 of the largest.
    """
    size = (images.shape[2], images.shape[3])
    places = positions(size, patch, stride)
    clean = target(model(images))
    scores = torch.empty(len(images), len(places), device=clean.device, dtype=clean.dtype)
    incremental, notes = _incremental(model, images[:1], places)
    for row, pair in enumerate(zip(images.split(1), covers(images, fill, places, seed).split(1), strict=True)):
        found = exact(model, *pair, places) if incremental is None else incremental.logits(*pair, places)
        for numbers, logits in found:
            covered = scores[row, numbers]
            scores[row, numbers] = target(logits, [row] * len(covered))
    return RawAttribution(_spread(clean[:, None] - scores, places, size), notes=notes)


def exact(
    model: nn.Module, image: Float[Tensor, "1 c h w"], cover: Float[Tensor, "1 c h w"], places: Positions
) -> Iterator[tuple[slice, Float[Tensor, "m k"]]]:
    """Yield (positions, logits) under a patch at each position, by full forward passes."""
    return in_batches(
        len(places),
        lambda numbers: (numbers, model(under_patches(image[0], cover[0], places, range(len(places))[numbers]))),
    )


def _incremental(
    model: nn.Module, image: Float[Tensor, "1 c h w"], places: Positions
) -> tuple[Incremental | None, tuple[str, ...]]:
    """Prepare `model` if its operations can be recorded and enough work is saved; else return None and a note."""
    if is_one_at_a_time():  # the results for one position would depend on the others
        return None, ()
    try:
        incremental = Incremental.of(model, image)
    except (UntraceableError, RuntimeError) as error:  # RuntimeError: a tensor subclass that hides its storage
        reason = first_line(error)
        return None, (f"The whole network ran for each patch: {reason}.",)
    return (incremental if incremental.saved(places) >= _WORTHWHILE else None), ()


def under_patches(
    image: Float[Tensor, "c h w"], cover: Float[Tensor, "c h w"], places: Positions, numbers: range
) -> Float[Tensor, "m c h w"]:
    variants = image.repeat(len(numbers), 1, 1, 1)
    for variant, number in zip(variants, numbers, strict=True):
        rows, columns = places.box(number)
        variant[:, rows, columns] = cover[:, rows, columns]
    return variants


def _spread(drops: Float[Tensor, "n positions"], places: Positions, size: tuple[int, int]) -> Float[Tensor, "n h w"]:
    """Average the drops of all patches that cover a pixel, for each pixel."""
    sums, counts = drops.new_zeros(len(drops), *size, dtype=torch.float32), drops.new_zeros(size, dtype=torch.float32)
    for number, drop in enumerate(drops.float().unbind(1)):
        rows, columns = places.box(number)
        sums[:, rows, columns] += drop[:, None, None]
        counts[rows, columns] += 1
    return sums / counts
