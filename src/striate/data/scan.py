"""Decode every picture of a store once, and note what a survey says of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from striate.core.progress import Report
from striate.data.content import DIGEST_BYTES, content_digest, content_digests, first_of_equals
from striate.data.dataset import ArrayStore, Store
from striate.data.decode import Unreadable
from striate.data.duplicates import SMALLEST_SIDE, stars, thumbnail
from striate.data.picture import full_intensity
from striate.data.threads import in_order, usable_cores

Columns = dict[str, np.ndarray]

_TOLD_EVERY = 100


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


def scan(store: Store, progress: Report | None = None) -> Columns:
    """The columns of a `Survey` of `store`; `progress` is told how far it is."""
    columns, thumbnails = _scan_array(store) if isinstance(store, ArrayStore) else _scan_each(store, progress)
    if progress:
        progress(len(store), len(store))
    columns["alike"] = _alike(columns, thumbnails, progress)
    return columns


def _scan_array(store: ArrayStore) -> tuple[Columns, list[np.ndarray | None]]:
    """All rows are of one kind, so only the digests (and thumbnails, of large pictures) need looking at each."""
    pixels = store.pixels
    height, width = pixels.shape[1:3]
    maximum = full_intensity(pixels.dtype)
    row = Row("", "", height, width, ",".join(store.channels), maximum, f"array {pixels.dtype}", 1)
    columns = {name: np.repeat(column, len(pixels)) for name, column in _columns([row]).items()}
    columns["digests"] = content_digests(pixels, store.channels)
    if min(height, width) < SMALLEST_SIDE:
        return columns, [None] * len(pixels)
    return columns, [thumbnail(picture, store.channels) for picture in pixels]


def _scan_each(store: Store, progress: Report | None) -> tuple[Columns, list[np.ndarray | None]]:
    """Decode in threads: the decoders release the interpreter lock."""
    rows: list[Row] = []
    digests: list[bytes] = []
    thumbnails: list[np.ndarray | None] = []
    threads = usable_cores()
    for row, digest, small in in_order(partial(_look, store), range(len(store)), threads=threads, ahead=4 * threads):
        rows.append(row)
        digests.append(digest)
        thumbnails.append(small)
        if progress and len(rows) % _TOLD_EVERY == 0:
            progress(len(rows), len(store))
    columns = _columns(rows)
    columns["digests"] = np.frombuffer(b"".join(digests), np.uint8).reshape(len(rows), DIGEST_BYTES)
    return columns, thumbnails


def _look(store: Store, index: int) -> tuple[Row, bytes, np.ndarray | None]:
    try:
        picture = store.read(index)
    except Unreadable as error:
        return Row(error.reason, error.detail), bytes(DIGEST_BYTES), None
    height, width = picture.pixels.shape[:2]
    channels = ",".join(picture.channels)
    row = Row("", "", height, width, channels, picture.maximum, picture.mode, picture.orientation)
    digest = content_digest(picture.pixels, picture.channels, picture.prepared)
    large = min(height, width) >= SMALLEST_SIDE
    return row, digest, thumbnail(picture.pixels, picture.channels) if large else None


def _columns(rows: list[Row]) -> Columns:
    return {
        field.name: np.array([getattr(row, field.name) for row in rows], dtype=type(field.default))
        for field in fields(Row)
    }


def _alike(columns: Columns, thumbnails: list[np.ndarray | None], progress: Report | None) -> np.ndarray:
    """Groups of near duplicates: stars among the pictures large enough, one of each kind of equal ones."""
    digests = columns["digests"]
    everyone = np.arange(len(digests))
    alike = np.where(columns["reasons"] == "", first_of_equals(digests), everyone)
    asked = np.array([index for index in everyone if thumbnails[index] is not None and alike[index] == index], np.int64)
    if len(asked):
        aspects = columns["widths"][asked] / columns["heights"][asked]
        order = np.argsort(np.ascontiguousarray(digests[asked]).view(f"S{DIGEST_BYTES}").reshape(-1), kind="stable")
        small = np.stack([thumbnails[index] for index in asked])
        told = partial(_comparing, progress) if progress else None
        alike[asked] = asked[stars(small, aspects, np.argsort(order), told)]
    return alike[alike]


def _comparing(progress: Report, done: int, total: int) -> None:
    progress(done, total, "comparing pictures")
