"""The grammar of a written network.

    network   = item+
    item      = (layer | group | residual) ["*" number]
    group     = "(" item+ ")" | "[" item+ "]"
    residual  = "{" item+ ["|" item+] "}"
    layer     = one word: conv3-64/2,pad1 · pool2 · fc512 · relu · dropout.5

Items are separated by spaces, line ends, arrows (`->`) or a hyphen before a letter.

VGG's table is read too. Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
ICLR 2015, arXiv:1409.1556: table 1 writes a network as `conv3-64 conv3-64 maxpool … FC-4096 FC-4096 FC-1000 soft-max`
and omits, "for brevity", the ReLU after every convolution and every hidden fully connected layer (section 2.1); dropout
of 0.5 after the hidden fully connected layers is named in section 3.1. A text that has one of the table's own words
(`maxpool`, `FC-` with a hyphen, `soft-max`) and no activation is read as that paper's. Where an activation is written,
nothing is added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from striate.core.errors import nearest
from striate.models.notation.text import Cursor, NotationError, Span, Token, tokens
from striate.models.notation.tree import (
    Convolution,
    Dropout,
    FullyConnected,
    Item,
    Layer,
    Plain,
    Pooling,
    Repeated,
    Residual,
    layers_in,
    parts,
    written,
)

ACTIVATIONS = ("relu", "relu6", "leakyrelu", "elu", "gelu", "silu", "sigmoid", "tanh")
NORMS = ("bn", "lrn")
GLOBAL_POOLINGS = ("gap", "gmp")
SOFTMAX = "softmax"
PLAIN = (*ACTIVATIONS, *NORMS, *GLOBAL_POOLINGS, SOFTMAX)

_EXAMPLES = {"conv": "conv3-64", "pool": "pool2", "avgpool": "avgpool2", "fc": "fc512", "dropout": "dropout.5"}
LAYERS_LIKE = "conv3-64, pool2, avgpool2, gap, fc512, bn, lrn, relu, dropout.5"  # possible layers, in a sentence
_OPTIONS = "valid, same, pad1, dilation2, groups2, nobias or maxnorm3"


def layer(text: str, token: Token) -> Layer:
    """Read the word `token` of `text` as a layer.

    Raises:
        NotationError: it is not a layer, or its numbers are out of range.
    """
    word = token.text.lower().replace("soft-max", SOFTMAX)
    if word in PLAIN:
        return Plain(word=word, at=token.at)
    cursor = Cursor(text, token.at)
    head = cursor.take("fc(?=k(?![a-z]))|[a-z]+") or ""
    if head not in _READERS:
        raise NotationError(_unknown(token.text, head), text, token.at)
    return _READERS[head](cursor)


def starts_as_layer(word: str) -> bool:
    """Return whether a word is a layer, or would be with other numbers: `conv3-x` is, `convnext_tiny` is not."""
    return (
        re.fullmatch(rf"(?i)({'|'.join(PLAIN)}|soft-max|({'|'.join(_READERS)})(-?[0-9.].*|-k)?|fck)", word) is not None
    )


def _unknown(word: str, head: str) -> str:
    meant = nearest(head, [*_READERS, *PLAIN]) if head else ""
    if meant.startswith("Did"):
        for known, example in _EXAMPLES.items():
            meant = meant.replace(f"'{known}'", f"'{example}'")
        return f"There is no layer {word!r}. {meant}"
    return f"There is no layer {word!r}. Expected a layer ({LAYERS_LIKE} …) or a bracket."


def _convolution(cursor: Cursor) -> Convolution:
    height = cursor.number("the side of the kernel, as in conv3-64")
    width = cursor.number("the width of the kernel, as in conv1x7-64") if cursor.take("[x×]") else height
    cursor.need("-", "a hyphen and the number of filters, as in conv3-64")
    filters = None if cursor.take("k(?![a-z0-9])") else cursor.number("the number of filters, as in conv3-64")
    stride = _stride(cursor, "conv3-64/2") or 1
    end = cursor.rest
    options = _options(cursor, _CONVOLUTION_OPTIONS, _OPTIONS)
    cursor.finish(f"a stride as in /2, or a comma and {_OPTIONS}")
    made = Convolution(kernel=(height, width), filters=filters, stride=stride, at=cursor.word, **options)
    if made.padding == "half" and not (height % 2 and width % 2):
        raise NotationError(
            "A kernel of even size needs its padding: ,valid or ,same or a number as in ,pad1.",
            cursor.text,
            end,
        )
    if made.max_norm is not None and (made.groups, made.dilation, made.bias, made.padding == "same") != (
        1,
        1,
        True,
        False,
    ):
        raise NotationError(
            "maxnorm can be combined only with a stride and a padding in numbers: leave it out, or the other options.",
            cursor.text,
            cursor.word,
        )
    return made


def _pooling(cursor: Cursor) -> Pooling:
    word = cursor.text[cursor.word.start : cursor.rest.start].lower()
    if word == "maxpool" and not cursor.rest.start < cursor.rest.end:
        return Pooling(kind="max", side=2, stride=2, at=cursor.word)  # as VGG's table prints it
    side = cursor.number(f"the side of the window, as in {word}2")
    stride = _stride(cursor, f"{word}3/2") or side
    options = _options(cursor, _POOLING_OPTIONS, "valid, same or pad1")
    cursor.finish("a stride as in /2, or a comma and valid, same or pad1")
    made = Pooling(kind="average" if word == "avgpool" else "max", side=side, stride=stride, at=cursor.word, **options)
    if made.padding != "same" and made.padding > side // 2:
        raise NotationError(f"A window of {side} is padded by at most {side // 2}.", cursor.text, cursor.word)
    return made


def _fully_connected(cursor: Cursor) -> FullyConnected:
    cursor.take("-")
    units = (
        None
        if cursor.take("k(?![a-z0-9])")
        else cursor.number("the number of units, as in fc512, or K for the classes")
    )
    options = _options(cursor, _UNIT_OPTIONS, "maxnorm3")
    cursor.finish("a comma and maxnorm3")
    return FullyConnected(units=units, at=cursor.word, **options)


def _dropout(cursor: Cursor) -> Dropout:
    at = cursor.rest
    rate = float(cursor.need(r"[01]?\.[0-9]{1,6}|0(?![0-9])", "the fraction that is dropped, as in dropout.5"))
    cursor.finish("")
    if rate >= 1:
        raise NotationError("Expected the fraction that is dropped, less than 1, as in dropout.5.", cursor.text, at)
    return Dropout(rate=rate, at=cursor.word)


def _stride(cursor: Cursor, example: str) -> int | None:
    return cursor.number(f"the stride, as in {example}") if cursor.take("/") else None


def _options(cursor: Cursor, known: dict[str, Callable[[Cursor], dict[str, Any]]], names: str) -> dict[str, Any]:
    """Read the options after the commas of a word."""
    found: dict[str, Any] = {}
    while cursor.take(","):
        at = cursor.rest
        word = cursor.need("[a-z]+", names)
        if word not in known:
            raise NotationError(f"There is no option {word!r} here. Expected {names}.", cursor.text, at)
        read = known[word](cursor)
        if set(read) & set(found):
            raise NotationError("This option is given twice.", cursor.text, Span(at.start, cursor.rest.start))
        found |= read
    return found


def _bound(cursor: Cursor) -> dict[str, float]:
    at = cursor.rest
    bound = float(cursor.need(r"[0-9]{1,5}(\.[0-9]{1,6})?", "the largest norm of a filter's weights, as in maxnorm3"))
    if not bound:
        raise NotationError("The largest norm is more than 0, as in maxnorm3.", cursor.text, at)
    return {"max_norm": bound}


_PADDINGS: dict[str, Callable[[Cursor], dict[str, Any]]] = {
    "valid": lambda cursor: {"padding": 0},
    "same": lambda cursor: {"padding": "same"},
    "pad": lambda cursor: {"padding": cursor.number("how many zeros are padded at each end, as in pad1", least=0)},
}
_CONVOLUTION_OPTIONS: dict[str, Callable[[Cursor], dict[str, Any]]] = {
    **_PADDINGS,
    "dilation": lambda cursor: {"dilation": cursor.number("the dilation, as in dilation2")},
    "groups": lambda cursor: {"groups": cursor.number("the number of groups, as in groups2")},
    "nobias": lambda cursor: {"bias": False},
    "maxnorm": _bound,
}
_POOLING_OPTIONS = _PADDINGS
_UNIT_OPTIONS: dict[str, Callable[[Cursor], dict[str, Any]]] = {"maxnorm": _bound}

_READERS: dict[str, Callable[[Cursor], Layer]] = {
    "conv": _convolution,
    "pool": _pooling,
    "maxpool": _pooling,
    "avgpool": _pooling,
    "fc": _fully_connected,
    "dropout": _dropout,
}


_WORD = re.compile(r"(?i)maxpool|soft-max|fc-.*")


def is_table(words: Iterable[str], items: Sequence[Item]) -> bool:
    """Return whether a text of these words, read as `items`, is written as VGG's table."""
    return any(_WORD.fullmatch(word) for word in words) and not _has(items, lambda item: _is_activation(item))


def complete(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Add ReLU after every convolution (and its batch norm) and every hidden fully connected layer.

    Dropout follows the latter too, unless the text has its own.
    """
    rate = None if _has(items, lambda item: isinstance(item, Dropout)) else 0.5
    end = len(items) - (_word(items[-1]) == SOFTMAX)
    if end and isinstance(items[end - 1], FullyConnected):  # the head: no ReLU follows it
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


_CLOSING = {"(": ")", "[": "]", "{": "}"}
_DEEPEST = 20
_MOST_LAYERS = 5_000
_ITEM = f"a layer ({LAYERS_LIKE} …) or an opening bracket"


@dataclass(frozen=True)
class Notation:
    """A network written down: the `text`, and the `items` parsed from it, with the layers that VGG's table omits.

    `str` writes all items; parsing the result returns equal ones.
    """

    text: str
    items: tuple[Item, ...]

    def __str__(self) -> str:
        return written(self.items)


def is_notation(name: str) -> bool:
    """Return whether `name` is a written network: it has spaces or brackets, or begins with a layer."""
    first = next(tokens(name), None)
    return first is not None and (re.search(r"[\s()\[\]{}*]", name) is not None or starts_as_layer(first.text))


def parse(text: str) -> Notation:
    """Read a written network.

    Raises:
        NotationError: it has a mistake; the message shows its place, and what is expected there.
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
            raise self._mistake(f"Expected {_ITEM}, or the end.")
        return items

    @property
    def _sign(self) -> str | None:
        """The text of the next token; None at the end."""
        return self._tokens[self._next].text if self._next < len(self._tokens) else None

    def _take(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _mistake(self, sentence: str) -> NotationError:
        """Return a mistake at the next token, or after the last."""
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
            raise self._mistake(f"Expected {_ITEM}.")
        return tuple(items)

    def _item(self, depth: int) -> Item:
        if self._sign == "*":
            raise self._mistake(f"A repetition must follow what it repeats. Expected {_ITEM}.")
        item = self._bracket(depth + 1) if self._sign in _CLOSING else layer(self.text, self._take())
        return self._repeated(item) if self._sign == "*" else item

    def _bracket(self, depth: int) -> Repeated | Residual:
        if depth > _DEEPEST:
            raise self._mistake(f"Brackets can be nested at most {_DEEPEST} deep.")
        opening = self._take()
        closing = _CLOSING[opening.text]
        items = self._items(depth)
        beside: tuple[Item, ...] = ()
        if closing == "}" and self._sign == "|":
            self._take()
            beside = self._items(depth)
        if self._sign != closing:
            bar = ", | and a shortcut" if closing == "}" and not beside else ""
            raise self._mistake(f"Expected {_ITEM}{bar}, or the closing {closing}.")
        at = Span(opening.at.start, self._take().at.end)
        if closing == "}":
            return Residual(body=items, shortcut=beside, at=at)
        return Repeated(items=items, times=1, at=at)

    def _repeated(self, item: Item) -> Repeated:
        self._take()
        if not re.fullmatch("0*[1-9][0-9]{0,3}", self._sign or ""):
            raise self._mistake("Expected the number of repetitions, from 1 to 9999.")
        number = self._take()
        at = Span(item.at.start, number.at.end)
        if isinstance(item, Repeated) and self.text[item.at.end - 1] in ")]":
            return Repeated(items=item.items, times=int(number.text), at=at)
        return Repeated(items=(item,), times=int(number.text), at=at)


def _check_softmax(text: str, items: tuple[Item, ...]) -> None:
    """Check that a softmax is last, where it is shown and not run: the outputs are logits."""

    def look(within: tuple[Item, ...]) -> None:
        for item in within:
            if isinstance(item, Plain) and item.word == SOFTMAX and item is not items[-1]:
                raise NotationError("A softmax can only be the last layer.", text, item.at)
            look(parts(item))

    look(items)
    if isinstance(items[0], Plain) and items[0].word == SOFTMAX:
        raise NotationError("A softmax needs at least one layer before it.", text, items[0].at)
