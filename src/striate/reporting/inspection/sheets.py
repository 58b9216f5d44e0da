"""Sheets of an inspection: filters, activation maps and patches as grids of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from striate.core.spec import InputSpec
from striate.explaining import ActivationMaps, Filters, TopPatches
from striate.plot import coloured, enlarged, filter_images, map_images, sheet
from striate.reporting.numbers import count, size
from striate.reporting.sheets.rgb import Rgb, in_eight_bits, shown_input

_FILTERS, _SLICES, _MAPS = 64, 12, 64
_GAP = 190  # grey level between the images of a sheet
_LEGIBLE = 240  # sheets are enlarged by whole pixels to about this size


def filter_sheet(found: Filters) -> tuple[Rgb, str]:
    """Draw the filters of a convolution; return the sheet and its caption."""
    total, channels, height, width = found.weights.shape
    if channels in (1, 3):
        shown, how = min(total, _FILTERS), "each as an image, on one scale"
        pixels = sheet(filter_images(found.weights[:_FILTERS]), paper=_GAP)
    else:
        slices = found.slices()[:_SLICES, :_SLICES]
        shown, how = len(slices), f"a row for each filter with its first {slices.shape[1]} of {channels} channels"
        pixels = sheet(filter_images(slices.reshape(-1, 1, height, width)), columns=slices.shape[1], paper=_GAP)
    return pixels, f"{found.layer}: {first_of(shown, total, 'filter')} of {size((height, width))}, {how}"


def map_sheet(found: ActivationMaps) -> tuple[Rgb, str]:
    """Draw the activation maps of the first image; return the sheet and its caption."""
    maps = found.values[0]
    drawn = _maps(maps[:_MAPS])
    caption = f"{found.place}: {first_of(len(drawn), len(maps), 'map')} of {size(maps.shape[1:])}"
    return sheet(drawn, paper=_GAP), caption


def patch_sheet(top: TopPatches, unit: int, spec: InputSpec) -> Rgb:
    """Draw the strongest patches of a unit."""
    return _grid([shown_input(patch, spec) for patch in top.patches(unit)])


def projection_sheet(projections: Float[np.ndarray, "k c h w"], spec: InputSpec) -> Rgb:
    """Draw each projection around mid-grey on its own scale, as in the paper of the deconvnet."""
    largest = np.abs(projections).max(axis=(1, 2, 3), keepdims=True)
    intensities = 0.5 + 0.5 * np.divide(projections, largest, out=np.zeros_like(projections), where=largest > 0)
    return _grid([in_eight_bits(values, spec.channels) for values in intensities])


def legible(pixels: Rgb) -> Rgb:
    """Enlarge a small sheet by whole pixels."""
    return enlarged(pixels, max(1, round(_LEGIBLE / max(pixels.shape[:2]))))


def first_of(shown: int, total: int, noun: str) -> str:
    """Format a count, as in `the first 4 of 10 filters`."""
    return count(total, noun) if shown == total else f"the first {shown} of {count(total, noun)}"


def _maps(maps: Float[np.ndarray, "u h w"]) -> UInt8[np.ndarray, "u h w 3"]:
    """Draw each map on its own scale; maps of a single value on one scale, as they differ in nothing else."""
    return map_images(maps) if maps[0].size > 1 else map_images(maps.reshape(1, 1, -1))[0, 0][:, None, None]


def _grid(images: Sequence[np.ndarray]) -> Rgb:
    return sheet(np.stack([coloured(image) for image in images]), columns=3, paper=128)
