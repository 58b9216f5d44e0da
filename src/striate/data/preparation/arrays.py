"""The numpy form of preparation: decoded images to a model's input, in training, evaluation and prediction.

An `InputSpec` describes all of it: channels and depth (`colour`), resize (`resample`), crop or padding, and scale. All
steps but the scale are done for each image in the depth of the data; the scale is done for a batch, on its device,
because it turns one byte into four. `tensors` has the differentiable form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped, UInt8, UInt16
from torch import Tensor

from striate.core.geometry import Placement, place
from striate.core.spec import InputSpec
from striate.data.images.decode import decode
from striate.data.images.decoded import DecodedImage, ManyPixels
from striate.data.images.encode import to_png
from striate.data.preparation.colour import arrange, padding_values, storage_dtype
from striate.data.preparation.resample import resize

Prepared = UInt8[np.ndarray, "c h w"] | UInt16[np.ndarray, "c h w"] | Float32[np.ndarray, "c h w"]
ManyPrepared = (
    UInt8[np.ndarray, "n k rows columns"]
    | UInt16[np.ndarray, "n k rows columns"]
    | Float32[np.ndarray, "n k rows columns"]
)

Photos = UInt8[np.ndarray, "n h w c"] | UInt16[np.ndarray, "n h w c"]
OnGrid = UInt8[np.ndarray, "n {spec.height} {spec.width} c"] | UInt16[np.ndarray, "n {spec.height} {spec.width} c"]

_IN_CACHE = 1 << 17  # numbers in float32: half a megabyte


def prepare(image: DecodedImage, spec: InputSpec) -> Prepared:
    """Prepare one image as `spec` describes, up to the scale. An image that is already prepared keeps its grid.

    Raises:
        DataError: it lacks a channel that `spec` names.
    """
    # With `reshape`, not `[None]`: numpy gives a new axis the stride 0, and torch then misses the fast layout.
    pixels = image.pixels.reshape(1, *image.pixels.shape)
    if image.is_prepared_for(spec):
        return _as_torch_has_it(arrange(pixels, image.channels, spec))[0]
    return prepare_many(pixels, image.channels, image.original, spec)[0]


def prepare_many(
    pixels: ManyPixels, channels: tuple[str, ...], original: tuple[int, int], spec: InputSpec
) -> ManyPrepared:
    """Prepare images of one size at once, up to the scale.

    `original` is their full size, where they were decoded at a fraction of it. The result may be a view of `pixels`.

    Raises:
        DataError: they lack a channel that `spec` names.
    """
    placement = place(spec, *original)
    arranged = arrange(pixels, channels, spec)
    rows, columns = (
        slice(max(start, 0), min(start + side, whole))
        for start, side, whole in zip(placement.offset, spec.size, placement.resized, strict=True)
    )
    seen = resize(
        arranged,
        *placement.resized,
        filter=spec.filter,
        antialias=spec.antialias,
        resampler=spec.resampler,
        rows=rows,
        columns=columns,
    )
    return _as_torch_has_it(_padded(seen, placement, spec))


def reread(images: Photos, spec: InputSpec) -> OnGrid:
    """Write each image, in the channels of `spec`, as a PNG, then read and prepare it.

    Raises:
        DataError: a PNG does not hold such channels.
    """
    files = (to_png(image, spec.channels) for image in images)
    return np.stack([prepare(decode(file, spec), spec).transpose(1, 2, 0) for file in files])


def _as_torch_has_it(pixels: Shaped[np.ndarray, "n rows columns c"]) -> ManyPrepared:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _padded(seen: ManyPixels, placement: Placement, spec: InputSpec) -> Shaped[np.ndarray, "n rows columns c"]:
    """Place the resized images on the input grid, with padding where they do not reach."""
    if seen.shape[1:3] == spec.size:
        return seen
    canvas = np.full((len(seen), *spec.size, seen.shape[3]), padding_values(spec), seen.dtype)
    y, x = (max(-start, 0) for start in placement.offset)
    canvas[:, y : y + seen.shape[1], x : x + seen.shape[2]] = seen
    return canvas


def scale(images: Shaped[Tensor, "n c h w"], spec: InputSpec) -> Float[Tensor, "n c h w"]:
    """Scale prepared images as the model takes them: (value / maximum - mean) / std, by channel, in float32.

    Floating data may have a mean far larger than their std: they are centred before they are divided.
    """
    if storage_dtype(spec) == np.float32:
        stored = ([spec.maximum * value for value in column] for column in (spec.mean, spec.std))
        return _standardise(images.to(torch.float32, copy=True), *stored)
    return _linear(images, *spec.scaling)


def to_shares(images: Shaped[Tensor, "n c h w"], spec: InputSpec) -> Float[Tensor, "n c h w"]:
    """Compute the first half of `scale`: fractions of full intensity, in which augmentations are defined."""
    return _linear(images, (1 / spec.maximum,) * len(spec.channels), (0.0,) * len(spec.channels))


def normalise(shares: Float[Tensor, "n c h w"], spec: InputSpec) -> Float[Tensor, "n c h w"]:
    """Compute the second half of `scale` in place, (fraction - mean) / std, and return `shares`."""
    if storage_dtype(spec) == np.float32:
        return _standardise(shares, spec.mean, spec.std)
    return _linear(shares, tuple(1 / std for std in spec.std), spec.scaling[1], in_place=True)


def _standardise(values: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Compute (values - mean) / std in place, each step rounded.

    A division, because the reciprocal of a very small std is beyond float32.
    """
    means, stds = (torch.tensor(column).view(1, -1, 1, 1).to(values.device) for column in (mean, std))
    return values.sub_(means).div_(stds)


def _linear(images: Tensor, factor: tuple[float, ...], offset: tuple[float, ...], *, in_place: bool = False) -> Tensor:
    """Compute factor · images + offset in float32.

    A product and then a sum, each rounded: fused into one operation, the rounding of a pixel would depend on its place
    in the batch (vector lanes and the remainder are compiled differently).
    """
    factors, offsets = (np.array(column, np.float32).reshape(1, -1, 1, 1) for column in (factor, offset))
    if images.device.type == "cpu":
        pixels = images.numpy()
        values = pixels if in_place else np.empty(images.shape, np.float32)
        return torch.from_numpy(_linear_here(pixels, factors, offsets, values))
    values = images if in_place else images.to(torch.float32, copy=True)
    values.mul_(torch.from_numpy(factors).to(images.device))
    return values.add_(torch.from_numpy(offsets).to(images.device))


def _linear_here(images: np.ndarray, factors: np.ndarray, offsets: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Compute the same with numpy, to the bit, in `values`, in the calling thread: torch would take cores.

    A few images at a time, so that the product is still in the cache for the sum. numpy's huge pages save two thirds of
    the time of a new batch of 224 × 224.
    """
    step = max(1, _IN_CACHE // max(1, images[:1].size))
    for start in range(0, len(images), step):
        part = values[start : start + step]
        if values is not images:
            np.copyto(part, images[start : start + step])
        part *= factors
        if offsets.any():
            part += offsets
    return values
