"""Deletion and insertion: how the score falls and rises as the pixels that a map marks are removed and inserted.

Petsiuk, Das and Saenko, "RISE: randomized input sampling for explanation of black-box models", BMVC 2018,
arXiv:1806.07421, section 4.1. Pixels are removed from the image in the order of the map's values, and inserted, a
fraction at a time, and the score is read each time; the result is the area under the curve of the score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.explaining._batching import in_batches
from striate.explaining.checks.road import SHARES, imputed, removed_count

STEPS = 10
"""Fractions of the image that go or come at a time; the ends are scored too."""

_BLUR = 1 / 16  # standard deviation, of the image's shorter side

Maps = Float[np.ndarray, "n h w"]
Score = Callable[[Tensor, list[int]], Tensor]
"""Of rows of logits, and the number of the image that each row belongs to."""


@dataclass(frozen=True)
class Areas:
    """Areas under the score, means over the images, as pixels are deleted and inserted."""

    deletion: float
    insertion: float


class Rounds:
    """Images whose pixels are deleted and inserted in any order.

    As in the paper, deleted pixels become a constant, here the image's own mean colour (there the data's), and pixels
    are inserted into the blurred image, with a Gaussian of a sixteenth of the shorter side.
    """

    def __init__(self, model: nn.Module, images: Float[Tensor, "n c h w"], score: Score) -> None:
        self._model, self._images, self._score = model, images, score
        self._empty = images.mean((2, 3), keepdim=True).expand_as(images)
        self._blurred = _blurred(images)

    @torch.no_grad()
    def areas(self, maps: Maps, seed: int) -> Areas:
        """Return both areas for pixels in falling order of `maps`; pixels of equal value come in random order."""
        place = torch.from_numpy(_places(maps, seed)).to(self._images.device)
        return Areas(self._area(place, self._images, self._empty), self._area(place, self._blurred, self._images))

    @torch.no_grad()
    def imputed(self, maps: Maps, seed: int) -> float:
        """Return the mean score as `SHARES` of the pixels, in falling order of `maps`, are imputed (ROAD)."""
        place = torch.from_numpy(_places(maps, seed)).to(self._images.device)

        def run(part: slice) -> Tensor:
            which = torch.arange(part.start, part.stop, device=place.device)
            row, level = which // len(SHARES), which % len(SHARES)
            limits = place.new_tensor([removed_count(share, place[0].numel()) for share in SHARES])
            removed = place[row] < limits[level][:, None, None]
            return self._score(self._model(imputed(self._images[row], removed, seed=seed)), row.tolist())

        return float(torch.cat(list(in_batches(len(place) * len(SHARES), run))).float().mean())

    def _area(self, place: Int[Tensor, "n h w"], before: Tensor, after: Tensor) -> float:
        """Return the area as the pixels change one after another from `before` to `after`."""
        pixels, levels = place[0].numel(), STEPS + 1

        def run(part: slice) -> Tensor:
            which = torch.arange(part.start, part.stop, device=place.device)
            row, level = which // levels, which % levels
            changed = place[row] * STEPS < (level * pixels)[:, None, None]
            mixed = torch.where(changed[:, None], after[row], before[row])
            return self._score(self._model(mixed), row.tolist()).float()

        curve = torch.cat(list(in_batches(len(place) * levels, run))).view(len(place), levels)
        return float(((curve[:, 1:] + curve[:, :-1]) / 2).mean())


def _places(maps: Maps, seed: int) -> Int[np.ndarray, "n h w"]:
    """Return how many pixels come before each pixel."""
    generator = np.random.default_rng(seed)
    flat = maps.reshape(len(maps), -1)
    order = np.lexsort((generator.random(flat.shape), -flat), axis=-1)
    return np.argsort(order, axis=-1).reshape(maps.shape)


def _blurred(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    sigma = _BLUR * min(images.shape[2:])
    for axis in (2, 3):
        reach = min(round(3 * sigma), images.shape[axis] - 1)
        window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2)
        window = (window / window.sum()).to(images)
        pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        kernel = window.view(1, 1, -1, 1) if axis == 2 else window.view(1, 1, 1, -1)
        padded = F.pad(images, pad, mode="reflect") if reach else images
        images = F.conv2d(padded, kernel.expand(images.shape[1], 1, *kernel.shape[2:]), groups=images.shape[1])
    return images
