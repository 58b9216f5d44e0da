"""How a written network ends: which layer gives the classes.

A closing fully connected layer is the head; `FC-K` has as many outputs as there are classes, `FC-n` must have. A
network that ends in a convolution of K filters and a global pooling, as Network in Network does (Lin, Chen and Yan,
ICLR 2014, arXiv:1312.4400, section 3.2), has that convolution as its head. To any other a head is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from striate.models.notation.grammar import Notation
from striate.models.notation.mistake import NotationError, Span
from striate.models.notation.tree import Convolution, FullyConnected, Item, Plain, parts
from striate.models.notation.words import GLOBAL_POOLINGS, SOFTMAX


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
    """The head has as many outputs as there are classes.

    Raises:
        NotationError: it has another number; the sentence offers the replacement.
    """
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
