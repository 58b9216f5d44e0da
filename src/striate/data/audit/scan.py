"""Decode every picture of a store once, and note what a survey says of it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from striate.core.progress import Progress, silent
from striate.core.threads import in_order, usable_cores
from striate.data.audit.digests import DIGEST_BYTES, content_digest, content_digests, first_of_equals
from striate.data.audit.duplicates import SMALLEST_SIDE, stars, thumbnail, tint
from striate.data.audit.visible import visible
from striate.data.dataset import ArrayStore, Store
from striate.data.images.decode import Unreadable
from striate.data.images.decoded import NOTED, Pixels, full_intensity

Columns = dict[str, np.ndarray]

_STAGE = "looking through the images"
_REPORTED_EVERY = 100
_MOST_PIECES, _MOST_AT_ONCE = 1000, 64  # a list of a million files that are missing costs little more than its threads


@dataclass(frozen=True)
class Row:
    """What one picture says; the defaults are what an unreadable one says."""

    reasons: str = ""
    details: str = ""
    heights: int = 0
    widths: int = 0
    channels: str = ""
    maxima: float = 0.0
    modes: str = ""
    orientations: int = 0


@dataclass(frozen=True)
class _Looks:
    """By what images are compared: the digest of what is visible; of large ones a thumbnail and the tint."""

    digest: bytes
    thumbnail: np.ndarray | None = None
    tint: np.ndarray | None = None


def scan(store: Store, progress: Progress = silent) -> Columns:
    """Return the columns of a `Survey` of `store`."""
    columns, looks = _scan_array(store) if isinstance(store, ArrayStore) else _scan_each(store, progress)
    progress(_STAGE, len(store), len(store))
    columns["visible"] = _stacked([look.digest for look in looks])
    columns["alike"] = _alike(columns, looks, progress)
    return columns


def _scan_array(store: ArrayStore) -> tuple[Columns, list[_Looks]]:
    """All rows are of one kind, so only the digests (and thumbnails, of large images) need looking at each."""
    pixels = store.pixels
    height, width = pixels.shape[1:3]
    maximum = full_intensity(pixels.dtype)
    row = Row("", "", height, width, ",".join(store.channels), maximum, f"array {pixels.dtype}", 1)
    columns = {name: np.repeat(column, len(pixels)) for name, column in _columns([row]).items()}
    columns["digests"] = content_digests(pixels, store.channels)
    digests = [digest.tobytes() for digest in columns["digests"]]
    return columns, [_looks(*one, store.channels) for one in zip(digests, pixels, strict=True)]


def _scan_each(store: Store, progress: Progress) -> tuple[Columns, list[_Looks]]:
    """Decode in threads: the decoders release the interpreter lock."""
    rows: list[Row] = []
    digests: list[bytes] = []
    looks: list[_Looks] = []
    threads, count = usable_cores(), len(store)
    size = min(_MOST_AT_ONCE, 1 + count // _MOST_PIECES)
    parts = (range(start, min(start + size, count)) for start in range(0, count, size))
    with closing(in_order(partial(_look_at, store), parts, threads=threads, ahead=4 * threads)) as found:
        for part in found:
            reported = len(rows) // _REPORTED_EVERY
            for row, digest, look in part:
                rows.append(row)
                digests.append(digest)
                looks.append(look)
            if len(rows) // _REPORTED_EVERY > reported:
                progress(_STAGE, len(rows), count)
    columns = _columns(rows)
    columns["digests"] = _stacked(digests)
    return columns, looks


def _look_at(store: Store, part: range) -> list[tuple[Row, bytes, _Looks]]:
    return [_look(store, index) for index in part]


def _look(store: Store, index: int) -> tuple[Row, bytes, _Looks]:
    try:
        picture = store.read(index)
    except Unreadable as error:
        return Row(error.reason, error.detail), bytes(DIGEST_BYTES), _Looks(bytes(DIGEST_BYTES))
    height, width = picture.pixels.shape[:2]
    channels = ",".join(picture.channels)
    mode = f"{picture.mode}{NOTED}{picture.note}" if picture.note else picture.mode
    row = Row("", "", height, width, channels, picture.maximum, mode, picture.orientation)
    digest = content_digest(picture.pixels, picture.channels, picture.prepared)
    return row, digest, _looks(digest, picture.pixels, picture.channels, picture.prepared)


def _looks(digest: bytes, pixels: Pixels, channels: tuple[str, ...], prepared: str = "") -> _Looks:
    seen, names = visible(pixels, channels)
    if seen is not pixels:
        digest = content_digest(seen, names, prepared)
    if min(seen.shape[:2]) < SMALLEST_SIDE:
        return _Looks(digest)
    return _Looks(digest, thumbnail(seen), tint(seen))


def _stacked(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), DIGEST_BYTES)


def _columns(rows: list[Row]) -> Columns:
    return {
        field.name: np.array([getattr(row, field.name) for row in rows], dtype=type(field.default))
        for field in fields(Row)
    }


def _alike(columns: Columns, looks: list[_Looks], progress: Progress) -> np.ndarray:
    """Groups of near duplicates: stars among the images large enough, one of each kind of equal ones."""
    digests = columns["visible"]
    everyone = np.arange(len(digests))
    alike = np.where(columns["reasons"] == "", first_of_equals(digests), everyone)
    asked = np.array([at for at in everyone if looks[at].thumbnail is not None and alike[at] == at], np.int64)
    if len(asked):
        aspects = columns["widths"][asked] / columns["heights"][asked]
        order = np.argsort(np.ascontiguousarray(digests[asked]).view(f"S{DIGEST_BYTES}").reshape(-1), kind="stable")
        small, tints = (np.stack([getattr(looks[at], name) for at in asked]) for name in ("thumbnail", "tint"))
        alike[asked] = asked[stars(small, aspects, np.argsort(order), tints, progress)]
    return alike[alike]
