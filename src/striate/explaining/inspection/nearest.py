"""Nearest images: the images that a network represents most similarly to a given one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining._repr import ShortRepr
from striate.explaining.attribution._method import NotFiniteError
from striate.explaining.inspection.features import reading_features
from striate.explaining.model_input import ImageBatches, as_model_input, searched_batches

_SHORTEST, _LONGEST = 1e-12, 1e18  # of features whose products and squares are exact enough in float32


@dataclass(frozen=True, eq=False, repr=False)
class Nearest(ShortRepr):
    """For each of q images, its k nearest among many, the nearest first.

    `index` (q k): the index of each neighbour in its data set. `similarity` (q k): the cosine between the features of
    the two images, from -1 to 1. `place`: where the features were read; for the input of the last layer, that layer.
    """

    place: str
    index: Int[np.ndarray, "q k"]
    similarity: Float[np.ndarray, "q k"]


def nearest_images(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    batches: ImageBatches,
    *,
    at: str | nn.Module | None = None,
    count: int = 8,
) -> Nearest:
    """Find the `count` images of `batches` whose features have the largest cosine similarity with those of `images`.

    The features are the input of the last dense or convolutional layer, or the value of the place `at`; maps are
    averaged over their positions. The search is exact. `batches` are read once, and only the nearest so far are kept.
    Among equal similarities (as float32) the image that comes first stands first. An image whose features are all 0
    has similarity 0 to every other. Where there are fewer than `count` images, all of them are given.

    Raises:
        ConfigError: `count` is less than 1.
        ImageError: there are no images, or they differ in size.
        PlaceError: a place does not exist or has no features, or the network has no last layer that can be read.
        NotFiniteError: a feature is NaN or infinite.
    """
    if count < 1:
        raise ConfigError(f"count must be at least 1; received count={count}.")
    images = as_model_input(model, images)
    with (
        searched_batches(model, images, batches) as searched,
        reading_features(model, images, at) as (place, read),
    ):
        found = nearest_rows(read(images), ((index, read(some)) for index, some in searched), count)
    return Nearest(place, found.index.numpy(), found.similarity.numpy())


def nearest_rows(
    wanted: Float[Tensor, "q d"], rows: Iterable[tuple[Sequence[int] | np.ndarray, Float[Tensor, "n d"]]], count: int
) -> BestRows:
    """Find the `count` of all `rows` with the largest cosine similarity to each of `wanted`: exact, in one pass.

    `rows` come in blocks with their indices; what was read is not kept. Each block is compared in its own type.

    Raises:
        NotFiniteError: a feature is NaN or infinite.
    """
    best = BestRows(directions(wanted.double()), count)
    for index, some in rows:
        best.add(index, some)
    return best


class BestRows:
    """The nearest rows to each of the wanted directions so far, (q k): their similarities and indices."""

    def __init__(self, wanted: Float[Tensor, "q d"], count: int) -> None:
        self._wanted, self._count = wanted, count
        self.similarity = torch.empty(len(wanted), 0)
        self.index = torch.empty(len(wanted), 0, dtype=torch.int64)

    def add(self, index: Sequence[int] | np.ndarray, features: Float[Tensor, "n d"]) -> None:
        # As float32, so that what differs by the rounding of float64 alone is equal.
        similarity = _cosines(self._wanted, features).float().clamp(-1, 1)
        merged = torch.cat([self.similarity, similarity], 1)
        indices = torch.cat([self.index, torch.as_tensor(index).expand_as(similarity)], 1)
        # Stable, so that among equal ones the first stays the first; `topk` promises no order.
        order = merged.sort(dim=1, descending=True, stable=True).indices[:, : self._count]
        self.similarity, self.index = merged.gather(1, order), indices.gather(1, order)


def _cosines(wanted: Float[Tensor, "q d"], features: Float[Tensor, "n d"]) -> Float[Tensor, "q n"]:
    """Return the cosines between directions and features; rows of usual lengths are not divided one by one."""
    wanted = wanted.to(features.dtype)
    lengths = torch.linalg.vector_norm(features, dim=1, dtype=torch.float64)
    if bool(((lengths > _SHORTEST) & (lengths < _LONGEST)).all()):
        return (features @ wanted.T / lengths[:, None]).T
    return wanted @ directions(features).T


def directions(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Divide the features by their lengths; 0 stays 0.

    Raises:
        NotFiniteError: a feature is NaN or infinite.
    """
    # By the largest first, so that no square overflows or vanishes.
    largest = torch.linalg.vector_norm(features, torch.inf, dim=1, keepdim=True)
    if not largest.isfinite().all():
        raise NotFiniteError("The features of an image are not finite, so it has no neighbours: check the weights.")
    features = features / largest.clamp(min=torch.finfo(features.dtype).tiny)
    return features / torch.linalg.vector_norm(features, dim=1, keepdim=True).clamp(min=1e-12)
