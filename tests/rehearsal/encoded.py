"""Small images as files of all kinds that programs must decode alike."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms


def photo(mode: str = "RGB") -> Image.Image:
    draws = np.random.default_rng(1)
    noise = draws.integers(0, 256, (9, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((48, 36)).convert(mode)


def stored(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored(photo(), "JPEG", quality=90, exif=exif)


def other_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))  # for other channels: ignored
    return stored(photo(), "JPEG", icc_profile=profile.tobytes())


def with_alpha(mode: str) -> Image.Image:
    image = photo(mode)
    image.putalpha(photo("L"))
    return image


def clear_palette() -> bytes:
    return stored(photo().quantize(16), "PNG", transparency=3)


ENCODED: dict[str, Callable[[], bytes]] = {
    **{f"orientation {number}": lambda number=number: turned(number) for number in range(1, 9)},
    "grey JPEG": lambda: stored(photo("L"), "JPEG"),
    "CMYK": lambda: stored(photo("CMYK"), "JPEG"),
    "4:2:0": lambda: stored(photo(), "JPEG", subsampling=2),
    "palette": lambda: stored(photo().quantize(16), "PNG"),
    "clear palette": clear_palette,
    "bits": lambda: stored(photo("1"), "PNG"),
    "16 bits": lambda: stored(Image.fromarray(np.arange(0, 65536, 48, dtype=np.uint16)[:1200].reshape(30, 40)), "PNG"),
    "grey and alpha": lambda: stored(with_alpha("L"), "PNG"),
    "alpha": lambda: stored(with_alpha("RGB"), "PNG"),
    "another profile": other_profile,
    "GIF": lambda: stored(photo().quantize(8), "GIF"),
    "WebP": lambda: stored(photo(), "WebP", lossless=True),
}
