"""The filters that a network has learned; those of the first layer can be shown as images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from striate.core.errors import StriateError
from striate.explaining._repr import ShortRepr


class FilterError(StriateError):
    """Filters that a network does not have, or that cannot be shown as images."""


@dataclass(frozen=True, eq=False, repr=False)
class Filters(ShortRepr):
    """The weights of the convolution at module path `layer`: k filters over c input channels."""

    layer: str
    weights: Float[np.ndarray, "k c h w"]

    @property
    def strength(self) -> Float[np.ndarray, " k"]:
        """The largest absolute weight of each filter, by which `images` and `slices` divide."""
        return np.abs(self.weights).max(axis=(1, 2, 3))

    def slices(self) -> Float[np.ndarray, "k c h w"]:
        """Return each channel of each filter as a signed image from -1 to 1: w / max |w| of its own filter."""
        strength = self.strength[:, None, None, None]
        return np.divide(self.weights, strength, out=np.zeros_like(self.weights), where=strength > 0)

    def images(self) -> Float[np.ndarray, "k h w c"]:
        """Return each filter as a colour or grey image, from 0 to 1: ½ + ½ w / max |w|, the largest of its own filter.

        A weight of 0 is middle grey. Each filter has its own scale, so that a faint one looks as strong as any other:
        `strength` distinguishes them. The channels share one scale; where preparation divided them by very different
        spreads, the colours are those of prepared images.

        Raises:
            FilterError: the filters have other than one or three channels.
        """
        channels = self.weights.shape[1]
        if channels not in (1, 3):
            raise FilterError(
                f"A filter is an image if it sees 1 or 3 channels; those of {self.layer!r} see {channels}: "
                f"look at their slices."
            )
        return 0.5 + 0.5 * self.slices().transpose(0, 2, 3, 1)


def filters(model: nn.Module) -> tuple[Filters, ...]:
    """Return the filters of every 2-d convolution of `model`, in the order in which its modules are registered.

    In nearly every network, the first are therefore those that read the image. The filters of a transposed convolution
    are returned as those of a convolution: k output channels, c input channels.

    Raises:
        FilterError: there is no such module.
    """
    found = [
        Filters(path.replace("_orig_mod.", ""), _weights(module))
        for path, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    if not found:
        raise FilterError("Expected a network with modules that are 2-d convolutions; this one has none.")
    return tuple(found)


def _weights(module: nn.Conv2d | nn.ConvTranspose2d) -> Float[np.ndarray, "k c h w"]:
    with torch.no_grad():
        weight = module.weight.to("cpu", torch.float32, copy=True)
    if isinstance(module, nn.ConvTranspose2d):  # (c, k / groups, h, w), the groups one after another along c
        weight = torch.cat([part.transpose(0, 1) for part in weight.chunk(module.groups)])
    return weight.numpy()
