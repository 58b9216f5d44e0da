"""Pictures that travel inside the page."""

from __future__ import annotations

import base64

import numpy as np
from jaxtyping import UInt8

from striate.plot import jpeg, png
from striate.reporting.markup import Html, h

_SMALL = 96
_LARGEST = 360


def picture(pixels: UInt8[np.ndarray, "h w c"], *, alt: str) -> Html:
    """An `img` with its data. Small pictures are lossless and shown with their pixels visible, large ones are JPEGs."""
    height, width = pixels.shape[:2]
    if max(height, width) <= _SMALL:
        return h("img", src=_address("image/png", png(pixels)), alt=alt, class_="pixels", width=width, height=height)
    data, (height, width) = jpeg(pixels, largest=_LARGEST)
    return h("img", src=_address("image/jpeg", data), alt=alt, width=width, height=height)


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
