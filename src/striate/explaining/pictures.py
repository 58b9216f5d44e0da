"""The pictures to be explained, as the network can be given them."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError


class PictureError(StriateError):
    """Pictures that cannot be given to a network."""


def suited(model: nn.Module, images: Any) -> Float[Tensor, "n c h w"]:
    """A copy of `images` on the device and in the kind of numbers of the weights of `model`, apart from any graph.

    Raises:
        PictureError: they are not a batch of prepared pictures.
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point() or 0 in images.shape:
        given = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise PictureError(f"Expected prepared pictures as float numbers of shape (n, c, h, w); received {given}.")
    weights = next((weight for weight in model.parameters() if weight.is_floating_point()), images)
    return images.detach().to(weights.device, weights.dtype, copy=True)
