"""Tensors by somebody else's names, put where they belong in one of our networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor, nn

from striate.core.errors import ModelError

_SHOWN = 3
# A batch norm counts its batches since torch 0.4.1 only, and nothing that we do depends on the count.
_DISPENSABLE = "num_batches_tracked"


def _as_it_is(name: str) -> str:
    return name


def load_weights(model: nn.Module, state: Mapping[str, Tensor], rename: Callable[[str], str] = _as_it_is) -> None:
    """Copy every tensor of `state` into `model`, to the parameter or buffer whose path `rename` makes of its name.

    All of the network gets a value and nothing is left over, or else nothing is changed. Only the counts of batches
    that batch norms have seen may be missing; they stay as they are.

    Raises:
        ModelError: tensors are missing, left over, twice in one place, or of another shape than their place.
    """
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
    model.load_state_dict(places | {place: state[name] for place, name in names.items()})


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
