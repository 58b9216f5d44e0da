"""A map laid over the picture that it explains."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from striate.plot.colormap import HEAT, SIGNED, Colormap
from striate.plot.pixels import Pixels, Rgb, coloured
from striate.plot.tiles import Scale

_LUMA = np.array([0.299, 0.587, 0.114])
_DEEPEST, _LIGHTEST = 24.0, 232.0
_FAINT, _FULL = 0.5, 0.8  # opacity of the colours where there is nothing, and at the end of the scale
_OUTSIDE = 0.35

Map: TypeAlias = Float[np.ndarray, "rows columns"]


def reach(values: Float[np.ndarray, ...], *, share: float = 0.99) -> float:
    """Where the colours of a map end: the magnitude that `share` of its values keep within.

    Gradients have a few values far above all others, which would leave everything else dark. What lies beyond is drawn
    as the end of the scale. NaN is no value.
    """
    magnitudes = np.abs(values[np.isfinite(values)])
    if not magnitudes.size:
        return 0.0
    return float(np.quantile(magnitudes, share)) or float(magnitudes.max())


def overlay(picture: Pixels, values: Map, *, signed: bool = False, largest: float | None = None) -> Rgb:
    """`values` in colours over `picture`, of which the light and shade remain, but not the colours.

    An amount is drawn in `HEAT` from 0 to `largest`; a signed map in `SIGNED`, from -`largest` to `largest` (by default
    `reach(values)`). The more there is of it, the less of the picture shines through. Where a value is NaN, the network
    saw nothing: there the picture is shown dimmed.

    Raises:
        ValueError: picture and map are not of one size.
    """
    if picture.shape[:2] != values.shape:
        raise ValueError(f"a map of {values.shape} does not fit a picture of {picture.shape[:2]}")
    most = reach(values) if largest is None else largest
    shares = values / most if most else np.zeros_like(values)
    grey = _softened(coloured(picture))
    colours = _colormap(signed)(shares / 2 + 0.5 if signed else shares)
    opacity = _FAINT + (_FULL - _FAINT) * np.clip(np.abs(np.nan_to_num(shares)), 0, 1)[..., None]
    laid = (1 - opacity) * grey + opacity * colours
    unseen = ~np.isfinite(values)
    laid[unseen] = _OUTSIDE * grey[unseen] + (1 - _OUTSIDE) * _LIGHTEST
    return np.rint(laid).astype(np.uint8)


def overlay_scale(values: Map, *, signed: bool = False, largest: float | None = None) -> Scale:
    """The scale of what `overlay` draws of the same arguments, to stand beside it."""
    most = reach(values) if largest is None else largest
    if signed:
        return Scale(_colormap(signed), least=f"−{most:.3g}", middle="0", most=f"{most:.3g}")
    return Scale(_colormap(signed), least="0", most=f"{most:.3g}")


def _colormap(signed: bool) -> Colormap:
    return SIGNED if signed else HEAT


def _softened(picture: Rgb) -> Float[np.ndarray, "h w 3"]:
    """Light and shade, kept from black and white so that colours over them stay themselves."""
    light = picture @ _LUMA / 255
    return np.repeat((_DEEPEST + (_LIGHTEST - _DEEPEST) * light)[..., None], 3, axis=2)
