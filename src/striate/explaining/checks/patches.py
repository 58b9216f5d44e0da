"""Two experiments that use no map: each patch of the image turns grey, or noise is added to it, and the answer is read.

What the first changes is evidence, as in occlusion; what the second changes is where the answer is sensitive, which is
what gradients measure. Both give the change of every class, and so distinguish evidence for one class from evidence for
another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining._batching import in_batches

_SIDE, _STEP = 4, 8  # a patch is a quarter of the image's height and width, and the next one is an eighth away
_NOISE, _DRAWS = 0.1, 2  # of the image's standard deviation; how often

Maps = Float[np.ndarray, "n h w"]
Effects = Float[np.ndarray, "n rows columns k"]
"""Change of each of `k` numbers of the answer to each image, for each patch."""


class Patches:
    """Patches that overlap by half and cover the images; `read` gives (n, k) numbers of an answer."""

    def __init__(self, model: nn.Module, images: Float[Tensor, "n c h w"], read: Callable[[Any], Tensor]) -> None:
        self._model, self._images, self._read = model, images, read
        size = images.shape[2:]
        self._side = tuple(max(1, side // _SIDE) for side in size)
        self._step = tuple(max(1, side // _STEP) for side in size)
        ends = zip(size, self._side, self._step, strict=True)
        self._starts = [range(0, length - side + 1, step) for length, side, step in ends]

    def under(self, maps: Maps) -> Float[np.ndarray, "n rows columns"]:
        """Return the mean of each map under each patch."""
        values = torch.from_numpy(np.ascontiguousarray(maps, dtype=np.float64))
        return F.avg_pool2d(values[:, None], self._side, self._step)[:, 0].numpy()

    @torch.no_grad()
    def greyed(self) -> Effects:
        """Return by how much each number falls as a patch takes the image's mean colour."""
        return self._before() - self._after(self._images.mean((2, 3), keepdim=True).expand_as(self._images))

    @torch.no_grad()
    def shaken(self) -> Effects:
        """Return the root mean square change of each number as noise is added to a patch."""
        generator = torch.Generator().manual_seed(0)
        spread = _NOISE * self._images.std((1, 2, 3), correction=0, keepdim=True)
        squares = np.zeros(())
        for _ in range(_DRAWS):
            noise = torch.randn(self._images.shape, generator=generator).to(self._images)
            squares = squares + (self._after(self._images + spread * noise) - self._before()) ** 2
        return np.sqrt(squares / _DRAWS)

    def _before(self) -> Effects:
        answers = torch.cat(list(in_batches(len(self._images), lambda part: self._answers(self._images[part].clone()))))
        return answers.cpu().numpy()[:, None, None]

    def _after(self, changed: Tensor) -> Effects:
        """Return the numbers of the answers to images that are `changed` under one patch."""
        rows, columns = self._starts
        count = len(rows) * len(columns)

        def run(part: slice) -> Tensor:
            variants = []
            for number in range(part.start, part.stop):
                image, patch = divmod(number, count)
                top, left = rows[patch // len(columns)], columns[patch % len(columns)]
                here = (slice(None), slice(top, top + self._side[0]), slice(left, left + self._side[1]))
                variant = self._images[image].clone()
                variant[here] = changed[image][here]
                variants.append(variant)
            return self._answers(torch.stack(variants))

        answers = torch.cat(list(in_batches(len(self._images) * count, run)))
        return answers.cpu().numpy().reshape(len(self._images), len(rows), len(columns), -1)

    def _answers(self, images: Tensor) -> Float[Tensor, "m k"]:
        return self._read(self._model(images)).double()
