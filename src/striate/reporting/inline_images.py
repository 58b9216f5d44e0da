"""Pictures that travel inside the page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from striate.plot import DARK, LIGHT, Theme, figure_svg, jpeg, png
from striate.reporting.html import Html, h

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMALL = 96
_LARGEST = 360
_LARGEST_SHARP = 1000


def picture(pixels: UInt8[np.ndarray, "h w c"], *, alt: str, largest: int = _LARGEST) -> Html:
    """An `img` with its data. Small pictures are lossless and shown with their pixels visible, large ones are JPEGs."""
    height, width = pixels.shape[:2]
    if max(height, width) <= _SMALL:
        return h("img", src=_address("image/png", png(pixels)), alt=alt, class_="pixels", width=width, height=height)
    data, (height, width) = jpeg(pixels, largest=largest)
    return h("img", src=_address("image/jpeg", data), alt=alt, width=width, height=height)


def sharp(pixels: UInt8[np.ndarray, "h w c"], *, alt: str) -> Html:
    """An `img` of a sheet of small pictures: lossless, so that their edges stay edges, unless it is very large."""
    height, width = pixels.shape[:2]
    if max(height, width) > _LARGEST_SHARP:
        return picture(pixels, alt=alt, largest=_LARGEST_SHARP)
    return h("img", src=_address("image/png", png(pixels)), alt=alt, class_="pixels", width=width, height=height)


def figure_of(make: Callable[[Theme], Figure], *, alt: str) -> Html:
    """A figure on light paper or on dark, as the page is."""
    light, dark = (_address("image/svg+xml", figure_svg(make(theme))) for theme in (LIGHT, DARK))
    source = h("source", srcset=dark, media="(prefers-color-scheme: dark)")
    return h("picture", source, h("img", src=light, alt=alt))


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
