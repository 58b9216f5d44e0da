"""The pictures to be explained, as the network can be given them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError


class PictureError(StriateError):
    """Images that cannot be given to a network."""


class NetworkError(StriateError):
    """Something other than a network, where one is to be explained."""


def suited(model: nn.Module, images: Any) -> Float[Tensor, "n c h w"]:
    """A copy of `images` on the device and in the kind of numbers of the weights of `model`, apart from any graph.

    Raises:
        NetworkError: `model` is no network.
        PictureError: they are not a batch of prepared images.
    """
    is_network(model)
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point() or 0 in images.shape:
        given = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise PictureError(f"Expected prepared images as float numbers of shape (n, c, h, w); received {given}.")
    weights = next((weight for weight in model.parameters() if weight.is_floating_point()), images)
    with torch.inference_mode(False):  # the copy must be one that can be differentiated
        return images.detach().to(weights.device, weights.dtype, copy=True)


def is_network(model: Any) -> None:
    """
    Raises:
        NetworkError: `model` is no network.
    """
    if isinstance(model, nn.Module):
        return
    if isinstance(model, (str, Path)):
        received = f"the path {str(model)!r}: load it (striate.load), or use striate.explain, which takes a run's path"
    elif isinstance(getattr(model, "model", None), nn.Module):
        received = f"{type(model).__name__}: give the network that it holds, its .model"
    else:
        received = f"{type(model).__name__}: wrap it in a module"
    raise NetworkError(f"An explanation looks into a network (torch.nn.Module); received {received}.")
