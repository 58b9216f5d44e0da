"""Between pictures as people see them and what a network is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from striate.core.spec import RGB, InputSpec
from striate.explaining.model_input import PictureError


@dataclass(frozen=True)
class Palette:
    """The scaling of an `InputSpec`, read backwards too.

    Pictures have values from 0 to 1 (full intensity, the spec's `maximum`), their channels in the order `channels`:
    red, green, blue for a network of these three in whatever order, else the network's own.
    """

    spec: InputSpec

    @property
    def channels(self) -> tuple[str, ...]:
        return RGB if sorted(self.spec.channels) == sorted(RGB) else self.spec.channels

    @property
    def colour(self) -> bool:
        """Whether pictures are of red, green and blue."""
        return self.channels == RGB

    def mean(self, like: Tensor) -> Float[Tensor, "c 1 1"]:
        """The mean of the spec, in the order of pictures."""
        means = dict(zip(self.spec.channels, self.spec.mean, strict=True))
        return like.new_tensor([means[name] for name in self.channels])[:, None, None]

    def scaled(self, pictures: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """What the network is given: (value - mean) / std, in its own order of channels."""
        order = [self.channels.index(name) for name in self.spec.channels]
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (self.spec.mean, self.spec.std))
        return (pictures[:, order] - mean) / std

    def tensor(self, picture: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"]) -> Float[Tensor, "1 c h w"]:
        """An image as a batch of one; of whole numbers, it is taken for one of 8 bits.

        Raises:
            PictureError: it has other channels than the network, or values outside 0 to 1.
        """
        given = np.asarray(picture)
        given = given.astype(np.float32) / 255 if given.dtype == np.uint8 else given
        if given.ndim != 3 or given.shape[2] != len(self.channels) or 0 in given.shape:
            raise PictureError(
                f"Expected a picture (h, w, {len(self.channels)}) of {', '.join(self.channels)}; "
                f"received an array of shape {given.shape}."
            )
        if given.dtype.kind != "f" or not (given.min() >= 0 and given.max() <= 1):
            raise PictureError(
                f"A picture has float values from 0 to 1, full intensity, or is uint8; received {given.dtype} from "
                f"{given.min():g} to {given.max():g}."
            )
        return torch.from_numpy(given.astype(np.float32)).permute(2, 0, 1)[None]


def array(pictures: Float[Tensor, "n c h w"]) -> Float[np.ndarray, "n h w c"]:
    """Pictures as an array for people: float32 from 0 to 1, the channels last."""
    return pictures.detach().permute(0, 2, 3, 1).to("cpu", torch.float32).clamp(0, 1).contiguous().numpy()


def frame(pictures: Float[Tensor, "n c h w"]) -> np.ndarray:
    """Pictures as bytes, the channels last: for a film."""
    return np.round(array(pictures) * 255).astype(np.uint8)
