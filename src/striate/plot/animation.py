"""Frames as a moving picture: GIF, which everything shows, or WebP, which is smaller and has all colours."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Frames = UInt8[np.ndarray, "n h w 3"] | UInt8[np.ndarray, "n h w 1"]


def gif(frames: Frames, *, milliseconds: int = 80, hold: int = 1200) -> bytes:
    """An endless GIF: each frame is shown for so many `milliseconds`, the last for `hold`.

    All frames share one palette of 256 colours, found for all of them, so that still parts do not flicker.
    """
    images = _images(frames)
    strip = Image.fromarray(np.concatenate([np.asarray(image) for image in images]))
    palette = strip.quantize(256, method=Image.Quantize.MEDIANCUT)
    drawn = [image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for image in images]
    return _save(drawn, "GIF", milliseconds, hold, optimize=False)


def webp(frames: Frames, *, milliseconds: int = 80, hold: int = 1200) -> bytes:
    """An endless WebP without loss: each frame is shown for so many `milliseconds`, the last for `hold`."""
    return _save(_images(frames), "WEBP", milliseconds, hold, lossless=True)


def _images(frames: Frames) -> list[Image.Image]:
    if not len(frames):
        raise ValueError("a moving picture needs at least one frame")
    return [Image.fromarray(np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame) for frame in frames]


def _save(images: list[Image.Image], kind: str, milliseconds: int, hold: int, **options: bool) -> bytes:
    buffer = io.BytesIO()
    times = [milliseconds] * (len(images) - 1) + [hold]
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], duration=times, loop=0, **options)
    return buffer.getvalue()
