"""Near duplicates: the same photo resized, saved again, or cropped a little.

A hash proposes candidates and a comparison of pixels confirms them; both use a grey thumbnail. The hash holds the signs
of its coarse gradients (the difference hash of N. Krawetz, "Kind of like that", 2013; here in both directions, over 8×8
cells). The comparison is `striate.data.audit.align`.

Groups are stars: each member was compared with its group's representative and confirmed. Chains of similarity (single
linkage) would join images that have nothing in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64, UInt8, UInt64
from PIL import Image

from striate.core.progress import Progress, silent
from striate.core.spec import RGB
from striate.core.threads import in_order, usable_cores
from striate.data.audit.align import FLAT, aligned_similarity
from striate.data.images.decoded import Pixels, by_rows, full_intensity

SMALLEST_SIDE = 64
"""Images with a shorter side than this (in pixels) are duplicates only when their pixels are equal."""

THUMBNAIL = 48
"""Height and width of the thumbnails."""

_CELLS = 8
TINT = (_CELLS, _CELLS, 2)
"""Shape of the tints."""

# The limits lie in wide gaps. Among 400 photos, 79,800 unrelated pairs differ in 27 to 83 of the 112 bits (mean 56) and
# correlate by at most 0.82; copies cropped by 3 %, halved or saved at JPEG quality 40 differ in at most 22, correlate
# by at least 0.98, and their worst block is at most 0.34 off (0.52 in synthetic images full of fine checks; 1.0 and
# more between unrelated photos).
_MOST_BITS = 28
_LEAST_CORRELATION = 0.95
_MOST_BLOCK_ERROR = 0.6
_ASPECT = 1.12  # a larger ratio of the aspects is not a crop by a few per cent
_NARROW = 1 / 16  # of full intensity: a smaller range is stretched
_STRUCTURE = 0.25  # of the std of the pixels: if averaging over cells leaves less, it is noise and is not stretched
_OTHER_TINT = 0.5  # of the stronger tint; red and green differ by 1.4, a copy cropped by 3 % by 0.2
_LEAST_TINT = 4.0  # half levels (root mean square): below, there is no colour to compare
_ROUND = 16  # proposals compared at once; after a round without a match the rest, less similar, is skipped
_PIECE = 256  # images between two progress reports
_STAGE = "comparing images"


@dataclass(frozen=True, eq=False)
class Appearances:
    """Thumbnails and tints of images, in one order, for their comparison."""

    thumbnails: UInt8[np.ndarray, "n 48 48"]
    tints: Int8[np.ndarray, "n 8 8 2"]

    def __len__(self) -> int:
        return len(self.thumbnails)

    @classmethod
    def together(cls, parts: Sequence[Appearances]) -> Appearances:
        """Return the images of `parts`, one after another."""
        return cls(np.concatenate([part.thumbnails for part in parts]), np.concatenate([part.tints for part in parts]))

    def of(self, rows: np.ndarray) -> Appearances:
        """Return the chosen rows."""
        return Appearances(self.thumbnails[rows], self.tints[rows])

    def copied_from(self, originals: Appearances, progress: Progress = silent) -> Bool[np.ndarray, " n"]:
        """Return which images are near duplicates of one of `originals`: n·m comparisons of hashes, in threads.

        Aspects do not matter: a copy may have been stretched to a square.
        """
        copied = np.zeros(len(self), bool)
        if not len(self) or not len(originals):
            return copied
        codes, threads = hashes(originals.thumbnails), usable_cores()
        parts = (slice(start, start + _PIECE) for start in range(0, len(self), _PIECE))
        work = in_order(partial(self._copied, originals, codes), parts, threads=threads, ahead=2 * threads)
        done = 0
        with closing(work) as found:
            for part in found:
                copied[done : done + len(part)] = part
                done += len(part)
                progress(_STAGE, done, len(self))
        return copied

    def _copied(self, originals: Appearances, codes: UInt64[np.ndarray, "m 2"], part: slice) -> Bool[np.ndarray, " k"]:
        return np.array(
            [
                bool(_confirmed(image, tint, originals.of(_nearest(code, codes))).any())
                for image, tint, code in zip(
                    self.thumbnails[part], self.tints[part], hashes(self.thumbnails[part]), strict=True
                )
            ],
            bool,
        )


def _nearest(code: UInt64[np.ndarray, " 2"], codes: UInt64[np.ndarray, "n 2"]) -> Int64[np.ndarray, " k"]:
    """Return the indices of the `codes` nearest to `code`, within the limit."""
    distance = _distances(code, codes)
    proposed = np.flatnonzero(distance <= _MOST_BITS)
    return proposed[np.argsort(distance[proposed], kind="stable")][:_ROUND]


def _confirmed(
    thumbnail: UInt8[np.ndarray, "48 48"], tint: Int8[np.ndarray, "8 8 2"], others: Appearances
) -> Bool[np.ndarray, " n"]:
    """Return which of `others` show the image of `thumbnail` and `tint`: the same pixels and the same colours.

    A grey copy of a coloured image is a copy, unless the image has no structure either.
    """
    if not len(others):
        return np.zeros(0, bool)
    correlation, worst = aligned_similarity(thumbnail, others.thumbnails)
    similar = (correlation >= _LEAST_CORRELATION) & (worst <= _MOST_BLOCK_ERROR)
    return similar & _same_tint(tint, others.tints, grey_copies=bool(thumbnail.std() >= FLAT))


def thumbnail(pixels: Pixels) -> UInt8[np.ndarray, "48 48"]:
    """Average the brightness of an image (see `data.audit.visible`) over 48×48 cells; all channels count alike.

    The levels are those of 8 bits. An image whose values leave full intensity, or reach over less than a sixteenth of
    it (10 bits stored in 16, physical quantities, numbers of classes), is stretched to its own range.
    """
    bright = pixels[:, :, 0] if pixels.shape[2] == 1 else by_rows(_brightness, pixels[None])[0, ..., 0]
    full = full_intensity(pixels.dtype)
    low, high = float(bright.min()), float(bright.max())
    if low < high and (low < 0 or high > full or high - low < _NARROW * full):
        cells = _boxes((bright.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low)))
        if high > full or low < 0 or float(cells.std()) > _STRUCTURE * float(bright.std()) * 255 / (high - low):
            return np.rint(cells).clip(0, 255).astype(np.uint8)
    if bright.dtype != np.uint8:
        bright = _eight_bits(bright[..., None], full)[..., 0]
    return _boxes(bright)


def tint(pixels: Pixels) -> Int8[np.ndarray, "8 8 2"]:
    """Return the excess of red and of blue over green in each of 8×8 cells of an image, in half levels of 8 bits.

    Images that are not red, green and blue have no tint.
    """
    if pixels.shape[2] != len(RGB):
        return np.zeros((_CELLS, _CELLS, 2), np.int8)
    image = Image.fromarray(pixels if pixels.dtype == np.uint8 else _eight_bits(pixels, full_intensity(pixels.dtype)))
    cells = np.asarray(image.resize((_CELLS, _CELLS), Image.Resampling.BOX)).astype(np.int16)
    return ((cells[:, :, [0, 2]] - cells[:, :, 1:2]) // 2).astype(np.int8)


def _brightness(pixels: np.ndarray) -> np.ndarray:
    """Average the channels (n, h, w, c) to float32 (n, h, w, 1); whole numbers several times as fast as by `mean`."""
    count = pixels.shape[3]
    if pixels.dtype == np.float32 or count > len(RGB):
        return pixels.mean(axis=3, dtype=np.float32, keepdims=True)
    total = pixels[..., :1].astype(np.float32)
    for channel in range(1, count):
        total += pixels[..., channel : channel + 1]
    return total / np.float32(count)


def _eight_bits(pixels: Pixels, full: float) -> UInt8[np.ndarray, "h w c"]:
    return by_rows(lambda part: (part * (255 / full)).clip(0, 255).astype(np.uint8), pixels[None])[0]


def _boxes(bright: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(bright).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def hashes(thumbnails: UInt8[np.ndarray, "n 48 48"]) -> UInt64[np.ndarray, "n 2"]:
    """Compute 112 bits per thumbnail: whether the next of 8×8 cells, to the right and below, is brighter.

    Brighter means by more than one grey level, so that an even surface has the same bits after any compression.
    """
    size = THUMBNAIL // _CELLS
    cells = thumbnails.astype(np.int64).reshape(-1, _CELLS, size, _CELLS, size).sum((2, 4))
    least = size * size
    bits = [cells[:, :, 1:] - cells[:, :, :-1] > least, cells[:, 1:] - cells[:, :-1] > least]
    packed = np.packbits(np.concatenate([bit.reshape(len(cells), -1) for bit in bits], axis=1), axis=1)
    return np.pad(packed, ((0, 0), (0, 16 - packed.shape[1]))).view(np.uint64)


def stars(
    images: Appearances,
    aspects: Float64[np.ndarray, " n"],
    ranks: Int64[np.ndarray, " n"],
    progress: Progress = silent,
) -> Int64[np.ndarray, " n"]:
    """Return the representative of each image's group of near duplicates; the image itself where it is alone.

    The image with the most neighbours by hash is processed first and takes the candidates that the comparison of pixels
    confirms; these are then removed from the search. `ranks` settles ties, so that the groups depend on content and not
    on order: the places of the images when sorted by digest. `aspects` is width over height. Images of different
    colours are not alike; a grey copy of a coloured image is. `progress` counts each image twice, for hashes and for
    pixels.
    """
    codes = hashes(images.thumbnails)
    neighbours = _neighbours(codes, progress)
    order = np.lexsort((ranks, -neighbours))
    representative = np.full(len(codes), -1, np.int64)
    for place, index in enumerate(order.tolist()):
        if place % _PIECE == 0:
            progress(_STAGE, len(codes) + place, 2 * len(codes))
        if representative[index] >= 0:
            continue
        representative[index] = index
        if not neighbours[index]:
            continue
        distance = _distances(codes[index], codes)
        ratio = aspects / aspects[index]
        free = (representative < 0) & (distance <= _MOST_BITS) & (ratio < _ASPECT) & (ratio > 1 / _ASPECT)
        proposed = np.flatnonzero(free)
        proposed = proposed[np.lexsort((ranks[proposed], distance[proposed]))]
        for start in range(0, len(proposed), _ROUND):
            candidates = proposed[start : start + _ROUND]
            confirmed = candidates[_confirmed(images.thumbnails[index], images.tints[index], images.of(candidates))]
            representative[confirmed] = index
            if not len(confirmed):
                break
    return representative


def _same_tint(
    tint: Int8[np.ndarray, "8 8 2"], others: Int8[np.ndarray, "n 8 8 2"], *, grey_copies: bool
) -> Bool[np.ndarray, " n"]:
    """Return a mask of `others` with the colours of `tint`; `grey_copies` also admits a pair with one grey image."""
    strength = _root_mean_square(tint[None])
    strengths = _root_mean_square(others)
    difference = _root_mean_square(others.astype(np.float32) - tint)
    same = difference <= np.maximum(_LEAST_TINT, _OTHER_TINT * np.maximum(strength, strengths))
    return same | ((strength < 1) | (strengths < 1)) if grey_copies else same


def _root_mean_square(tints: np.ndarray) -> Float64[np.ndarray, " n"]:
    return np.sqrt(np.square(tints, dtype=np.float64).mean((1, 2, 3)))


def _distances(code: UInt64[np.ndarray, " 2"], codes: UInt64[np.ndarray, "n 2"]) -> UInt8[np.ndarray, " n"]:
    """Return the number of bits in which each of `codes` differs from `code`."""
    return np.bitwise_count(codes[:, 0] ^ code[0]) + np.bitwise_count(codes[:, 1] ^ code[1])


def _neighbours(codes: UInt64[np.ndarray, "n 2"], progress: Progress) -> Int64[np.ndarray, " n"]:
    """Count the hashes within the limit of each one: n² comparisons, in threads."""
    threads = usable_cores()
    parts = (slice(start, start + _PIECE) for start in range(0, len(codes), _PIECE))
    found: list[int] = []
    with closing(in_order(partial(_count_near, codes), parts, threads=threads, ahead=2 * threads)) as counted:
        for counts in counted:
            progress(_STAGE, len(found), 2 * len(codes))
            found += counts
    return np.array(found, np.int64)


def _count_near(codes: UInt64[np.ndarray, "n 2"], part: slice) -> list[int]:
    return [int(np.count_nonzero(_distances(code, codes) <= _MOST_BITS)) - 1 for code in codes[part]]
