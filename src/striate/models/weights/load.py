"""Copy weights into a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.models.weights.state import tensors_of

_SHOWN = 3
# Batch norms count their batches only since torch 0.4.1, and no code here depends on the count.
BATCH_COUNTER = "num_batches_tracked"


def load_weights(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Copy every tensor of `state` into `model`, to the parameter or buffer at the path of its name.

    Every parameter and buffer receives a value and every tensor is used; otherwise `model` does not change. Only the
    batch counters of batch norms may be missing; they keep their values. Checkpoints with the weights under a common
    key, names that begin with `module.` or `_orig_mod.`, and NumPy arrays are accepted. Floating-point numbers are
    converted to the precision of the model. Weights of other libraries are converted first: see `dialects`.

    Raises:
        ModelError: tensors are missing, left over, of the wrong shape or type, or not finite.
    """
    state = tensors_of(state)
    places = model.state_dict()
    left_over = [repr(name) for name in state if name not in places]
    if left_over:
        raise ModelError(f"The network has no place for {some_of(left_over)} of these weights. {_ADVICE}")
    missing = [repr(place) for place in places if place not in state and not place.endswith(BATCH_COUNTER)]
    if missing:
        raise ModelError(f"These weights have nothing for {some_of(missing)} of the network. {_ADVICE}")
    misshapen = [
        f"{name!r} is {by(tensor.shape)}, its place {by(places[name].shape)}"
        for name, tensor in state.items()
        if tensor.shape != places[name].shape
    ]
    if misshapen:
        raise ModelError(f"Weights of other shapes than the network's: {some_of(misshapen, '; ')}. {_ADVICE}")
    trained = {name for name, _ in model.named_parameters()}
    for name, tensor in state.items():
        _check_numbers(name, tensor, places[name].dtype, trained=name in trained)
    model.load_state_dict(places | state)


def _check_numbers(name: str, tensor: Tensor, wanted: torch.dtype, *, trained: bool) -> None:
    """Check the type of a tensor, and that its values are finite in the precision `wanted`.

    Buffers, such as masks, may be infinite.
    """
    if tensor.is_floating_point() != wanted.is_floating_point or tensor.is_complex() != wanted.is_complex:
        if name.endswith(BATCH_COUNTER) and not tensor.is_complex():
            return
        raise ModelError(f"{name!r} of these weights is of {tensor.dtype}, its place of {wanted}. {_ADVICE}")
    if tensor.is_meta or not wanted.is_floating_point:
        return
    there = tensor.to(wanted)
    if there.isnan().any() or (trained and not there.isfinite().all()):
        how = f"as numbers of {str(wanted).removeprefix('torch.')}" if tensor.isfinite().all() else "as they are given"
        raise ModelError(f"{name!r} of these weights is not finite {how}: the outputs of the network would not be.")


_ADVICE = (
    "Build the network with the classes, channels and size that these weights were trained for. Weights of another "
    "library have names of their own: `striate.models.weights.recognise` finds the dialect that converts them."
)


def fits(tensor: Tensor, place: Tensor, *, head: bool) -> bool:
    """Return whether a tensor has the shape of its place; that of a head may have another number of classes."""
    return tensor.shape[head:] == place.shape[head:] and tensor.ndim == place.ndim


def some_of(items: Sequence[str], separator: str = ", ") -> str:
    """Join the first items for a sentence, with the number of the others."""
    more = len(items) - _SHOWN
    return separator.join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def by(shape: Sequence[int]) -> str:
    """Return a shape as in a sentence: 3×9."""
    return "×".join(map(str, shape)) or "a single number"
