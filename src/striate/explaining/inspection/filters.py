"""The filters that a network has learned, as they are: the first layer's can be looked at as pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from striate.core.errors import StriateError
from striate.explaining._repr import ShortRepr


class FilterError(StriateError):
    """Filters that a network does not have, or that are no pictures."""


@dataclass(frozen=True, eq=False, repr=False)
class Filters(ShortRepr):
    """The weights of the convolution at module path `layer`: k filters, over c channels of the map that it is given."""

    layer: str
    weights: Float[np.ndarray, "k c h w"]

    @property
    def strength(self) -> Float[np.ndarray, " k"]:
        """The largest absolute weight of each filter: what `pictures` and `slices` take as 1."""
        return np.abs(self.weights).max(axis=(1, 2, 3))

    def slices(self) -> Float[np.ndarray, "k c h w"]:
        """Each channel of each filter as a signed picture from -1 to 1: w / max |w|, the largest of its own filter."""
        strength = self.strength[:, None, None, None]
        return np.divide(self.weights, strength, out=np.zeros_like(self.weights), where=strength > 0)

    def pictures(self) -> Float[np.ndarray, "k h w c"]:
        """Each filter as a picture in colour or grey, from 0 to 1: ½ + ½ w / max |w|, the largest of its own filter.

        A weight of 0 is middle grey. Each filter has its own scale, so that a faint one looks as strong as any other:
        `strength` tells them apart. The channels share one scale; where the preparation of pictures divided them by
        very different spreads, the colours are those of prepared pictures.

        Raises:
            FilterError: the filters see something other than one or three channels, and so no picture.
        """
        channels = self.weights.shape[1]
        if channels not in (1, 3):
            raise FilterError(
                f"A filter is a picture if it sees 1 or 3 channels; those of {self.layer!r} see {channels}: "
                f"look at their slices."
            )
        return 0.5 + 0.5 * self.slices().transpose(0, 2, 3, 1)


def filters(model: nn.Module) -> tuple[Filters, ...]:
    """The filters of every 2-d convolution of `model`, in the order in which its modules are registered.

    So, in nearly every network, the first are those that see the picture. A transposed convolution's filters come as
    those of a convolution: k for the maps that it makes, c for those that it is given.

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
    if isinstance(module, nn.ConvTranspose2d):  # (c, k / groups, h, w), the groups one behind the other along c
        weight = torch.cat([part.transpose(0, 1) for part in weight.chunk(module.groups)])
    return weight.numpy()
