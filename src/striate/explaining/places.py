"""The place in a network that a method reads: the one it is given, or the last spatial feature map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import index
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.protocols import Described
from striate.explaining.layout import Grid, Layout, layout_of, stated_layout
from striate.explaining.probing import AGREEING, agreements, receiving
from striate.explaining.target import ResolvedTarget
from striate.hooks import OperationRecord, PlaceError, capture, listing, place_name

_LAYING_OUT = (
    *("contiguous", "flatten", "getitem", "movedim", "permute", "reshape", "swapaxes", "swapdims", "transpose"),
    *("unflatten", "unfold", "unsqueeze", "squeeze", "view"),
)
"""Operations that only change the layout; where the values are those of the operation before, that one is meant."""
_COMPARING = ("bmm", "einsum", "matmul", "scaled_dot_product_attention", "softmax")
_POOLING = ("amax", "mean", "sum")
"""Operations that only change the layout; where the values are those of the operation before, its name is used."""
_OF_TOKENS = ("add", "batch_norm", "group_norm", "layer_norm", "rms_norm")
"""Of the operations on tokens, or on maps with their channels last, those that give the state between the parts of a
block, or the same normalized; the others give queries, keys, values and hidden layers."""


_AT_ONCE = 12
"""How many places are tested in the same forward passes: most often one of the last will do."""


class NoMapError(PlaceError):
    """A network without a spatial feature map, so that there is no default place."""


@dataclass(frozen=True)
class MapPlace:
    """A place whose value is a map, and how that is laid out over the image."""

    name: str
    layout: Layout


@dataclass(frozen=True)
class KnownPlace:
    """The default place of a network, and the operations of the forward pass that read it."""

    place: MapPlace
    ran: tuple[object, ...]


_KNOWN: WeakKeyDictionary[nn.Module, dict[object, KnownPlace]] = WeakKeyDictionary()
"""By the size of the images and the grid of the tokens. Used only as long as the network runs the same operations."""


def recall(model: nn.Module, images: Float[Tensor, "n c h w"], tokens: Grid | None) -> KnownPlace | None:
    """Return the default place found before for images of this size, or None."""
    return _KNOWN.get(model, {}).get((tuple(images.shape[1:]), tokens))


def remember(model: nn.Module, images: Float[Tensor, "n c h w"], tokens: Grid | None, known: KnownPlace) -> None:
    """Keep the default place for images of this size."""
    _KNOWN.setdefault(model, {})[tuple(images.shape[1:]), tokens] = known


def signature(ran: Sequence[OperationRecord]) -> tuple[object, ...]:
    """Return a key of the operations of a pass and the sizes of their maps, whatever the number of images."""
    return tuple((one.place, one.shape[2:], one.changed, one.module) for one in ran)


def last_map(
    model: nn.Module, images: Float[Tensor, "n c h w"], target: ResolvedTarget, tokens: Grid | None = None
) -> MapPlace:
    """Find the last place that is laid out over the image: before global pooling, or before flattening.

    It is the last operation, other than pooling, whose output is maps (n, k, h, w) or (n, h, w, k), or tokens (n, t,
    k), and that passes these tests on the first image: a gradient of the score reaches it; it depends on the image; and
    each of its positions depends most on the same position of the image. It is returned by its name as a declared
    feature map, where it is one.

    `tokens`: the rows and columns of the tokens, which must otherwise have the proportions of the image.

    Raises:
        NoMapError: there is no such place.
    """
    image, first = images[:1], target.of(0)
    with torch.no_grad(), listing(model) as ran:
        clean = first(model(image))
    possible = candidates(ran, image, tokens)
    met = receiving(model, image, first, [(place.name, place.layout) for place, _ in possible])
    if not torch.allclose(met.score, clean, rtol=1e-3):
        # The network writes into a view, which a captured copy would not pass on.
        possible = [one for one in possible if one[1].operation not in _LAYING_OUT]
        met = receiving(model, image, first, [(place.name, place.layout) for place, _ in possible])
    reached = [one for one, there in zip(possible, met.reached, strict=True) if there]
    for end in range(len(reached), 0, -_AT_ONCE):
        begin = max(0, end - _AT_ONCE)
        agreeing = agreements(model, image, [(place.name, place.layout) for place, _ in reached[begin:end]])
        lying = [number for number, share in enumerate(agreeing, begin) if share >= AGREEING]
        if lying:
            return _named(model, image, reached[: lying[-1] + 1])
    if possible and not any(met.depends):
        raise NoMapError(
            "No gradient of the score reaches any place of the network: it detaches its answer, or computes it under "
            "torch.inference_mode or outside of torch. Occlusion and RISE need no gradient."
        )
    raise NoMapError(_nothing_to_read(ran))


def candidates(
    ran: Sequence[OperationRecord], image: Float[Tensor, "1 c h w"], tokens: Grid | None = None
) -> list[tuple[MapPlace, OperationRecord]]:
    """List the operations that, by their names and shapes, may return a map laid out over the image, in order."""
    found: list[tuple[MapPlace, OperationRecord]] = []
    for one in ran:
        if not one.changed or one.operation in (*_POOLING, *_COMPARING) or "pool" in one.operation:
            continue
        layout = layout_of(one.shape, 1, (image.shape[2], image.shape[3]), tokens)
        if layout is None or (layout.kind != "channels first" and one.operation not in _OF_TOKENS):
            continue
        found.append((MapPlace(one.place, layout), one))
    return found


@torch.no_grad()
def _named(
    model: nn.Module, image: Float[Tensor, "1 c h w"], found: list[tuple[MapPlace, OperationRecord]]
) -> MapPlace:
    """Return the last place by its best name: a declared feature map, or the operation that computed its values."""
    place, ran = found[-1]
    others = [place]
    if ran.operation in _LAYING_OUT:
        others += [one for one, by in found if by.operation not in _LAYING_OUT][-1:]
    declared = [*model.feature_maps][-1] if isinstance(model, Described) and model.feature_maps else None
    with capture(model, [*(one.name for one in others), *([declared] if declared else [])]) as captured:
        model(image)
    maps = [one.layout.lay(captured[one.name]) for one in others]
    if declared is not None and torch.equal(captured[declared], maps[0]):
        return MapPlace(declared, place.layout)
    return others[-1] if torch.equal(maps[0], maps[-1]) else place


def _nothing_to_read(ran: Sequence[OperationRecord]) -> str:
    tokens = [one for one in ran if len(one.shape) == 3 and one.operation in _OF_TOKENS]
    if tokens:
        last = tokens[-1]
        return (
            f"The network works on tokens (n, tokens, channels), the last of them {last.shape} at {last.place!r}, and "
            f"no place of it is laid out over the image: name a place (`at`) and state the grid of its tokens as "
            f"tokens=(rows, columns), or use a method that reads no place, such as saliency."
        )
    return (
        "The network has no map that is laid out over the image and on which the score depends, so there is no default "
        "place: name a place (`at`), or use a method that reads none, such as saliency."
    )


Result = TypeVar("Result")

At = str | nn.Module | None
"""A place: a declared feature map, a module or its path, an operation ("relu:3"); None for the last map that is laid
out over the image."""


@dataclass(frozen=True)
class MapReading:
    """The value of place `at`, laid out over the image, and the gradient of the score there; both in float32."""

    at: str
    maps: Float[Tensor, "n k h w"]
    gradient: Float[Tensor, "n k h w"]
    notes: tuple[str, ...]


def read_map(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    at: At,
    tokens: Grid | None = None,
    *,
    differentiable: bool = False,
) -> MapReading:
    """Read the map at place `at`, or at the last place that is laid out over the image, and the gradient there.

    `tokens`: the rows and columns of a place that returns tokens. `differentiable`: the gradient can be differentiated
    again, which shows whether it depends on the map.

    Raises:
        PlaceError: there is no such place, it has no map, or the score does not depend on it.
        ConfigError: `tokens` is not a grid.
    """
    tokens = _grid(tokens)

    def read(place: str) -> MapReading:
        return _read(model, images, target, place, tokens, differentiable)

    return (
        read(place_name(model, at))
        if at is not None
        else by_default(model, images, target, tokens, lambda place: read(place.name))
    )


def by_default(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    tokens: Grid | None,
    read: Callable[[MapPlace], Result],
) -> Result:
    """Return the result of `read` for the default place in a forward pass of `model`.

    A place that was found before is used again if the network still runs the same operations, which that pass itself
    shows; otherwise the search is repeated.

    Raises:
        NoMapError: no place is laid out over the image.
    """
    known = recall(model, images, tokens)
    if known is not None:
        with suppress(PlaceError), listing(model) as ran:
            found = read(known.place)
            if signature(ran) == known.ran:
                return found
    place = last_map(model, images, target, tokens)
    with listing(model) as ran:
        found = read(place)
    remember(model, images, tokens, KnownPlace(place, signature(ran)))
    return found


def _read(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    place: str,
    tokens: Grid | None,
    differentiable: bool,
) -> MapReading:
    with capture(model, [place]) as captured:
        score = target(model(images)).sum()
    value = captured[place]
    layout = stated_layout(place, value.shape, len(images), (images.shape[2], images.shape[3]), tokens)
    found = None
    if score.requires_grad:
        (found,) = torch.autograd.grad(score, value, allow_unused=True, create_graph=differentiable)
    if found is None:
        raise PlaceError(
            f"No gradient of the score reaches place {place!r}: name one on the way to the score, after all parts that "
            f"the network detaches or runs without autograd."
        )
    return MapReading(place, layout.lay(value.detach()).float(), layout.lay(found).float(), layout.note(place))


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
