"""Where a method that reads a place in the network reads it, if it is not told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.protocols import Described
from striate.explaining.layout import Grid, Layout, layout_of
from striate.explaining.probing import AGREEING, agreements, receiving
from striate.explaining.target import Aim
from striate.hooks import OperationRecord, PlaceError, capture, listing

_LAYING_OUT = (
    *("contiguous", "flatten", "getitem", "movedim", "permute", "reshape", "swapaxes", "swapdims", "transpose"),
    *("unflatten", "unfold", "unsqueeze", "squeeze", "view"),
)
"""What lays a map out anew computes none: where its values are those of the operation before, that one is meant."""
_COMPARING = ("bmm", "einsum", "matmul", "scaled_dot_product_attention", "softmax")
_POOLING = ("amax", "mean", "sum")
"""What pools a map is passed over: of a VGG the last convolution is read, rectified, as in the paper of Grad-CAM."""
_OF_TOKENS = ("add", "batch_norm", "group_norm", "layer_norm", "rms_norm")
"""Of the operations on tokens, or on maps with their channels last, those that give the state between the parts of a
block, or the same normalized; the others give queries, keys, values and hidden layers."""


_AT_ONCE = 12
"""How many places are tested in the same forward passes: most often one of the last will do."""


class NoMapError(PlaceError):
    """A network in which no place is laid out over the image, so that there is none to read by default."""


@dataclass(frozen=True)
class MapPlace:
    """A place that gives maps, and how its value is laid out over the image."""

    name: str
    layout: Layout


@dataclass(frozen=True)
class Known:
    """The default place of a network, and what ran in the forward pass that read it."""

    place: MapPlace
    ran: tuple[object, ...]


_KNOWN: WeakKeyDictionary[nn.Module, dict[object, Known]] = WeakKeyDictionary()
"""By the size of the images and the grid of the tokens. Used only as long as the network runs the same operations."""


def recall(model: nn.Module, images: Float[Tensor, "n c h w"], tokens: Grid | None) -> Known | None:
    """The default place that was found for images of this size, if one was."""
    return _KNOWN.get(model, {}).get((tuple(images.shape[1:]), tokens))


def remember(model: nn.Module, images: Float[Tensor, "n c h w"], tokens: Grid | None, known: Known) -> None:
    _KNOWN.setdefault(model, {})[tuple(images.shape[1:]), tokens] = known


def signature(ran: Sequence[OperationRecord]) -> tuple[object, ...]:
    """What changes when a network runs other operations, or on maps of other sizes, whatever the number of images."""
    return tuple((one.place, one.shape[2:], one.changed, one.module) for one in ran)


def last_map(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim, tokens: Grid | None = None) -> MapPlace:
    """The last place that is laid out over the image: before global pooling, or before flattening.

    It is the last operation, other than pooling, that gives maps (n, k, h, w) or (n, h, w, k), or tokens (n, t, k), and
    passes these tests on the first image: a gradient of the score reaches it; it depends on the image; and each of its
    positions depends most on what lies there. It is given under its name as a declared feature map, where it is one.

    `tokens`: the rows and columns of the tokens, which must otherwise have the proportions of the image.

    Raises:
        NoMapError: there is no such place.
    """
    image, first = images[:1], aim.of(0)
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
    raise NoMapError(_nothing_to_read(ran))


def candidates(
    ran: Sequence[OperationRecord], image: Float[Tensor, "1 c h w"], tokens: Grid | None = None
) -> list[tuple[MapPlace, OperationRecord]]:
    """The operations that, by their names and shapes, may give a map laid out over the image, in their order."""
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
    """The last of these places by the name that says most: a declared feature map, or what computed its values."""
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
        "The network has no map that is laid out over the image and on which the score depends, so there is nothing to "
        "read: name a place (`at`), or use a method that reads none, such as saliency."
    )
