"""Convert colours from the space of an ICC profile to sRGB by littleCMS, where that changes anything."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from striate.core.spec import GREY, RGB
from striate.data.images.codecs.refusal import DAMAGED, UNSUPPORTED, Refused
from striate.data.images.decoded import ALPHA, by_rows

_SPACES = {"L": b"GRAY", "RGB": b"RGB", "CMYK": b"CMYK"}
_KINDS = {GREY: "L", RGB: "RGB"}
_KEPT = 64  # profiles: a data set has a handful of them, a hostile one has one for each image
_ALIKE = 1  # level of 255: the difference between sRGB profiles of different makers


def to_srgb(pixels: np.ndarray, channels: tuple[str, ...], profile: bytes) -> np.ndarray:
    """Convert `pixels` (h, w, c), grey or RGB with or without alpha, from the space of `profile` to sRGB.

    The intent is perceptual, as in Pillow's `ImageCms`. A profile of sRGB costs nothing. A profile that is damaged or
    for other channels is ignored. 16 bits and floating numbers are converted in their own depth.
    """
    colours = tuple(name for name in channels if name != ALPHA)
    kind = _KINDS.get(colours)
    transform = _transform(profile, kind) if profile and kind else None
    if transform is None or kind is None:
        return pixels
    stored = np.ascontiguousarray(pixels[..., : len(colours)])
    if pixels.dtype == np.uint8:
        changed = _shallow(stored, kind, transform)
    else:
        changed = by_rows(lambda part: _deep(part[0], kind, profile)[None], stored[None])[0]
    return changed if colours == channels else np.concatenate([changed, pixels[..., len(colours) :]], axis=2)


def inks_to_srgb(inks: np.ndarray, profile: bytes) -> np.ndarray | None:
    """Convert CMYK inks (h, w, 4; 255 is full ink) to RGB (h, w, 3); None if `profile` does not describe CMYK."""
    transform = _transform(profile, "CMYK") if profile else None
    return _shallow(inks, "CMYK", transform) if transform else None


def _shallow(pixels: np.ndarray, kind: str, transform: ImageCms.ImageCmsTransform) -> np.ndarray:
    return by_rows(lambda part: _transformed(part[0], kind, transform)[None], pixels[None])[0]


def _transformed(pixels: np.ndarray, kind: str, transform: ImageCms.ImageCmsTransform) -> np.ndarray:
    image = Image.fromarray(pixels[..., 0] if kind == "L" else pixels, kind)
    changed = np.asarray(ImageCms.applyTransform(image, transform, inPlace=kind == "RGB") or image)
    return changed[..., :1] if kind == "L" else changed  # red, green and blue are equal where the source is grey


def _deep(pixels: np.ndarray, kind: str, profile: bytes) -> np.ndarray:
    try:
        import imagecodecs
    except ImportError as error:
        raise Refused(
            UNSUPPORTED, "a colour profile at more than 8 bits needs imagecodecs: pip install 'striate[scientific]'"
        ) from error
    try:
        changed = imagecodecs.cms_transform(
            pixels[..., 0] if kind == "L" else pixels,
            profile,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
            colorspace="gray" if kind == "L" else "rgb",
            outcolorspace="rgb",
            intent=ImageCms.Intent.PERCEPTUAL,
            flags=ImageCms.Flags.NOOPTIMIZE,  # its coarse tables would make 16 bits 13 levels of 255 wrong
        )
    except Exception as error:  # every codec has an exception class of its own
        raise Refused(DAMAGED, f"its colour profile: {error}") from error
    return changed[..., :1] if kind == "L" else changed


@lru_cache(maxsize=_KEPT)
def _transform(profile: bytes, kind: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from `profile` to sRGB for images of `kind`; None if the profile is unusable or sRGB."""
    try:
        if profile[16:20].strip() != _SPACES[kind]:
            return None
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), kind, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
    return None if kind != "CMYK" and _changes_nothing(transform, kind) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, kind: str) -> bool:
    """Return whether every grey and, for colours, a grid of 33 levels stay unchanged."""
    greys = np.arange(256, dtype=np.uint8)
    if kind == "L":
        probe = greys[None, :, None]
    else:
        levels = np.linspace(0, 255, 33).astype(np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
        probe = np.concatenate([grid, np.repeat(greys[:, None], 3, axis=1)])[None]
    changed = _shallow(np.ascontiguousarray(probe), kind, transform)
    return bool(np.abs(changed.astype(np.int16) - probe).max() <= _ALIKE)
