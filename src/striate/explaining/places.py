"""Where a method that reads a place in the network reads it, if it is not told."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.protocols import Described
from striate.hooks import PlaceError, Ran, capture, operations

# What pools a map, lays it out anew or compares its positions makes no map of its own: the one before is meant. Of a
# VGG that is the last convolution, rectified, as in the paper of Grad-CAM.
_NO_MAPS = (
    *("amax", "flatten", "mean", "movedim", "permute", "reshape", "sum", "transpose", "unfold", "view"),
    *("bmm", "matmul", "scaled_dot_product_attention", "softmax"),
)
_MOST_STRETCHED = 1.5

_FOUND: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], str]] = WeakKeyDictionary()
"""The last map of each network for each size of its pictures."""


def last_map(model: nn.Module, images: Float[Tensor, "n c h w"]) -> str:
    """The place of the last map that still has the plan of the picture: before global pooling, or before flattening.

    It is the last operation, other than pooling, that gives a map (n, k, h, w) of more than one value, with sides in
    the proportion of the picture's; under its name as a declared feature map, where it is one. To find it, the network
    runs on the first picture, once for a network and a size of pictures.

    Raises:
        PlaceError: there is no such map.
    """
    known = _FOUND.setdefault(model, {})
    size = tuple(images.shape[1:])
    if size not in known:
        known[size] = _find(model, images[:1])
    return known[size]


def _find(model: nn.Module, image: Float[Tensor, "1 c h w"]) -> str:
    found = last_operation(model, image)
    if not isinstance(model, Described) or not model.feature_maps:
        return found
    declared = model.feature_maps[-1].name
    with torch.no_grad(), capture(model, [found, declared]) as captured:
        model(image)
    return declared if torch.equal(captured[found], captured[declared]) else found


def last_operation(model: nn.Module, image: Float[Tensor, "1 c h w"]) -> str:
    """The operation that gives the last map with the plan of the picture (see `last_map`).

    Raises:
        PlaceError: there is none.
    """
    maps = [ran.place for ran in operations(model, image) if ran.changed and _has_plan(ran, image.shape[2:])]
    if not maps:
        raise PlaceError(
            "The network makes no map with the plan of the picture, so there is nothing to read: "
            "name a place (`at`), or use a method that reads none, such as saliency."
        )
    return maps[-1]


def _has_plan(ran: Ran, size: Sequence[int]) -> bool:
    if len(ran.shape) != 4 or ran.operation in _NO_MAPS or "pool" in ran.operation:
        return False
    (height, width), (tall, wide) = ran.shape[2:], size
    if (height * width == 1 and tall * wide > 1) or height > tall or width > wide:
        return False
    stretched = (height * wide) / (width * tall)
    return 1 / _MOST_STRETCHED <= stretched <= _MOST_STRETCHED
