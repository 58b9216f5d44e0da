"""8-bit pixels for display, of original images and of network inputs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from striate.core.geometry import Placement
from striate.core.spec import RGB, InputSpec
from striate.data.images.decoded import ALPHA, DecodedImage

Pixels = UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w 1"]
Rgb = UInt8[np.ndarray, "_ _ 3"]


def shown(decoded: DecodedImage) -> Pixels:
    """Convert an image to 8 bits, with alpha over white; of channels that are not colours, the first as grey."""
    intensities = np.clip(decoded.pixels.astype(np.float32) / decoded.maximum, 0, 1)
    if ALPHA in decoded.channels:
        alpha = intensities[..., [decoded.channels.index(ALPHA)]]
        colours = [number for number, name in enumerate(decoded.channels) if name != ALPHA]
        intensities = intensities[..., colours] * alpha + (1 - alpha)
    if intensities.shape[2] != 3:
        intensities = intensities[..., :1]
    return np.rint(intensities * 255).astype(np.uint8)


def shown_input(image: Float[np.ndarray, "c h w"], spec: InputSpec) -> Pixels:
    """Undo the scaling of a network input; show it in colours, or else its first channel as grey."""
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
    return in_eight_bits(image * std + mean, spec.channels)


def in_eight_bits(intensities: Float[np.ndarray, "c h w"], channels: tuple[str, ...]) -> Pixels:
    """Convert intensities from 0 to 1, in the network's order of channels, to grey or RGB pixels."""
    return np.rint(np.clip(ordered(intensities, channels), 0, 1) * 255).astype(np.uint8)


def ordered(values: Float[np.ndarray, "c h w"], channels: tuple[str, ...]) -> Float[np.ndarray, "h w k"]:
    """Return the channels that are shown, last: red, green and blue, or else the first."""
    order = [channels.index(name) for name in RGB] if set(RGB) <= set(channels) else [0]
    return values[order].transpose(1, 2, 0)


def onto_original(
    values: Float[np.ndarray, "h w"], placement: Placement, size: tuple[int, int]
) -> Float[np.ndarray, "rows columns"]:
    """Resample a map over the network's input onto the upright original, drawn with `size` (height, width) pixels.

    Values are interpolated bilinearly, and NaN outside the network's input.
    """
    scale = placement.original[0] / size[0], placement.original[1] / size[1]
    ys = [placement.to_input((row + 0.5) * scale[0], 0.0)[0] for row in range(size[0])]
    xs = [placement.to_input(0.0, (column + 0.5) * scale[1])[1] for column in range(size[1])]
    rows, columns = _sampling(np.array(ys), values.shape[0]), _sampling(np.array(xs), values.shape[1])
    return (rows @ values @ columns.T).astype(np.float32)


def _sampling(at: Float[np.ndarray, " m"], length: int) -> Float[np.ndarray, "m length"]:
    """Return for each point of an axis the weights of its neighbours; NaN for points outside `length` pixels."""
    place = np.clip(at - 0.5, 0, length - 1)
    below = np.floor(place).astype(int)
    share = place - below
    weights = np.zeros((len(at), length))
    np.add.at(weights, (np.arange(len(at)), below), 1 - share)
    np.add.at(weights, (np.arange(len(at)), np.minimum(below + 1, length - 1)), share)
    weights[(at < 0) | (at >= length)] = np.nan
    return weights
