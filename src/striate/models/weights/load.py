"""Tensors by somebody else's names, put where they belong in one of our networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.models.weights.state import tensors_of

Rename = Callable[[str], str]

_SHOWN = 3
# A batch norm counts its batches since torch 0.4.1 only, and nothing that we do depends on the count.
_DISPENSABLE = "num_batches_tracked"
_MEANT_FOR: dict[Rename, tuple[str, ...]] = {}


def meant_for(*families: str) -> Callable[[Rename], Rename]:
    """Say for the networks of which families rules are: others may have the same shapes, and another function."""

    def mark(rename: Rename) -> Rename:
        _MEANT_FOR[rename] = families
        return rename

    return mark


def _as_it_is(name: str) -> str:
    return name


def load_weights(model: nn.Module, state: Mapping[str, Any], rename: Rename = _as_it_is) -> None:
    """Copy every tensor of `state` into `model`, to the parameter or buffer whose path `rename` makes of its name.

    All of the network gets a value and nothing is left over, or else nothing is changed. Only the counts of batches
    that batch norms have seen may be missing; they stay as they are. A checkpoint that holds the weights under a usual
    key, names that begin with `module.` or `_orig_mod.`, and NumPy arrays are taken too. Floating numbers of another
    precision are converted to the network's.

    Names and shapes are all that is compared: a plain network and a residual one whose shortcuts have no weights, as
    `plain32` and `resnet32`, cannot be told apart by them. Rules that know their source (`meant_for`) refuse the other.

    Raises:
        ModelError: tensors are missing, left over, twice in one place, of another shape or kind than their place, or
            not finite; or the rules are for another family of networks.
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
    """Check that a tensor is of its place's kind, and that its numbers can be used there.

    A buffer may be infinite, as masks are.
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
