"""What VGG's table does not print.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
arXiv:1409.1556: table 1 writes a network as `conv3-64 conv3-64 maxpool … FC-4096 FC-4096 FC-1000 soft-max` and leaves
out, "for brevity", the ReLU that stands behind every convolution and every hidden fully connected layer (section 2.1);
dropout of 0.5 behind the hidden fully connected layers is named in section 3.1.

The rule: a text that has one of the table's own words (`maxpool`, `FC-` with a hyphen, `soft-max`) and in which no
activation is written is read as that paper's. Where an activation is written, nothing is added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from striate.models.notation.tree import Convolution, Dropout, FullyConnected, Item, Plain, Repeated, Residual, parts
from striate.models.notation.words import ACTIVATIONS, SOFTMAX

_WORD = re.compile(r"(?i)maxpool|soft-?max|fc-.*")


def is_table(words: Iterable[str], items: Sequence[Item]) -> bool:
    """Whether a text of these words, read as `items`, is written as the table is."""
    return any(_WORD.fullmatch(word) for word in words) and not _has(items, lambda item: _is_activation(item))


def complete(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """`items` with ReLU behind every convolution (and its batch norm) and every hidden fully connected layer, behind
    which stands dropout too, unless the text has its own."""
    rate = None if _has(items, lambda item: isinstance(item, Dropout)) else 0.5
    end = len(items) - (_word(items[-1]) == SOFTMAX)
    if end and isinstance(items[end - 1], FullyConnected):  # the head: no ReLU stands behind it
        end -= 1
    return _completed(items[:end], rate) + items[end:]


def _completed(items: tuple[Item, ...], rate: float | None) -> tuple[Item, ...]:
    done: list[Item] = []
    for number, item in enumerate(items):
        done.append(_inside(item, rate))
        before = items[number - 1] if number else None
        behind = items[number + 1] if number + 1 < len(items) else None
        weighted = before if _word(item) == "bn" else item
        if not isinstance(weighted, (Convolution, FullyConnected)) or (weighted is item and _word(behind) == "bn"):
            continue
        done.append(Plain(word="relu", at=weighted.at))
        if isinstance(weighted, FullyConnected) and rate is not None:
            done.append(Dropout(rate=rate, at=weighted.at))
    return tuple(done)


def _inside(item: Item, rate: float | None) -> Item:
    match item:
        case Repeated():
            return replace(item, items=_completed(item.items, rate))
        case Residual():
            return replace(item, body=_completed(item.body, rate), shortcut=_completed(item.shortcut, rate))
        case _:
            return item


def _has(items: Sequence[Item], wanted: Callable[[Item], bool]) -> bool:
    return any(wanted(item) or _has(parts(item), wanted) for item in items)


def _is_activation(item: Item) -> bool:
    return _word(item) in ACTIVATIONS


def _word(item: Item | None) -> str | None:
    return item.word if isinstance(item, Plain) else None
