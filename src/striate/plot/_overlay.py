"""A map laid over the image that it explains."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from striate.plot._tiles import Scale
from striate.plot.colormap import HEAT, SIGNED, Colormap
from striate.plot.pixels import Pixels, Rgb, coloured

_LUMA = np.array([0.299, 0.587, 0.114])
_DEEPEST, _LIGHTEST = 24.0, 232.0
_FAINT, _FULL = 0.5, 0.8  # opacity of the colours at zero, and at the end of the scale
_OUTSIDE = 0.35
_PERCENTILE = 0.99

Map: TypeAlias = Float[np.ndarray, "rows columns"]


def reach(values: Float[np.ndarray, ...]) -> float:
    """Return the end of the colour scale of a map: the 99th percentile of its magnitudes, NaN ignored.

    Gradients have a few values far above all others, which would leave everything else dark. Larger values are drawn
    as the end of the scale.
    """
    magnitudes = np.abs(values[np.isfinite(values)])
    if not magnitudes.size:
        return 0.0
    return float(np.quantile(magnitudes, _PERCENTILE)) or float(magnitudes.max())


def overlay(image: Pixels, values: Map, *, signed: bool = False, largest: float | None = None) -> Rgb:
    """Draw `values` in colours over the grey levels of `image`.

    An amount is drawn in `HEAT` from its smallest value to `largest`; a signed map in `SIGNED`, from -`largest` to
    `largest` (by default `reach(values)`). Opacity grows with the magnitude. Where a value is NaN, outside the
    network's input, the image is dimmed.

    Raises:
        ValueError: image and map differ in size.
    """
    if image.shape[:2] != values.shape:
        raise ValueError(f"a map of {values.shape} does not fit an image of {image.shape[:2]}")
    least, most = _ends(values, signed, largest)
    flat = np.full_like(values, 0.5 if signed else 0.0)
    fractions = (values - least) / (most - least) if most > least else flat
    grey = _softened(coloured(image))
    strength = np.abs(2 * fractions - 1) if signed else fractions
    opacity = _FAINT + (_FULL - _FAINT) * np.clip(np.nan_to_num(strength), 0, 1)[..., None]
    laid = (1 - opacity) * grey + opacity * _colormap(signed)(fractions)
    unseen = ~np.isfinite(values)
    laid[unseen] = _OUTSIDE * grey[unseen] + (1 - _OUTSIDE) * _LIGHTEST
    return np.rint(laid).astype(np.uint8)


def overlay_scale(values: Map, *, signed: bool = False, largest: float | None = None) -> Scale:
    """Return the scale of what `overlay` draws from the same arguments."""
    least, most = _ends(values, signed, largest)
    return Scale(_colormap(signed), least=_written(least), middle="0" if signed else "", most=_written(most))


def _ends(values: Map, signed: bool, largest: float | None) -> tuple[float, float]:
    """Return the values at the two ends of the scale."""
    most = reach(values) if largest is None else largest
    if signed:
        return -most, most
    finite = values[np.isfinite(values)]
    return (min(float(finite.min()), most) if finite.size else 0.0), most


def _written(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _colormap(signed: bool) -> Colormap:
    return SIGNED if signed else HEAT


def _softened(image: Rgb) -> Float[np.ndarray, "h w 3"]:
    """Return the grey levels, kept from black and white so that colours over them remain distinct."""
    light = image @ _LUMA / 255
    return np.repeat((_DEEPEST + (_LIGHTEST - _DEEPEST) * light)[..., None], 3, axis=2)
