"""Hide half of the image from the network: a map of the network must be flat there, and nowhere else.

An attribution to pixels on which the network does not depend should be zero (the axiom "Sensitivity(b)" of
Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365). Gradients there are
zero, and so is what occlusion measures; class activation maps are flat up to the border of the half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.checks.reference_maps import turned
from striate.explaining.checks.result import WithChance

HALVES = (2, False), (2, True), (3, False), (3, True)
"""Top, bottom, left and right: an axis of the images, and whether it is the second half of it."""

_MEASURED = 3 / 8  # of the side: without the strip at the border of the half, which cells of coarse maps cross

Half = tuple[int, bool]
Maps = Float[np.ndarray, "n h w"]


def hide(network: nn.Module, images: Float[Tensor, "n c h w"], half: Half) -> nn.Module:
    """Replace this half of each input that has the size of `images` by their mean colour, and return the network."""
    axis, second = half
    size, side = images.shape[1:], images.shape[axis]
    colour = images.mean((0, 2, 3), keepdim=True)
    places = torch.arange(side, device=images.device)
    hidden = (places >= side - side // 2 if second else places < side // 2).view(-1, *[1] * (3 - axis))

    def cover(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        first, *rest = given
        return (torch.where(hidden, colour.to(first), first) if first.shape[1:] == size else first, *rest)

    network.register_forward_pre_hook(cover)
    return network


def spreads(maps: dict[Half, Maps]) -> WithChance:
    """Return the standard deviation in the hidden half over that of the whole map, a mean over halves and images.

    Chance is that of the same maps mirrored and turned.
    """
    each = [[_spread(way, half) for way in (found, *turned(found))] for half, found in maps.items()]
    own, *others = np.mean(each, axis=0).tolist()
    return WithChance(own, tuple(others))


def _spread(maps: Maps, half: Half) -> float:
    """Return the mean of the ratios, 0 for a constant map."""
    axis, second = half
    side = maps.shape[axis - 1]
    strip = max(1, int(side * _MEASURED))
    there = np.take(maps, np.arange(side - strip, side) if second else np.arange(strip), axis - 1).std((1, 2))
    whole = maps.std((1, 2))
    return float((there / np.where(whole > 0, whole, np.inf)).mean())
