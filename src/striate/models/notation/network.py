"""Build a written network: find its head, assemble its layers, and count them.

A closing fully connected layer is the head; `FC-K` has as many outputs as there are classes, as `FC-n` must have. A
network that ends in a convolution of K filters and a global pooling, as Network in Network does (Lin, Chen and Yan,
ICLR 2014, arXiv:1312.4400, section 3.2), has that convolution as its head. Any other gets a head, unless it ends in an
output already: one unit, or as many units as there are classes, with an activation after them. A head has no
activation here, since the loss takes logits; two classes are two logits, not one unit and a sigmoid.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from striate.models._zoo import ModelCard, Network
from striate.models.notation.assembly import Assembly, Flow
from striate.models.notation.grammar import ACTIVATIONS, GLOBAL_POOLINGS, SOFTMAX, Notation, parse
from striate.models.notation.text import NotationError, Span
from striate.models.notation.tree import Convolution, FullyConnected, Item, Plain, parts
from striate.tracing import describe


@dataclass(frozen=True)
class Ending:
    """A network's items without a last softmax; `head` is one of them, and `softmax` is true if there was one."""

    items: tuple[Item, ...]
    head: Convolution | FullyConnected
    softmax: bool


def ending(notation: Notation) -> Ending:
    """Find the head of the written network; add one where none is written.

    Raises:
        NotationError: K, the number of classes, is used elsewhere than in the head.
    """
    items = notation.items
    softmax = isinstance(items[-1], Plain) and items[-1].word == SOFTMAX
    items = items[:-1] if softmax else items
    head = _head(items)
    if head is None:
        last = _last_units(items)
        if last is not None and last.units == 1:
            raise NotationError(
                "The last layer must return a logit for each class, because the loss applies the softmax: for two "
                "classes write FC-K without an activation after it, not one unit and a sigmoid.",
                notation.text,
                last.at,
            )
        end = len(notation.text)
        head = FullyConnected(units=None, at=Span(end, end))
        items = (*items, head)
    for item in _all(items):
        if item is not head and _per_class(item):
            raise NotationError(
                "K, the number of classes, is allowed in the last layer only, as in FC-K, or conv1-K before gap.",
                notation.text,
                item.at,
            )
    return Ending(items, head, softmax)


def written_classes(notation: Notation) -> int | None:
    """Return the number of classes that the text states; None if it states none."""
    head = ending(notation).head
    return head.units if isinstance(head, FullyConnected) else None


def check_classes(notation: Notation, head: Convolution | FullyConnected, classes: int) -> None:
    """Check that the head has as many outputs as there are classes, and is not added after a layer that has.

    Raises:
        NotationError: it has another number, or is one layer too much; the message offers the replacement.
    """
    last = _last_units(notation.items)
    if head not in notation.items and last is not None and last.units == classes:
        raise NotationError(
            f"The last fully connected layer has as many outputs as there are classes, {classes:,}, and an activation "
            "after it: leave the activation out, because the loss takes logits, or add FC-K after it.",
            notation.text,
            last.at,
        )
    if isinstance(head, FullyConnected) and head.units not in (None, classes):
        raise NotationError(
            f"The last layer has {head.units:,} outputs, and there are {classes:,} classes: write FC-K or "
            f"FC-{classes}.",
            notation.text,
            head.at,
        )


def _head(items: tuple[Item, ...]) -> Convolution | FullyConnected | None:
    last = items[-1]
    if isinstance(last, FullyConnected):
        return last
    if not (isinstance(last, Plain) and last.word in GLOBAL_POOLINGS):
        return None
    weighted = next((item for item in reversed(items) if not isinstance(item, Plain)), None)
    return weighted if isinstance(weighted, Convolution) and weighted.filters is None else None


def _last_units(items: tuple[Item, ...]) -> FullyConnected | None:
    """Return the fully connected layer before a last activation; None if the network ends otherwise."""
    last, before = items[-1], items[-2] if len(items) > 1 else None
    activated = isinstance(last, Plain) and last.word in ACTIVATIONS
    return before if activated and isinstance(before, FullyConnected) else None


def _per_class(item: Item) -> bool:
    match item:
        case FullyConnected():
            return item.units is None
        case Convolution():
            return item.filters is None
        case _:
            return False


def _all(items: tuple[Item, ...]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from _all(parts(item))


FAMILY = "notation"


class SoftmaxNotRun(nn.Module):
    """The last softmax of a written network: it is shown, and left to the loss. Outputs are logits."""

    def forward(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        return logits


class WrittenNetwork(Network):
    """The layers of a network written down, in its order.

    Initial weights are He's where a rectifier follows, Xavier's elsewhere.
    """

    in_order: ClassVar[bool] = True
    """Whether children run one after the other, so that a training may compute them in pieces."""

    def __init__(self, layers: OrderedDict[str, nn.Module], feature_maps: Mapping[str, str], head: str) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.feature_maps = feature_maps
        self.head = head

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        for layer in self.children():
            x = layer(x)
        return x


def build_written(text: str, *, channels: int, size: tuple[int, int], classes: int) -> Network:
    """Build the network that `text` describes, for images of `size` (height, width).

    Raises:
        NotationError: the text has a mistake, a layer does not fit its input, or the closing layer the classes.
        LostMapError: the images are too small.
    """
    notation = parse(text)
    end = ending(notation)
    check_classes(notation, end.head, classes)
    assembly = Assembly(text, classes, Flow((channels, *size)), staged=True)
    assembly.extend(end.items)
    assembly.finish()
    if end.softmax:
        assembly.layers["softmax"] = SoftmaxNotRun()
    network = WrittenNetwork(assembly.layers, assembly.maps, assembly.name_of(end.head))
    network.card = _card(notation, network, (channels, *size), classes)
    return network


def _card(notation: Notation, network: Network, shape: tuple[int, int, int], classes: int) -> ModelCard:
    """Return the card of a written network, with its counts for images of this shape and these classes."""
    totals = describe(network, shape).totals
    return ModelCard(
        name=notation.text,
        family=FAMILY,
        title="a network written down",
        authors="",
        year=0,
        paper="",
        input=shape,
        classes=classes,
        parameters=totals.parameters,
        macs=totals.macs,
        depth=totals.depth,
        notes=f"Read as: {notation}",
    )
