"""HTML elements, balanced and escaped by construction, and images inlined into them."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import UInt8

from striate.core.names import visible
from striate.plot import DARK, LIGHT, Theme, figure_svg, jpeg, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMALL, _LARGEST, _LARGEST_SHARP = 96, 360, 1000  # pixels of the longer side of an inlined image
_VOID = {"br", "img", "meta", "source"}


class Html(str):
    """Markup. Every other string is text and is escaped when it is added to a page."""

    __slots__ = ()


# The members of an iterable are children too; the type checker of the tests does not support recursive types.
Child: TypeAlias = str | Iterable[Any] | None
Value: TypeAlias = str | int | float | None


def escape(text: str) -> Html:
    """Escape `text` for use between tags and inside quoted attributes.

    Control characters, characters that change the writing direction, and the surrogates of undecodable bytes in file
    names are spelled out.
    """
    return Html(html.escape(visible(text)))


def join(children: Iterable[Child]) -> Html:
    """Concatenate children; escape text, omit None, flatten lists."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        elif child is not None:
            parts.append(join(child))
    return Html("".join(parts))


def h(tag: str, *children: Child, **attributes: Value) -> Html:
    """Build an element.

    The attribute `class_` is written `class`; other underscores become hyphens. None and False omit an attribute.
    """
    written = "".join(
        f" {_attribute(name)}" if value is True else f' {_attribute(name)}="{escape(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{written}>" if tag in _VOID else f"<{tag}{written}>{join(children)}</{tag}>")


def name(text: str, **attributes: Value) -> Html:
    """Isolate a name from outside, so that its writing direction does not affect the text around it."""
    return h("bdi", text, **attributes)


def image(pixels: UInt8[np.ndarray, "h w c"], *, alt: str, largest: int = _LARGEST) -> Html:
    """Inline an image: up to 96 pixels losslessly and with visible pixels, larger as a JPEG."""
    height, width = pixels.shape[:2]
    if max(height, width) <= _SMALL:
        return h("img", src=_address("image/png", png(pixels)), alt=alt, class_="pixels", width=width, height=height)
    data, (height, width) = jpeg(pixels, largest=largest)
    return h("img", src=_address("image/jpeg", data), alt=alt, width=width, height=height)


def sharp(pixels: UInt8[np.ndarray, "h w c"], *, alt: str) -> Html:
    """Inline a sheet of small images losslessly; as a JPEG if it is larger than 1,000 pixels."""
    height, width = pixels.shape[:2]
    if max(height, width) > _LARGEST_SHARP:
        return image(pixels, alt=alt, largest=_LARGEST_SHARP)
    return h("img", src=_address("image/png", png(pixels)), alt=alt, class_="pixels", width=width, height=height)


def figure_of(make: Callable[[Theme], Figure], *, alt: str) -> Html:
    """Inline a figure in two themes; the browser chooses the one that fits the page."""
    light, dark = (_address("image/svg+xml", figure_svg(make(theme))) for theme in (LIGHT, DARK))
    source = h("source", srcset=dark, media="(prefers-color-scheme: dark)")
    return h("picture", source, h("img", src=light, alt=alt))


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _plain(value: str | int | float) -> str:
    """Format a coordinate with two decimals, enough for a fiftieth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
