"""Where a method that reads a place in the network reads it, if it is not told."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.protocols import Described
from striate.hooks import PlaceError, Ran, operations

# What pools a map, lays it out anew or compares its positions makes no map of its own: the one before is meant. Of a
# VGG that is the last convolution, rectified, as in the paper of Grad-CAM.
_NO_MAPS = (
    *("amax", "flatten", "mean", "movedim", "permute", "reshape", "sum", "transpose", "unfold", "view"),
    *("bmm", "matmul", "scaled_dot_product_attention", "softmax"),
)
_MOST_STRETCHED = 2.0


def last_map(model: nn.Module, images: Float[Tensor, "n c h w"]) -> str:
    """The place of the last map that still has the plan of the picture: before global pooling, or before flattening.

    Where a network declares its feature maps and its head is a linear layer, that is the last of them. Otherwise it is
    found by running the network on the first picture: the last operation, other than pooling, that gives a map
    (n, k, h, w) with sides in the proportion of the picture's. Where one map for each class is pooled and no linear
    layer follows, those are it.

    Raises:
        PlaceError: there is no such map.
    """
    if isinstance(model, Described) and model.feature_maps and isinstance(model.get_submodule(model.head), nn.Linear):
        return model.feature_maps[-1].name
    first = images[:1]
    maps = [ran.place for ran in operations(model, first) if ran.changed and _has_plan(ran, first.shape[2:])]
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
