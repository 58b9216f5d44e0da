"""From arrays of pixels to the bytes of a picture file; the same array gives the same bytes."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def png(pixels: UInt8[np.ndarray, "h w c"]) -> bytes:
    """A PNG of grey (c = 1), RGB (c = 3) or RGBA (c = 4) pixels, without loss."""
    return _save(_image(pixels), format="PNG", optimize=True)


def jpeg(pixels: UInt8[np.ndarray, "h w c"], *, largest: int) -> tuple[bytes, tuple[int, int]]:
    """A JPEG of grey or RGB pixels, made smaller where a side is longer than `largest`; and its height and width."""
    image = _image(pixels)
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    return _save(image, format="JPEG", quality=86, optimize=True), (image.height, image.width)


def _image(pixels: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _save(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()
