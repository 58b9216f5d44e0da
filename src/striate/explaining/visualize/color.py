"""Conversion between images from 0 to 1 and the input of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from striate.core.spec import RGB, InputSpec
from striate.explaining.model_input import ImageError


@dataclass(frozen=True)
class ImageScaling:
    """The scaling of an `InputSpec`, in both directions.

    Images have values from 0 to 1 (full intensity, the spec's `maximum`), their channels in the order `channels`: red,
    green, blue for a network of these three in any order, else the network's own.
    """

    spec: InputSpec

    @property
    def channels(self) -> tuple[str, ...]:
        return RGB if sorted(self.spec.channels) == sorted(RGB) else self.spec.channels

    @property
    def colour(self) -> bool:
        """Whether images are of red, green and blue."""
        return self.channels == RGB

    def mean(self, like: Tensor) -> Float[Tensor, "c 1 1"]:
        """Return the mean of the spec, in the channel order of images."""
        means = dict(zip(self.spec.channels, self.spec.mean, strict=True))
        return like.new_tensor([means[name] for name in self.channels])[:, None, None]

    def scaled(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return the network's input: (value - mean) / std, in its own order of channels."""
        order = [self.channels.index(name) for name in self.spec.channels]
        mean, std = (images.new_tensor(values)[:, None, None] for values in (self.spec.mean, self.spec.std))
        return (images[:, order] - mean) / std

    def tensor(self, image: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"]) -> Float[Tensor, "1 c h w"]:
        """Return an image as a batch of one; whole numbers are read as 8 bits.

        Raises:
            ImageError: it has other channels than the network, or values outside 0 to 1.
        """
        given = np.asarray(image)
        given = given.astype(np.float32) / 255 if given.dtype == np.uint8 else given
        if given.ndim != 3 or given.shape[2] != len(self.channels) or 0 in given.shape:
            raise ImageError(
                f"Expected an image (h, w, {len(self.channels)}) of {', '.join(self.channels)}; "
                f"received an array of shape {given.shape}."
            )
        if given.dtype.kind != "f" or not (given.min() >= 0 and given.max() <= 1):
            raise ImageError(
                f"An image has float values from 0 to 1, full intensity, or is uint8; received {given.dtype} from "
                f"{given.min():g} to {given.max():g}."
            )
        return torch.from_numpy(given.astype(np.float32)).permute(2, 0, 1)[None]


def array(images: Float[Tensor, "n c h w"]) -> Float[np.ndarray, "n h w c"]:
    """Return images as a float32 array from 0 to 1, the channels last."""
    return images.detach().permute(0, 2, 3, 1).to("cpu", torch.float32).clamp(0, 1).contiguous().numpy()


def frame(images: Float[Tensor, "n c h w"]) -> np.ndarray:
    """Return images as bytes, the channels last: for an animation."""
    return np.round(array(images) * 255).astype(np.uint8)
