"""Nearest images: the images that a network represents most similarly to a given one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining._batching import checked_batching
from striate.explaining._repr import ShortRepr
from striate.explaining.attribution._method import NotFiniteError
from striate.explaining.inspection.layers import as_map
from striate.explaining.layout import layout_of
from striate.explaining.model_input import (
    ImageBatches,
    as_model_input,
    borrowed_with_copies,
    for_batches,
    searched_batches,
)
from striate.hooks import PlaceError, capture, operations, place_name

ReadFeatures = Callable[[Float[Tensor, "n c h w"]], Float[Tensor, "n d"]]


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
        borrowed_with_copies(model),
        checked_batching(model, images),
        torch.no_grad(),
        _reading(model, images, at) as (place, read),
    ):
        wanted: list[Float[Tensor, "m d"]] = []
        for_batches([(list(range(len(images))), images)], lambda _, some: wanted.append(_directions(read(some))))
        best = _Best(torch.cat(wanted), count)
        for_batches(searched, lambda index, some: best.add(index, _directions(read(some))))
    return Nearest(place, best.index.numpy(), best.similarity.numpy())


class _Best:
    """The nearest images of each query so far, (q k): their similarities and indices."""

    def __init__(self, wanted: Float[Tensor, "q d"], count: int) -> None:
        self._wanted, self._count = wanted, count
        self.similarity = torch.empty(len(wanted), 0)
        self.index = torch.empty(len(wanted), 0, dtype=torch.int64)

    def add(self, index: list[int], directions: Float[Tensor, "n d"]) -> None:
        # As float32, so that what differs by the rounding of float64 alone is equal.
        similarity = (self._wanted @ directions.T).float().clamp(-1, 1)
        merged = torch.cat([self.similarity, similarity], 1)
        indices = torch.cat([self.index, torch.tensor(index).expand_as(similarity)], 1)
        # Stable, so that among equal ones the first stays the first; `topk` promises no order.
        order = merged.sort(dim=1, descending=True, stable=True).indices[:, : self._count]
        self.similarity, self.index = merged.gather(1, order), indices.gather(1, order)


def _directions(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Divide the features by their lengths; 0 stays 0."""
    if not features.isfinite().all():
        raise NotFiniteError("The features of an image are not finite, so it has no neighbours: check the weights.")
    # By the largest first, so that no square overflows or vanishes.
    features = features / features.abs().amax(1, keepdim=True).clamp(min=torch.finfo(features.dtype).tiny)
    return features / features.norm(dim=1, keepdim=True).clamp(min=1e-12)


@contextmanager
def _reading(
    model: nn.Module, images: Float[Tensor, "n c h w"], at: str | nn.Module | None
) -> Iterator[tuple[str, ReadFeatures]]:
    """Within the block, return the name of the place and a function that returns the features of images there."""
    size = images.shape[2], images.shape[3]
    if at is not None:
        place = place_name(model, at)

        def read(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
            model(images)
            return _copy(_pooled(captured[place], place, size))

        with capture(model, [place]) as captured:
            yield place, read
        return
    head, module = _head(model, images[:1])
    given: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        value = args[0]
        given[:] = [_copy(value.mean((2, 3)) if isinstance(module, nn.Conv2d) else _over_positions(value))]

    def read_head(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        model(images)
        _ = captured[head]  # raises if the layer did not run, or ran more than once
        return given.pop()

    with capture(model, [head]) as captured:
        handle = module.register_forward_pre_hook(keep)
        try:
            yield head, read_head
        finally:
            handle.remove()


def _head(model: nn.Module, image: Float[Tensor, "1 c h w"]) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Return the last dense or convolutional layer that runs, and its name.

    Raises:
        PlaceError: there is none, or it is not a module whose input could be read.
    """
    ran = [one for one in operations(model, image) if one.operation in ("linear", "conv2d")]
    modules = {path.replace("_orig_mod.", ""): module for path, module in model.named_modules(remove_duplicate=False)}
    module = modules.get(ran[-1].module) if ran else None
    if not isinstance(module, (nn.Linear, nn.Conv2d)):
        raise PlaceError(
            "The network has no last layer of its own (nn.Linear or nn.Conv2d) whose input could be read: name the "
            "place of the features (`at`)."
        )
    return ran[-1].module, module


def _pooled(value: Tensor, place: str, size: tuple[int, int]) -> Float[Tensor, "n d"]:
    """Average the value of a place over its positions."""
    layout = layout_of(tuple(value.shape), len(value), size) if value.ndim in (3, 4) else None
    maps = as_map(value, place) if layout is None else layout.lay(value)
    return maps.mean((2, 3))


def _over_positions(value: Float[Tensor, "n *positions d"]) -> Float[Tensor, "n d"]:
    return value.flatten(1, -2).mean(1) if value.ndim > 2 else value


def _copy(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Copy features to the CPU in double precision, so that the same image has similarity 1 on every device."""
    return features.to("cpu", torch.float64, copy=True)
