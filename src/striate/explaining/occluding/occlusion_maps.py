"""The three maps of Zeiler and Fergus's figure 7: effects of a grey patch on the prediction and on a feature map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.explaining._batching import checked_batching, in_batches
from striate.explaining._repr import ShortRepr
from striate.explaining.layout import Grid, stated_layout
from striate.explaining.model_input import as_model_input, borrowed_with_copies, check_model
from striate.explaining.occluding.occlusion import under_patches
from striate.explaining.occluding.patch_grid import Fill, Positions, Sides, covers, positions
from striate.explaining.places import last_map
from striate.explaining.target import ResolvedTarget, Target, TargetError
from striate.hooks import Captured, capture, place_name
from striate.tasks import CLASSIFICATION, Task


@dataclass(frozen=True, eq=False, repr=False)
class OcclusionMaps(ShortRepr):
    """The effect of a patch at each position of a grid (r rows, c columns), for each of n images.

    `probability`: the probability of `target`, the true or the predicted class (figure 7 d); `activation`: the sum over
    the feature map `unit` of the place `at`, the map with the largest sum on the clean image (figure 7 b); `answer`:
    the most probable class (figure 7 e). The values `clean_…` are those without a patch. `places` are the positions of
    the patches, `centres` their centres on the image, `size` the image's height and width.
    """

    target: tuple[int, ...]
    probability: Float[np.ndarray, "n r c"]
    clean_probability: Float[np.ndarray, " n"]
    at: str
    unit: tuple[int, ...]
    activation: Float[np.ndarray, "n r c"]
    clean_activation: Float[np.ndarray, " n"]
    answer: Int[np.ndarray, "n r c"]
    clean_answer: tuple[int, ...]
    places: Positions
    size: tuple[int, int]

    @property
    def centres(self) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " c"]]:
        """Centres of the rows and of the columns, in pixels from the upper left corner of the image."""
        return (self.places.tops + self.places.bottoms) / 2.0, (self.places.lefts + self.places.rights) / 2.0


@torch.no_grad()
def occlusion_maps(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: Target = None,
    *,
    at: str | nn.Module | None = None,
    tokens: Grid | None = None,
    patch: Sides | None = None,
    stride: Sides | None = None,
    fill: Fill | str = "grey",
    seed: int = 0,
    task: Task = CLASSIFICATION,
) -> OcclusionMaps:
    """Compute the maps of figure 7 of Zeiler and Fergus 2014 (arXiv:1311.2901), section 4.2, position by position.

    `task` computes the probabilities. `target` is the true class of each image; None is the predicted class. `at` is
    the place of the feature map, of which the one with the largest sum is used: by default the last spatial map (layer
    5 in the paper); `tokens` is as in `grad_cam`. The patch is that of `occlusion`. Unlike there, the values belong to
    positions of the patch, as in the paper, and are not mapped to pixels.

    Raises:
        TargetError: there is no such class, or the target is a function.
        PlaceError: there is no such place, or its value is not a map.
        ConfigError: the patch or its stride do not fit the images.
    """
    check_model(model)
    resolved = ResolvedTarget(target, task)
    if callable(resolved.target):
        raise TargetError(
            "Occlusion maps show the probability of a class; received a function: give the number of a class."
        )
    with borrowed_with_copies(model):
        images = as_model_input(model, images)
        size = (images.shape[2], images.shape[3])
        places = positions(size, patch, stride)
        at = (
            last_map(model, images, ResolvedTarget(resolved.target), tokens).name
            if at is None
            else place_name(model, at)
        )
        with checked_batching(model, images), capture(model, [at]) as captured:
            look = _Reader(model, captured, at, tokens, task)
            logits, sums = (
                torch.cat(parts) for parts in zip(*in_batches(len(images), lambda n: look(images[n])), strict=True)
            )
            resolved(logits)
            classes, units = resolved.classes or (), sums.argmax(1)
            clean = task.answers(logits)[torch.arange(len(images)), list(classes)]
            found = [
                _one(look, pair, places, one, unit)
                for *pair, one, unit in zip(
                    images, covers(images, fill, places, seed), classes, units.tolist(), strict=True
                )
            ]
    probability, activation, answer = (
        torch.stack(maps).reshape(len(images), *places.grid).cpu().numpy() for maps in zip(*found, strict=True)
    )
    return OcclusionMaps(
        classes, probability, _array(clean), at, tuple(units.tolist()), activation,
        _array(sums.gather(1, units[:, None])[:, 0]), answer, tuple(logits.argmax(1).tolist()), places, size,
    )  # fmt: skip


@dataclass(frozen=True)
class _Reader:
    """Read the logits of images, and the total activation of each feature map of a place."""

    model: nn.Module
    captured: Captured
    at: str
    tokens: Grid | None
    task: Task

    def __call__(self, images: Float[Tensor, "m c h w"]) -> tuple[Float[Tensor, "m k"], Float[Tensor, "m u"]]:
        logits = self.model(images)
        value = self.captured[self.at]
        layout = stated_layout(self.at, value.shape, len(images), (images.shape[2], images.shape[3]), self.tokens)
        return logits, layout.lay(value).sum((2, 3))


def _one(look: _Reader, pair: Sequence[Tensor], places: Positions, target: int, unit: int) -> tuple[Tensor, ...]:
    """Return the probability of `target`, the sum of `unit`, and the predicted class for each position on one image."""
    image, cover = pair

    def run(numbers: slice) -> tuple[Tensor, Tensor, Tensor]:
        logits, sums = look(under_patches(image, cover, places, range(len(places))[numbers]))
        return look.task.answers(logits)[:, target].float(), sums[:, unit].float(), logits.argmax(1)

    return tuple(torch.cat(parts) for parts in zip(*in_batches(len(places), run), strict=True))


def _array(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
