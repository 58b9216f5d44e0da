"""How a written network ends: which layer gives the classes.

A closing fully connected layer is the head; `FC-K` has as many outputs as there are classes, `FC-n` must have. A
network that ends in a convolution of K filters and a global pooling, as Network in Network does (Lin, Chen and Yan,
ICLR 2014, arXiv:1312.4400, section 3.2), has that convolution as its head. To any other a head is added, unless what it
ends in is an output already: one unit, or as many units as there are classes, behind which an activation stands. A head
has no activation here, since the loss takes logits; two classes are two logits, not one unit and a sigmoid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from striate.models.notation.grammar import Notation
from striate.models.notation.mistake import NotationError, Span
from striate.models.notation.tree import Convolution, FullyConnected, Item, Plain, parts
from striate.models.notation.words import ACTIVATIONS, GLOBAL_POOLINGS, SOFTMAX


@dataclass(frozen=True)
class Ending:
    """A network's items but for its closing softmax; `head` is one of them, and `softmax` says whether one closed."""

    items: tuple[Item, ...]
    head: Convolution | FullyConnected
    softmax: bool


def ending(notation: Notation) -> Ending:
    """Where the written network ends and what its head is; one is added where none is written.

    Raises:
        NotationError: K, the number of classes, stands elsewhere than in the head.
    """
    items = notation.items
    softmax = isinstance(items[-1], Plain) and items[-1].word == SOFTMAX
    items = items[:-1] if softmax else items
    head = _head(items)
    if head is None:
        last = _last_units(items)
        if last is not None and last.units == 1:
            raise NotationError(
                "A network ends in one logit for each class, and the loss applies the softmax: for two classes write "
                "FC-K, without an activation behind it, in place of one unit and a sigmoid.",
                notation.text,
                last.at,
            )
        end = len(notation.text)
        head = FullyConnected(units=None, at=Span(end, end))
        items = (*items, head)
    for item in _all(items):
        if item is not head and _per_class(item):
            raise NotationError(
                "K is the number of classes: it stands in the closing layer only, as in FC-K, or conv1-K before gap.",
                notation.text,
                item.at,
            )
    return Ending(items, head, softmax)


def written_classes(notation: Notation) -> int | None:
    """The number of classes that the text itself names; None if it leaves it open."""
    head = ending(notation).head
    return head.units if isinstance(head, FullyConnected) else None


def check_classes(notation: Notation, head: Convolution | FullyConnected, classes: int) -> None:
    """The head has as many outputs as there are classes, and is not added behind a layer that has.

    Raises:
        NotationError: it has another number, or is one layer too much; the sentence offers the replacement.
    """
    last = _last_units(notation.items)
    if head not in notation.items and last is not None and last.units == classes:
        raise NotationError(
            f"The last fully connected layer has as many outputs as there are classes, {classes:,}, and an activation "
            f"behind it: leave the activation out, since the loss takes logits, or write FC-K behind a hidden layer.",
            notation.text,
            last.at,
        )
    if isinstance(head, FullyConnected) and head.units not in (None, classes):
        raise NotationError(
            f"The closing layer has {head.units:,} outputs, and there are {classes:,} classes: write FC-K or "
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
    """The fully connected layer that closes the network but for an activation; None where something else does."""
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
