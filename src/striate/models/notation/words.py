"""One word of the notation, read as a layer: conv3-64/2,pad1 · pool2 · fc512 · relu · dropout.5."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from striate.core.errors import nearest
from striate.models.notation.mistake import NotationError, Span
from striate.models.notation.scan import Cursor, Token
from striate.models.notation.tree import Convolution, Dropout, FullyConnected, Layer, Plain, Pooling

ACTIVATIONS = ("relu", "relu6", "leakyrelu", "elu", "gelu", "silu", "sigmoid", "tanh")
NORMS = ("bn", "lrn")
GLOBAL_POOLINGS = ("gap", "gmp")
SOFTMAX = "softmax"
PLAIN = (*ACTIVATIONS, *NORMS, *GLOBAL_POOLINGS, SOFTMAX)

_EXAMPLES = {"conv": "conv3-64", "pool": "pool2", "avgpool": "avgpool2", "fc": "fc512", "dropout": "dropout.5"}
LAYERS_LIKE = "conv3-64, pool2, avgpool2, gap, fc512, bn, lrn, relu, dropout.5"  # what may stand, in a sentence
_OPTIONS = "valid, same, pad1, dilation2, groups2, nobias or maxnorm3"


def layer(text: str, token: Token) -> Layer:
    """The layer that the word `token` of `text` is.

    Raises:
        NotationError: it is none, or its numbers are not what they should be.
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
    """Whether a word is a layer, or would be with other numbers: `conv3-x` is, `convnext_tiny` is not."""
    return (
        re.fullmatch(rf"(?i)({'|'.join(PLAIN)}|soft-max|({'|'.join(_READERS)})(-?[0-9.].*|-k)?|fck)", word) is not None
    )


def _unknown(word: str, head: str) -> str:
    meant = nearest(head, [*_READERS, *PLAIN]) if head else ""
    if meant.startswith("Did"):
        for known, example in _EXAMPLES.items():
            meant = meant.replace(f"'{known}'", f"'{example}'")
        return f"There is no layer {word!r}. {meant}"
    return f"There is no layer {word!r}. Here may stand a layer ({LAYERS_LIKE} …) or a bracket."


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
            "An even kernel has no middle: here belongs its padding, ,valid or ,same or a number as in ,pad1.",
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
            "maxnorm goes with a stride and a padding in numbers only: leave it out, or the other options.",
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
    rate = float(cursor.need(r"[01]?\.[0-9]{1,6}|0(?![0-9])", "the share that is dropped, as in dropout.5"))
    cursor.finish("")
    if rate >= 1:
        raise NotationError("Here belongs the share that is dropped, less than 1, as in dropout.5.", cursor.text, at)
    return Dropout(rate=rate, at=cursor.word)


def _stride(cursor: Cursor, example: str) -> int | None:
    return cursor.number(f"the stride, as in {example}") if cursor.take("/") else None


def _options(cursor: Cursor, known: dict[str, Callable[[Cursor], dict[str, Any]]], names: str) -> dict[str, Any]:
    """What stands behind the commas of a word."""
    found: dict[str, Any] = {}
    while cursor.take(","):
        at = cursor.rest
        word = cursor.need("[a-z]+", names)
        if word not in known:
            raise NotationError(f"There is no option {word!r} here. Here may stand {names}.", cursor.text, at)
        read = known[word](cursor)
        if set(read) & set(found):
            raise NotationError("This is said twice.", cursor.text, Span(at.start, cursor.rest.start))
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
