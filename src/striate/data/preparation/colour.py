"""Convert the channels of images to those of a model: order, depth, transparency."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

from striate.core.errors import DataError
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.images.decoded import ALPHA, ManyPixels, by_rows, full_intensity

_DTYPES = {255.0: np.dtype(np.uint8), 65535.0: np.dtype(np.uint16)}

Arranged = UInt8[np.ndarray, "n h w k"] | UInt16[np.ndarray, "n h w k"] | Float32[np.ndarray, "n h w k"]

# ITU-R BT.601 luma (0.299, 0.587, 0.114) in 65,536ths: whole numbers give every machine the same grey, and Pillow's.
_LUMA = {"red": 19595, "green": 38470, "blue": 7471}


def storage_dtype(spec: InputSpec) -> np.dtype:
    """Return the type of images prepared for `spec`: uint8 and uint16 for 8 and 16 bits, else float32."""
    return _DTYPES.get(spec.maximum, np.dtype(np.float32))


def padding_values(spec: InputSpec) -> tuple[float, ...]:
    """Return the stored value of each channel that padding has, rounded to a level where images have levels."""
    shares = spec.mean if spec.padding is None else (spec.padding,) * len(spec.channels)
    values = tuple(share * spec.maximum for share in shares)
    return values if storage_dtype(spec) == np.float32 else tuple(float(round(value)) for value in values)


def arrange(pixels: ManyPixels, channels: tuple[str, ...], spec: InputSpec) -> Arranged:
    """Convert `pixels`, whose channels are `channels`, to the channels and the depth of `spec`.

    Alpha is blended over `spec.background`; channels of equal names are selected in the order of `spec`; grey is
    repeated for colours, and colours are converted to grey by their luma.

    Raises:
        DataError: the images lack a channel that `spec` names.
    """
    if ALPHA in channels and ALPHA not in spec.channels:
        pixels, channels = lay_over(pixels, channels, spec.background), without_alpha(channels)
    return _to_depth(_pick(pixels, channels, spec.channels), spec)


def without_alpha(channels: tuple[str, ...]) -> tuple[str, ...]:
    """Return `channels` without alpha."""
    return tuple(channel for channel in channels if channel != ALPHA)


def lay_over(pixels: ManyPixels, channels: tuple[str, ...], background: float) -> Arranged:
    """Blend the other channels over a background (a fraction of full intensity): ground + (pixel - ground) · alpha."""
    place = channels.index(ALPHA)
    return by_rows(lambda part: _laid_over(np.delete(part, place, axis=3), part[..., [place]], background), pixels)


def _laid_over(colours: np.ndarray, alpha: np.ndarray, background: float) -> np.ndarray:
    full = full_intensity(colours.dtype)
    ground = np.float32(background * full)
    share = alpha.astype(np.float32) / np.float32(full)
    return _rounded(ground + (colours.astype(np.float32) - ground) * share, colours.dtype)


def admits(channels: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Return whether `arrange` can convert an image of `channels` to those `wanted`."""
    opaque = channels if ALPHA in wanted else without_alpha(channels)
    return (
        set(wanted) <= set(opaque)
        or (opaque == GREY and set(wanted) <= set(RGB))
        or (wanted == GREY and set(opaque) == set(RGB))
    )


def channel_weights(channels: tuple[str, ...], wanted: tuple[str, ...]) -> Float32[np.ndarray, "wanted channels"]:
    """Return the weight of each of `channels` in each of those `wanted`, neither of them with alpha to blend.

    Raises:
        DataError: a wanted channel cannot be made of `channels`.
    """
    if not admits(channels, wanted):
        raise DataError(
            f"The model takes the channels {', '.join(wanted)}; the image has {', '.join(channels)}. "
            "Use images with the channels that it was trained on."
        )
    if set(wanted) <= set(channels):
        return np.array([[float(channel == name) for channel in channels] for name in wanted], np.float32)
    if channels == GREY:
        return np.ones((len(wanted), 1), np.float32)
    return np.array([[_LUMA[channel] / 65536 for channel in channels]], np.float32)


def _pick(pixels: ManyPixels, channels: tuple[str, ...], wanted: tuple[str, ...]) -> Arranged:
    if channels == wanted:
        return pixels
    weights = channel_weights(channels, wanted)
    if set(wanted) <= set(channels):
        return pixels[..., weights.argmax(axis=1)]
    if channels == GREY:
        return np.repeat(pixels, len(wanted), axis=3)
    return by_rows(lambda part: _luma(part, weights[0]), pixels)


def _luma(pixels: ManyPixels, weights: Float32[np.ndarray, " c"]) -> Arranged:
    if pixels.dtype == np.float32:
        return (pixels * weights).sum(axis=3, keepdims=True)
    # Whole 65,536ths, which float32 holds exactly; 65535 · 65536 + 32768 still fits in 32 bits.
    weighed = sum(pixels[..., [i]].astype(np.uint32) * np.uint32(65536 * weight) for i, weight in enumerate(weights))
    return ((np.asarray(weighed, np.uint32) + np.uint32(1 << 15)) >> np.uint32(16)).astype(pixels.dtype)


def _to_depth(pixels: ManyPixels, spec: InputSpec) -> ManyPixels:
    """Convert the depth, full intensity to full intensity: 8 bits to 16 by × 257 exactly, 16 to 8 by its inverse."""
    target = storage_dtype(spec)
    if pixels.dtype == target and full_intensity(target) == spec.maximum:
        return pixels
    if (pixels.dtype, target) == (np.uint8, np.uint16):
        return pixels.astype(np.uint16) * np.uint16(257)
    ratio = np.float32(spec.maximum / full_intensity(pixels.dtype))
    return by_rows(lambda part: _rounded(part.astype(np.float32) * ratio, target), pixels)


def _rounded(values: np.ndarray, dtype: np.dtype) -> ManyPixels:
    if dtype == np.float32:
        return values
    return np.clip(np.rint(values), 0, full_intensity(dtype)).astype(dtype)
