"""Pixels for the eye, of pictures as they are and as a network is given them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from striate.core.geometry import Placement
from striate.core.spec import RGB, InputSpec
from striate.data.images.decoded import ALPHA, Picture

Pixels = UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w 1"]


def shown(picture: Picture) -> Pixels:
    """A picture for the eye: 8 bits, alpha over white; of channels that are no colours the first, as grey."""
    shares = np.clip(picture.pixels.astype(np.float32) / picture.maximum, 0, 1)
    if ALPHA in picture.channels:
        alpha = shares[..., [picture.channels.index(ALPHA)]]
        colours = [number for number, name in enumerate(picture.channels) if name != ALPHA]
        shares = shares[..., colours] * alpha + (1 - alpha)
    if shares.shape[2] != 3:
        shares = shares[..., :1]
    return np.rint(shares * 255).astype(np.uint8)


def shown_input(image: Float[np.ndarray, "c h w"], spec: InputSpec) -> Pixels:
    """What the network is given, its scale undone: in colours where it has the three, else its first channel."""
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
    return in_eight_bits(image * std + mean, spec.channels)


def in_eight_bits(shares: Float[np.ndarray, "c h w"], channels: tuple[str, ...]) -> Pixels:
    """Shares of full intensity, in the network's order of channels, as grey or RGB pixels."""
    order = [channels.index(name) for name in RGB] if set(RGB) <= set(channels) else [0]
    return np.rint(np.clip(shares[order], 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def onto_original(
    values: Float[np.ndarray, "h w"], placement: Placement, size: tuple[int, int]
) -> Float[np.ndarray, "rows columns"]:
    """A map over the network's input, laid onto the upright original, drawn with `size` (height, width) pixels.

    Between the centres of the map's pixels it is interpolated; where the network saw nothing of the original, it is
    NaN.
    """
    scale = placement.original[0] / size[0], placement.original[1] / size[1]
    ys = [placement.to_input((row + 0.5) * scale[0], 0.0)[0] for row in range(size[0])]
    xs = [placement.to_input(0.0, (column + 0.5) * scale[1])[1] for column in range(size[1])]
    rows, columns = _sampling(np.array(ys), values.shape[0]), _sampling(np.array(xs), values.shape[1])
    return (rows @ values @ columns.T).astype(np.float32)


def _sampling(at: Float[np.ndarray, " m"], length: int) -> Float[np.ndarray, "m length"]:
    """For each point of an axis the weights of the pixels about it; NaN for points outside of `length` pixels."""
    place = np.clip(at - 0.5, 0, length - 1)
    below = np.floor(place).astype(int)
    share = place - below
    weights = np.zeros((len(at), length))
    np.add.at(weights, (np.arange(len(at)), below), 1 - share)
    np.add.at(weights, (np.arange(len(at)), np.minimum(below + 1, length - 1)), share)
    weights[(at < 0) | (at >= length)] = np.nan
    return weights
