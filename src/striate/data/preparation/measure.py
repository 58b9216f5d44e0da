"""Measure an `InputSpec` on the training images, and on no others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from striate.core.errors import DataError
from striate.core.progress import Progress, silent
from striate.core.scalars import check_range
from striate.core.spec import InputSpec, ResizeRule
from striate.core.threads import in_order, usable_cores
from striate.data.audit.index import ImageIndex
from striate.data.dataset import Dataset, Indices
from striate.data.images.kinds import common_channels, common_maximum, left_out, named
from striate.data.loading.batching import pieces, prepare_rows
from striate.data.loading.cache import load_cached
from striate.data.preparation.arrays import ManyPrepared

LARGEST_SIDE = 64  # for small models; a larger size is a choice of the user
_VALUES = 2**30  # the largest number of values for mean and std
_PIECE = 64
_DIGITS = 6
_ROUNDING = 4 * float(np.finfo(np.float32).eps)  # relative to the mean: the spread after resampling a constant


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """How images become the input of the model (`InputSpec`).

    Args:
        height: pixels; none follows from the data.
        width: pixels; none follows from the data.
        resize: stretch, cover (crop what exceeds) or contain (pad).
        crop: fraction of the image that is kept, above 0 and at most 1.
        decode_scale: decode JPEG files at a reduced size of at least this multiple of the input; 0 decodes in full.
    """

    height: int | None = None
    width: int | None = None
    resize: ResizeRule = "cover"
    crop: float = 1.0
    decode_scale: float = 2.0

    def __post_init__(self) -> None:
        check_range(self, "height", "width", at_least=1)
        check_range(self, "crop", above=0, at_most=1)
        if self.decode_scale != 0:
            check_range(self, "decode_scale", at_least=1)


def measure(
    dataset: Dataset,
    index: ImageIndex,
    indices: Indices,
    settings: InputSettings | None = None,
    *,
    progress: Progress = silent,
) -> InputSpec:
    """Measure an `InputSpec` on the images `indices` of `dataset` alone, which are the training images.

    Grey stays grey if all images are; one in colour makes all of them colour. The depth is that of most images. The
    size, where it is not given (one side given means a square), is the size of more than half of the images, shrunk to
    64 pixels; else a square of the median shorter side, at most of 64. Mean and std are over all pixels
    of the prepared images; above about a thousand million values, over every k-th image. They are a function of the
    data alone, not of the machine.

    Raises:
        DataError: there is nothing to train on, or the images do not have the same kinds of channels.
    """
    indices = np.unique(indices)
    indices = indices[index.readable[indices]]
    if not len(indices):
        raise DataError(f"{dataset.name}: there is no readable image to train on.")
    settings = settings or InputSettings()
    height, width = settings.height, settings.width
    if height is None and width is None:
        height, width = _size(index.heights[indices], index.widths[indices])
    channels = _channels(dataset, indices, index.channels[indices])
    spec = InputSpec(
        channels=channels,
        height=height or width or 0,
        width=width or height or 0,
        mean=(0.0,) * len(channels),
        std=(1.0,) * len(channels),
        maximum=common_maximum(index.maxima[indices]),
        resize=settings.resize,
        crop=settings.crop,
        decode_scale=settings.decode_scale,
    )
    mean, std = _moments(_prepared(dataset, index, indices, spec, progress), spec)
    return replace(spec, mean=mean, std=std)


def _channels(dataset: Dataset, indices: Indices, kinds: np.ndarray) -> tuple[str, ...]:
    """Return the channels to which all images can be converted; `kinds` are theirs, comma-separated."""
    wanted = common_channels(kinds)
    odd = np.flatnonzero(left_out(kinds, wanted))
    if len(odd):
        first, has = dataset.store.name(int(indices[odd[0]])), tuple(str(kinds[odd[0]]).split(","))
        raise DataError(
            f"{dataset.name}: all images need the same channels (grey and colour may be mixed). Most have "
            f"{named(wanted)}; {first} has {named(has)}. "
            "Convert it, or leave it out."
        )
    return wanted


def _size(heights: np.ndarray, widths: np.ndarray) -> tuple[int, int]:
    sizes, counts = np.unique(np.stack([heights, widths], axis=1), axis=0, return_counts=True)
    if 2 * counts.max() > len(heights):
        height, width = (int(side) for side in sizes[counts.argmax()])
        shrink = min(1.0, LARGEST_SIDE / max(height, width))
        return max(1, round(height * shrink)), max(1, round(width * shrink))
    side = min(LARGEST_SIDE, int(np.median(np.minimum(heights, widths))))
    return side, side


def _prepared(
    dataset: Dataset, index: ImageIndex, indices: Indices, spec: InputSpec, progress: Progress
) -> Iterator[ManyPrepared]:
    """Prepare the images for mean and std, in pieces that are the same on every machine."""
    step = -(-len(indices) * int(np.prod(spec.shape)) // _VALUES)
    # If all of them are needed, training needs the same next: they are held in memory (and cached) if they fit.
    held = load_cached(dataset, indices, spec, digests=index.digests, progress=progress) if step == 1 else None
    chosen = pieces(indices[::step], _PIECE)
    if held is not None:
        return map(held.take, chosen)
    threads = usable_cores()
    rows = in_order(partial(prepare_rows, dataset, spec), chosen, threads=threads, ahead=2 * threads)
    return (np.stack(list(piece)) for piece in rows)


def _moments(prepared: Iterator[ManyPrepared], spec: InputSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and std of each channel as fractions of full intensity; the std of a constant channel is 1.

    Both are rounded to six decimals, or to six significant digits of the std where that is finer, so that data of any
    scale are standardised alike. Values are taken relative to the first pixel, so that a large offset does not cancel
    the squares. For whole numbers every sum is exact in float64 (a piece's squares stay below 2⁵³) in any order.
    """
    count, first, total, squares = 0, np.zeros((1, 1, 1, 1)), np.zeros(len(spec.channels)), np.zeros(len(spec.channels))
    for pixels in prepared:
        values = pixels.astype(np.float64)
        if not count:
            first = values[:1, :, :1, :1].copy()
        values -= first
        total += values.sum(axis=(0, 2, 3))
        squares += np.square(values, out=values).sum(axis=(0, 2, 3))
        count += values[:, 0].size
    offset = total / count
    std = np.sqrt(np.maximum(squares / count - offset**2, 0)) / spec.maximum
    mean = (first.reshape(-1) + offset) / spec.maximum
    constant = std <= _ROUNDING * np.abs(mean)
    moments = [_rounded(*pair) for pair in zip(mean.tolist(), np.where(constant, 0, std).tolist(), strict=True)]
    return tuple(mean for mean, _ in moments), tuple(std for _, std in moments)


def _rounded(mean: float, std: float) -> tuple[float, float]:
    """Round to six significant digits of the std (of a constant channel the mean), and to six decimals at least."""
    scale = std or abs(mean) or 1.0
    decimals = max(_DIGITS, _DIGITS - 1 - math.floor(math.log10(scale)))
    return round(mean, decimals), round(std, decimals) or 1.0
