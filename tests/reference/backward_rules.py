"""Deconvnet and guided backpropagation written out: one loop for one index, layer by layer, no autograd.

A network is a list of layers: ("conv", weight k c y x, bias k), ("relu",), ("pool", side, stride) and ("dense", weight
k d, bias k). A map is an array c h w. Forward records what was rectified and which position of each window won;
backward lays each filter, transposed, back onto the map below, unpools through the recorded switches and rectifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Layer = tuple[Any, ...]


def explain(
    layers: Sequence[Layer], image: np.ndarray, unit: int | tuple[int, int, int], *, guided: bool
) -> np.ndarray:
    """What the rule brings from output `unit` (of a map: unit, y, x) back to the pixels of `image`."""
    records, value = [], image
    for layer in layers:
        value, record = _forward(layer, value)
        records.append(record)
    signal = np.zeros_like(value)
    signal[unit] = 1
    for layer, record in zip(reversed(layers), reversed(records), strict=True):
        signal = _backward(layer, record, signal, guided)
    return signal


def _forward(layer: Layer, value: np.ndarray) -> tuple[np.ndarray, Any]:
    match layer:
        case ("conv", weight, bias):
            k, _, y, x = weight.shape
            out = np.zeros((k, value.shape[1] - y + 1, value.shape[2] - x + 1))
            for o, i, j in np.ndindex(out.shape):
                out[o, i, j] = (weight[o] * value[:, i : i + y, j : j + x]).sum() + bias[o]
            return out, value.shape
        case ("relu",):
            return np.maximum(value, 0), value
        case ("pool", side, stride):
            c, h, w = value.shape
            out = np.zeros((c, (h - side) // stride + 1, (w - side) // stride + 1))
            switches = {}
            for o, i, j in np.ndindex(out.shape):
                window = value[o, i * stride : i * stride + side, j * stride : j * stride + side]
                y, x = divmod(int(window.argmax()), side)
                switches[o, i, j] = (o, i * stride + y, j * stride + x)
                out[o, i, j] = window[y, x]
            return out, (value.shape, switches)
        case ("dense", weight, bias):
            return weight @ value.reshape(-1) + bias, value.shape
    raise ValueError(layer)


def _backward(layer: Layer, record: Any, signal: np.ndarray, guided: bool) -> np.ndarray:
    match layer:
        case ("conv", weight, _):
            below = np.zeros(record)
            y, x = weight.shape[2:]
            for o, i, j in np.ndindex(signal.shape):
                below[:, i : i + y, j : j + x] += signal[o, i, j] * weight[o]
            return below
        case ("relu",):
            positive = np.maximum(signal, 0)
            return positive * (record > 0) if guided else positive
        case ("pool", *_):
            shape, switches = record
            below = np.zeros(shape)
            for place, winner in switches.items():
                below[winner] += signal[place]
            return below
        case ("dense", weight, _):
            return (weight.T @ signal).reshape(record)
    raise ValueError(layer)
