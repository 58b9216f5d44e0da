"""Convert, resize and encode arrays of pixels; equal arrays give equal bytes."""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Pixels: TypeAlias = UInt8[np.ndarray, "h w c"]
Rgb: TypeAlias = UInt8[np.ndarray, "h w 3"]


def coloured(pixels: Pixels) -> Rgb:
    """Convert grey (c = 1) or RGB (c = 3) pixels to RGB."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def enlarged(pixels: Rgb, times: int) -> UInt8[np.ndarray, "height width 3"]:
    """Repeat every pixel as a square of `times` × `times`."""
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def resized(pixels: Rgb, times: float) -> UInt8[np.ndarray, "height width 3"]:
    """Scale both sides by `times`, with a Lanczos filter."""
    height, width = (max(1, round(side * times)) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def png(pixels: UInt8[np.ndarray, "h w c"]) -> bytes:
    """Encode grey (c = 1), RGB (c = 3) or RGBA (c = 4) pixels as a PNG."""
    return _save(_image(pixels), format="PNG", optimize=True)


def jpeg(pixels: UInt8[np.ndarray, "h w c"], *, largest: int) -> tuple[bytes, tuple[int, int]]:
    """Encode grey or RGB pixels as a JPEG with sides of at most `largest`; return it with its height and width."""
    image = _image(pixels)
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    return _save(image, format="JPEG", quality=86, optimize=True), (image.height, image.width)


def _image(pixels: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _save(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()
