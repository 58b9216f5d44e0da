"""Default places to inspect: the layers of a network, and its declared feature maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.protocols import Described
from striate.explaining.model_input import as_model_input, borrowed_with_copies
from striate.hooks import OperationRecord, PlaceError, operations, place_names

Places = str | nn.Module | Sequence[str | nn.Module]
"""One place or several: feature maps, modules or their paths, operations ("relu:3")."""

_CONVOLUTIONS = ("conv2d", "conv_transpose2d")
# What may follow a weighted operation and still belong to its layer.
_FINISHING = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "hardtanh"),
    *("sigmoid", "hardsigmoid", "tanh", "softplus", "threshold", "clamp", "clamp_min", "maximum"),
    *("batch_norm", "group_norm", "instance_norm"),
)


def layers(model: nn.Module, images: Float[Tensor, "n c h w"]) -> tuple[str, ...]:
    """List the places of all layers of `model`, in the order in which a forward pass of the first image runs them.

    A layer is a 2-d convolution, or a dense layer that returns a row for each image, with the normalization and the
    activation that directly follow it. Its place is the last of these: a module's path if that module runs once and
    does nothing else, otherwise the operation, such as "relu:3".

    Raises:
        PlaceError: a part of the network is scripted, so that its operations cannot be seen.
    """
    with borrowed_with_copies(model):
        ran = [one for one in operations(model, as_model_input(model, images[:1])) if one.changed]
    found: list[OperationRecord] = []
    last: OperationRecord | None = None  # of a layer that may go on
    for one in ran:
        if one.operation in _CONVOLUTIONS or (one.operation == "linear" and len(one.shape) == 2):
            found.append(one)
        elif last is not None and one.operation in _FINISHING and one.shape == last.shape:
            found[-1] = one
        else:
            last = None
            continue
        last = one
    run_by = Counter(one.module for one in ran)
    return tuple(one.module if one.module and run_by[one.module] == 1 else one.place for one in found)


def places_of(model: nn.Module, images: Float[Tensor, "n c h w"], places: Places | None) -> tuple[str, ...]:
    """Return the names of `places`, by default the declared feature maps of `model`, or else its layers.

    Raises:
        PlaceError: one of them is neither a name nor a module of `model`, or there are none.
    """
    if places is not None:
        return place_names(model, places)
    if isinstance(model, Described) and model.feature_maps:
        return tuple(model.feature_maps)
    return layers(model, images)


def as_map(value: Tensor, place: str) -> Float[Tensor, "n u h w"]:
    """Return the activation of a place as a map of units; the row of a dense layer is a map of one position.

    Raises:
        PlaceError: it is neither.
    """
    if value.ndim == 2:
        return value[:, :, None, None]
    if value.ndim != 4:
        raise PlaceError(
            f"Units are the channels of a map (n, c, h, w) or of a row (n, k); place {place!r} gives "
            f"{tuple(value.shape)}: choose another place."
        )
    return value
