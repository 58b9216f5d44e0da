"""Deletion and insertion: does the answer go with the pixels that a map calls important, and come with them?

Petsiuk, Das and Saenko, "RISE: randomized input sampling for explanation of black-box models", BMVC 2018,
arXiv:1806.07421, section 4.1. Pixels are taken out of the picture in the order of the map's values, and put in, a share
at a time; each time the score is read; what is reported is the area under the curve of the score over the share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.explaining._batching import shares
from striate.explaining.checks.road import SHARES, imputed, removed_count

STEPS = 10
"""Shares of the picture that go or come at a time; the ends are scored too."""

_BLUR = 1 / 16  # standard deviation, of the picture's shorter side

Maps = Float[np.ndarray, "n h w"]
Score = Callable[[Tensor, list[int]], Tensor]
"""Of rows of logits, and the number of the picture that each row belongs to."""


@dataclass(frozen=True)
class Areas:
    """Under the curves of the score, means over the pictures: taking pixels away, and putting them in."""

    deletion: float
    insertion: float


class Rounds:
    """Pictures to be deleted and inserted in any order.

    As in the paper, what is deleted becomes a constant, here the picture's own mean colour (there the data's), and what
    is inserted comes into the blurred picture, with a Gaussian of a sixteenth of the shorter side.
    """

    def __init__(self, model: nn.Module, images: Float[Tensor, "n c h w"], score: Score) -> None:
        self._model, self._images, self._score = model, images, score
        self._empty = images.mean((2, 3), keepdim=True).expand_as(images)
        self._blurred = _blurred(images)

    @torch.no_grad()
    def areas(self, maps: Maps, seed: int) -> Areas:
        """Both areas where the pixels go and come by falling values of `maps`; equal ones in an order by lot."""
        place = torch.from_numpy(_places(maps, seed)).to(self._images.device)
        return Areas(self._area(place, self._images, self._empty), self._area(place, self._blurred, self._images))

    @torch.no_grad()
    def imputed(self, maps: Maps, seed: int) -> float:
        """The mean score as `SHARES` of the pixels, by falling values of `maps`, are imputed (ROAD)."""
        place = torch.from_numpy(_places(maps, seed)).to(self._images.device)

        def run(part: slice) -> Tensor:
            which = torch.arange(part.start, part.stop, device=place.device)
            picture, level = which // len(SHARES), which % len(SHARES)
            limits = place.new_tensor([removed_count(share, place[0].numel()) for share in SHARES])
            removed = place[picture] < limits[level][:, None, None]
            return self._score(self._model(imputed(self._images[picture], removed, seed=seed)), picture.tolist())

        return float(torch.cat(list(shares(len(place) * len(SHARES), run))).float().mean())

    def _area(self, place: Int[Tensor, "n h w"], before: Tensor, after: Tensor) -> float:
        """Of the pictures in which the pixels become, one after another, those of `after` instead of `before`."""
        pixels, levels = place[0].numel(), STEPS + 1

        def run(part: slice) -> Tensor:
            which = torch.arange(part.start, part.stop, device=place.device)
            picture, level = which // levels, which % levels
            changed = place[picture] * STEPS < (level * pixels)[:, None, None]
            mixed = torch.where(changed[:, None], after[picture], before[picture])
            return self._score(self._model(mixed), picture.tolist()).float()

        curve = torch.cat(list(shares(len(place) * levels, run))).view(len(place), levels)
        return float(((curve[:, 1:] + curve[:, :-1]) / 2).mean())


def moved(maps: Maps, seed: int) -> Maps:
    """Each map in another place by lot: shifted in a circle, and half of them mirrored, in each direction.

    An order by lot that has the grain of the map. One that drew each pixel by itself would be no chance to compare
    with: single pixels here and there are a noise that breaks an answer sooner than any patch of the same size.
    """
    lots = np.random.default_rng(seed)
    height, width = maps.shape[1:]
    return np.stack(
        [
            np.roll(each[:: lots.choice((-1, 1)), :: lots.choice((-1, 1))], lots.integers((height, width)), axis=(0, 1))
            for each in maps
        ]
    )


def centred(maps: Maps) -> Maps:
    """A blob in the middle of each picture, which falls off to all sides, as far along height as along width."""
    down, across = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in maps.shape[1:])
    return np.broadcast_to(-(down[:, None] ** 2 + across**2), maps.shape).astype(maps.dtype)


def _places(maps: Maps, seed: int) -> Int[np.ndarray, "n h w"]:
    """Of each pixel, how many come before it."""
    lots = np.random.default_rng(seed)
    flat = maps.reshape(len(maps), -1)
    order = np.lexsort((lots.random(flat.shape), -flat), axis=-1)
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
