"""The items of a written network as data; parsing the `str` of an item returns an equal one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from striate.models.notation.text import Span

Padding = int | Literal["half", "same"]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An item at the place `at` of the text, which does not count for equality."""

    at: Span = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Convolution(Placed):
    """A convolution; `filters` None is the number of classes.

    Padding is a number of zeros at both ends, `half` (kernel side - 1) / 2 of them, or `same`: TensorFlow's rule.
    """

    kernel: tuple[int, int]
    filters: int | None
    stride: int = 1
    padding: Padding = "half"
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    max_norm: float | None = None

    def __str__(self) -> str:
        height, width = self.kernel
        side = f"{height}" if height == width else f"{height}x{width}"
        options = [
            "" if self.padding == "half" else _padding(self.padding),
            f"dilation{self.dilation}" if self.dilation > 1 else "",
            f"groups{self.groups}" if self.groups > 1 else "",
            "" if self.bias else "nobias",
            _max_norm(self.max_norm),
        ]
        return ",".join([f"conv{side}-{_count(self.filters)}{_stride(self.stride, 1)}", *filter(None, options)])


@dataclass(frozen=True, kw_only=True)
class Pooling(Placed):
    """The largest value, or the mean, of each window."""

    kind: Literal["max", "average"]
    side: int
    stride: int
    padding: int | Literal["same"] = 0

    def __str__(self) -> str:
        word = {"max": "pool", "average": "avgpool"}[self.kind]
        option = f",{_padding(self.padding)}" if self.padding else ""
        return f"{word}{self.side}{_stride(self.stride, self.side)}{option}"


@dataclass(frozen=True, kw_only=True)
class FullyConnected(Placed):
    """A fully connected layer; `units` None is the number of classes."""

    units: int | None
    max_norm: float | None = None

    def __str__(self) -> str:
        return ",".join(filter(None, [f"fc{_count(self.units)}", _max_norm(self.max_norm)]))


@dataclass(frozen=True, kw_only=True)
class Dropout(Placed):
    """Each value is dropped with probability `rate` while training."""

    rate: float

    def __str__(self) -> str:
        return f"dropout{_decimal(self.rate).removeprefix('0')}"


@dataclass(frozen=True, kw_only=True)
class Plain(Placed):
    """A layer without numbers, by its word: an activation, a norm, a global pooling, the closing softmax."""

    word: str

    def __str__(self) -> str:
        return self.word


Layer = Convolution | Pooling | FullyConnected | Dropout | Plain


@dataclass(frozen=True, kw_only=True)
class Repeated(Placed):
    """`items`, one after the other, `times` times."""

    items: tuple[Item, ...]
    times: int

    def __str__(self) -> str:
        bare = self.times > 1 and len(self.items) == 1 and not isinstance(self.items[0], Repeated)
        inside = written(self.items) if bare else f"({written(self.items)})"
        return f"{inside}*{self.times}" if self.times > 1 else inside


@dataclass(frozen=True, kw_only=True)
class Residual(Placed):
    """The sum of the outputs of `body` and `shortcut` for one input; an empty shortcut is the input itself."""

    body: tuple[Item, ...]
    shortcut: tuple[Item, ...] = ()

    def __str__(self) -> str:
        beside = f" | {written(self.shortcut)}" if self.shortcut else ""
        return f"{{{written(self.body)}{beside}}}"


Item = Layer | Repeated | Residual


def written(items: Sequence[Item]) -> str:
    """Return the text of items."""
    return " ".join(map(str, items))


def parts(item: Item) -> tuple[Item, ...]:
    """Return the items inside the brackets of an item; none for a layer."""
    match item:
        case Repeated():
            return item.items
        case Residual():
            return (*item.body, *item.shortcut)
        case _:
            return ()


def layers_in(item: Item) -> int:
    """Count the layers of an item, its repetitions unrolled; the sum of residual brackets is one."""
    inside = sum(map(layers_in, parts(item)))
    match item:
        case Repeated():
            return item.times * inside
        case _:
            return 1 + inside


def _count(number: int | None) -> str:
    return "K" if number is None else str(number)


def _stride(stride: int, usual: int) -> str:
    return "" if stride == usual else f"/{stride}"


def _padding(padding: Padding) -> str:
    if padding == 0:
        return "valid"
    return f"pad{padding}" if isinstance(padding, int) else padding


def _max_norm(bound: float | None) -> str:
    return "" if bound is None else f"maxnorm{_decimal(bound).removesuffix('.0')}"


def _decimal(number: float) -> str:
    """Write a number without an exponent: 0.5, 3.0, 0.000001."""
    text = f"{number:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text
