"""The maps at a place of a network, and the gradient of the score there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from operator import index
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining.layout import Grid, stated_layout
from striate.explaining.places import Known, MapPlace, last_map, recall, remember, signature
from striate.explaining.target import Aim
from striate.hooks import PlaceError, capture, listing, place_name

Result = TypeVar("Result")

At = str | nn.Module | None
"""A place: a declared feature map, a module or its path, an operation ("relu:3"); None for the last map that is laid
out over the image."""


@dataclass(frozen=True)
class Read:
    """What stood at place `at`, laid out over the image, and the gradient of the score there; both in float32."""

    at: str
    maps: Float[Tensor, "n k h w"]
    gradient: Float[Tensor, "n k h w"]
    notes: tuple[str, ...]


def read_map(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    aim: Aim,
    at: At,
    tokens: Grid | None = None,
    *,
    differentiable: bool = False,
) -> Read:
    """The map at place `at`, or at the last that is laid out over the image, and the gradient there.

    `tokens`: the rows and columns of a place that gives tokens. `differentiable`: the gradient can be differentiated
    again, and so knows whether it depends on the map.

    Raises:
        PlaceError: there is no such place, it gives no map, or the score does not depend on it.
        ConfigError: `tokens` is no grid.
    """
    tokens = _grid(tokens)

    def read(place: str) -> Read:
        return _read(model, images, aim, place, tokens, differentiable)

    return (
        read(place_name(model, at))
        if at is not None
        else by_default(model, images, aim, tokens, lambda place: read(place.name))
    )


def by_default(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    aim: Aim,
    tokens: Grid | None,
    read: Callable[[MapPlace], Result],
) -> Result:
    """What `read` makes of the default place in a forward pass of `model`.

    A place that was found before is used again if the network still runs the same operations, which that pass itself
    shows; otherwise it is looked for again.

    Raises:
        NoMapError: no place is laid out over the image.
    """
    known = recall(model, images, tokens)
    if known is not None:
        with suppress(PlaceError), listing(model) as ran:
            found = read(known.place)
            if signature(ran) == known.ran:
                return found
    place = last_map(model, images, aim, tokens)
    with listing(model) as ran:
        found = read(place)
    remember(model, images, tokens, Known(place, signature(ran)))
    return found


def _read(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    aim: Aim,
    place: str,
    tokens: Grid | None,
    differentiable: bool,
) -> Read:
    with capture(model, [place]) as captured:
        score = aim(model(images)).sum()
    value = captured[place]
    layout = stated_layout(place, value.shape, len(images), (images.shape[2], images.shape[3]), tokens)
    found = None
    if score.requires_grad:
        (found,) = torch.autograd.grad(score, value, allow_unused=True, create_graph=differentiable)
    if found is None:
        raise PlaceError(
            f"No gradient of the score reaches place {place!r}: name one on the way to the score, behind all that the "
            f"network detaches or runs without autograd."
        )
    return Read(place, layout.lay(value.detach()).float(), layout.lay(found).float(), layout.note(place))


def _grid(tokens: Any) -> Grid | None:
    if tokens is None:
        return None
    try:
        rows, columns = (index(side) for side in tokens)
    except (TypeError, ValueError):
        rows = columns = 0
    if rows < 1 or columns < 1:
        raise ConfigError(f"The grid of tokens is (rows, columns), two numbers from 1 on; received {tokens!r}.")
    return rows, columns
