"""Features of images at a place in a network: one vector for each image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining._batching import AutoBatch, checked_batching
from striate.explaining.inspection.layers import as_map
from striate.explaining.layout import layout_of
from striate.explaining.model_input import as_model_input, borrowed_with_copies
from striate.hooks import PlaceError, capture, operations, place_name

Pooling = Literal["mean", "max", "none"]
"""How a map becomes a vector: its mean or maximum over the positions, or all its numbers, channel by channel."""

ReadFeatures = Callable[[Float[Tensor, "n c h w"]], Float[Tensor, "n d"]]


@contextmanager
def reading_features(
    model: nn.Module, images: Float[Tensor, "n c h w"], at: str | nn.Module | None = None, pooling: Pooling = "mean"
) -> Iterator[tuple[str, ReadFeatures]]:
    """Within the block, return the name of a place and a function that computes the features of images there.

    The features are the value of the place `at`, or the input of the last dense or convolutional layer, whose name is
    then returned. The function takes prepared images of the size of `images` and returns float64 numbers on the CPU.

    Raises:
        PlaceError: the place does not exist, or the network has no last layer whose input can be read.
    """
    images = as_model_input(model, images)
    divided = AutoBatch()
    with (
        borrowed_with_copies(model),
        checked_batching(model, images),
        torch.no_grad(),
        _reading(model, images, at, pooling) as (place, read),
    ):

        def features(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
            images = as_model_input(model, images)
            return torch.cat(list(divided(len(images), lambda chosen: read(images[chosen]))))

        yield place, features


@contextmanager
def _reading(
    model: nn.Module, images: Float[Tensor, "n c h w"], at: str | nn.Module | None, pooling: Pooling
) -> Iterator[tuple[str, ReadFeatures]]:
    size = images.shape[2], images.shape[3]
    if at is not None:
        place = place_name(model, at)

        def read(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
            model(images)
            return _copy(_pooled(captured[place], place, size, pooling))

        with capture(model, [place]) as captured:
            yield place, read
        return
    head, module = _head(model, images[:1])
    given: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        value = args[0]
        maps = value if isinstance(module, nn.Conv2d) else _positions_last(value)
        given[:] = [_copy(_over_positions(maps, pooling))]

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


def _pooled(value: Tensor, place: str, size: tuple[int, int], pooling: Pooling) -> Float[Tensor, "n d"]:
    """Pool the value of a place over its positions."""
    layout = layout_of(tuple(value.shape), len(value), size) if value.ndim in (3, 4) else None
    return _over_positions(as_map(value, place) if layout is None else layout.lay(value), pooling)


def _over_positions(maps: Float[Tensor, "n k *positions"], pooling: Pooling) -> Float[Tensor, "n d"]:
    if maps.ndim == 2 or pooling == "none":
        return maps.flatten(1)
    return maps.flatten(2).mean(2) if pooling == "mean" else maps.flatten(2).amax(2)


def _positions_last(value: Float[Tensor, "n *positions d"]) -> Float[Tensor, "n d *positions"]:
    return value.movedim(-1, 1)


def _copy(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Copy features to the CPU in double precision, so that the same image has similarity 1 on every device."""
    return features.to("cpu", torch.float64, copy=True)
