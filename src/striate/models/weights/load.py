"""Copy tensors with foreign names into a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.models.weights.state import tensors_of

Rename = Callable[[str], str]

_SHOWN = 3
# Batch norms count their batches only since torch 0.4.1, and no code here depends on the count.
_DISPENSABLE = "num_batches_tracked"
_MEANT_FOR: dict[Rename, tuple[str, ...]] = {}


def meant_for(*families: str) -> Callable[[Rename], Rename]:
    """Restrict rules to model families: models of other families may have the same shapes but another function."""

    def mark(rename: Rename) -> Rename:
        _MEANT_FOR[rename] = families
        return rename

    return mark


def _as_it_is(name: str) -> str:
    return name


def load_weights(model: nn.Module, state: Mapping[str, Any], rename: Rename = _as_it_is) -> None:
    """Copy every tensor of `state` into `model`, to the parameter or buffer at the path `rename(name)`.

    Every parameter and buffer receives a value and every tensor is used; otherwise `model` does not change. Only the
    batch counters of batch norms may be missing; they keep their values. Checkpoints with the weights under a common
    key, names that begin with `module.` or `_orig_mod.`, and NumPy arrays are accepted. Floating-point numbers are
    converted to the precision of the model.

    Only names and shapes are compared. They are the same for a plain model and a residual one without weights in its
    shortcuts, such as `plain32` and `resnet32`. Rules for known sources (`meant_for`) refuse the other family.

    Raises:
        ModelError: tensors are missing, left over, duplicates, of the wrong shape or type, or not finite; or the rules
            are for another family of models.
    """
    _check_family(model, rename)
    state = tensors_of(state)
    places = model.state_dict()
    names: dict[str, str] = {}
    for name in state:
        place = rename(name)
        if place in names:
            raise ModelError(f"{names[place]!r} and {name!r} of these weights both belong into {place!r}.")
        names[place] = name
    left_over = [_told(names[place], place) for place in names if place not in places]
    if left_over:
        raise ModelError(f"The network has no place for {_list(left_over)} of these weights. {_ADVICE}")
    missing = [repr(place) for place in places if place not in names and not place.endswith(_DISPENSABLE)]
    if missing:
        raise ModelError(f"These weights have nothing for {_list(missing)} of the network. {_ADVICE}")
    misshapen = [
        f"{_told(name, place)} is {_shape(state[name])}, its place {_shape(places[place])}"
        for place, name in names.items()
        if state[name].shape != places[place].shape
    ]
    if misshapen:
        raise ModelError(f"Weights of other shapes than the network's: {_list(misshapen, '; ')}. {_ADVICE}")
    trained = {name for name, _ in model.named_parameters()}
    for place, name in names.items():
        _check_numbers(name, state[name], place, places[place].dtype, trained=place in trained)
    model.load_state_dict(places | {place: state[name] for place, name in names.items()})


def _check_family(model: nn.Module, rename: Rename) -> None:
    families, card = _MEANT_FOR.get(rename), getattr(model, "card", None)
    if families is not None and card is not None and card.family not in families:
        raise ModelError(
            f"These rules are for weights of the family {' or '.join(families)}, and the network is {card.name}, of "
            f"the family {card.family}, which may compute something else with the same tensors."
        )


def _check_numbers(name: str, tensor: Tensor, place: str, wanted: torch.dtype, *, trained: bool) -> None:
    """Check the type of a tensor, and that its values are finite in the precision `wanted`.

    Buffers, such as masks, may be infinite.
    """
    if tensor.is_floating_point() != wanted.is_floating_point or tensor.is_complex() != wanted.is_complex:
        if place.endswith(_DISPENSABLE) and not tensor.is_complex():
            return
        raise ModelError(f"{name!r} of these weights is of {tensor.dtype}, its place of {wanted}. {_ADVICE}")
    if tensor.is_meta or not wanted.is_floating_point:
        return
    there = tensor.to(wanted)
    if there.isnan().any() or (trained and not there.isfinite().all()):
        how = f"as numbers of {str(wanted).removeprefix('torch.')}" if tensor.isfinite().all() else "as they are given"
        raise ModelError(f"{name!r} of these weights is not finite {how}: the network could answer nothing.")


_ADVICE = (
    "Give the rules of the source that they come from, and build the network with the classes, channels and size that "
    "they were trained for."
)


def _told(name: str, place: str) -> str:
    return repr(name) if name == place else f"{name!r} (as {place!r})"


def _list(items: list[str], separator: str = ", ") -> str:
    shown: Iterable[str] = items[:_SHOWN]
    more = len(items) - _SHOWN
    return separator.join(shown) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
