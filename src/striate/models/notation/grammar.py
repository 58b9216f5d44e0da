"""The grammar of a network written down.

    network   = item+
    item      = (layer | group | residual) ["*" number]
    group     = "(" item+ ")" | "[" item+ "]"
    residual  = "{" item+ ["|" item+] "}"
    layer     = one word: see `words`

Between items stand spaces, line ends, arrows (`->`) or a hyphen that a letter follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from striate.models.notation.mistake import NotationError, Span
from striate.models.notation.scan import Token, tokens
from striate.models.notation.table import complete, is_table
from striate.models.notation.tree import Item, Plain, Repeated, Residual, layers_in, parts, written
from striate.models.notation.words import LAYERS_LIKE, SOFTMAX, layer, starts_as_layer

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_DEEPEST = 20
_MOST_LAYERS = 5_000
_ITEM = f"a layer ({LAYERS_LIKE} …) or an opening bracket"


@dataclass(frozen=True)
class Notation:
    """A network written down: `text` as it was, `items` as they are read, with what VGG's table does not print.

    `str` spells all of it out; it is read as the same again.
    """

    text: str
    items: tuple[Item, ...]

    def __str__(self) -> str:
        return written(self.items)


def is_notation(name: str) -> bool:
    """Whether what stands where a model's name may stand is a network written down: it has spaces or brackets, or
    begins with a layer."""
    first = next(tokens(name), None)
    return first is not None and (re.search(r"[\s()\[\]{}*]", name) is not None or starts_as_layer(first.text))


def parse(text: str) -> Notation:
    """Read a written network.

    Raises:
        NotationError: it has a mistake; the message shows where, and what may stand there.
    """
    reader = _Reader(text)
    items = reader.network()
    _check_softmax(text, items)
    return Notation(text, complete(items) if is_table(reader.words, items) else items)


class _Reader:
    """Reads the tokens of a text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = list(tokens(text))
        self._next = 0
        self.words = [token.text for token in self._tokens]

    def network(self) -> tuple[Item, ...]:
        items = self._items(0)
        if self._sign is not None:
            raise self._mistake(f"Here may stand {_ITEM}, or the end.")
        return items

    @property
    def _sign(self) -> str | None:
        """The text of the next token; None at the end."""
        return self._tokens[self._next].text if self._next < len(self._tokens) else None

    def _take(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _mistake(self, sentence: str) -> NotationError:
        """A mistake at the next token, or behind the last."""
        ended = self._next == len(self._tokens)
        at = Span(len(self.text), len(self.text)) if ended else self._tokens[self._next].at
        return NotationError(sentence, self.text, at)

    def _items(self, depth: int) -> tuple[Item, ...]:
        items: list[Item] = []
        layers = 0
        while self._sign is not None and self._sign not in ")]}|":
            items.append(self._item(depth))
            layers += layers_in(items[-1])
            if layers > _MOST_LAYERS:
                raise NotationError(f"A network has at most {_MOST_LAYERS:,} layers.", self.text, items[-1].at)
        if not items:
            raise self._mistake(f"Here may stand {_ITEM}.")
        return tuple(items)

    def _item(self, depth: int) -> Item:
        if self._sign == "*":
            raise self._mistake(f"A repetition stands behind what it repeats. Here may stand {_ITEM}.")
        item = self._bracket(depth + 1) if self._sign in _CLOSING else layer(self.text, self._take())
        return self._repeated(item) if self._sign == "*" else item

    def _bracket(self, depth: int) -> Repeated | Residual:
        if depth > _DEEPEST:
            raise self._mistake(f"Brackets stand at most {_DEEPEST} deep.")
        opening = self._take()
        closing = _CLOSING[opening.text]
        items = self._items(depth)
        beside: tuple[Item, ...] = ()
        if closing == "}" and self._sign == "|":
            self._take()
            beside = self._items(depth)
        if self._sign != closing:
            bar = ", | and a shortcut" if closing == "}" and not beside else ""
            raise self._mistake(f"Here may stand {_ITEM}{bar}, or the closing {closing}.")
        at = Span(opening.at.start, self._take().at.end)
        if closing == "}":
            return Residual(body=items, shortcut=beside, at=at)
        return Repeated(items=items, times=1, at=at)

    def _repeated(self, item: Item) -> Repeated:
        self._take()
        if not re.fullmatch("0*[1-9][0-9]{0,3}", self._sign or ""):
            raise self._mistake("Here belongs how many times it is repeated: a number from 1 to 9999.")
        number = self._take()
        at = Span(item.at.start, number.at.end)
        if isinstance(item, Repeated) and self.text[item.at.end - 1] in ")]":
            return Repeated(items=item.items, times=int(number.text), at=at)
        return Repeated(items=(item,), times=int(number.text), at=at)


def _check_softmax(text: str, items: tuple[Item, ...]) -> None:
    """A softmax stands at the end, where it is shown and not run: what comes out are logits."""

    def look(within: tuple[Item, ...]) -> None:
        for item in within:
            if isinstance(item, Plain) and item.word == SOFTMAX and item is not items[-1]:
                raise NotationError("A soft-max can only close the network.", text, item.at)
            look(parts(item))

    look(items)
    if isinstance(items[0], Plain) and items[0].word == SOFTMAX:
        raise NotationError("A soft-max closes a network: before it stands at least one layer.", text, items[0].at)
