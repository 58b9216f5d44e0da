"""Every picture of a data set looked at once: is it readable, how large, of what kind, and whom does it resemble."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped, UInt8

from striate.core.errors import StriateError
from striate.core.files import cache_folder, open_regular, write_atomically
from striate.core.progress import Progress, silent
from striate.data.audit.digests import array_digest, first_of_equals
from striate.data.audit.scan import scan
from striate.data.dataset import SPLITS, ArrayStore, Dataset, FileStore, Store
from striate.data.images.kinds import OTHER_CHANNELS, common_channels, left_out, named
from striate.data.images.reading import digests_of
from striate.data.program import program_digest

# A group of look-alikes larger than this share of the data says more about the data (blank pages, frames of one film)
# than about copies: it is reported, and does not bind the parts. Up to ten pictures are few in data of any size.
_LARGE_SHARE, _LARGE_COUNT = 0.01, 10.0


@dataclass(frozen=True, eq=False)
class Survey:
    """One row for each picture, under the data set's own indices; rows of unreadable pictures are zero or empty.

    `reasons`: why a picture is unreadable, in a word, else ""; `details`: more on it. `heights`, `widths`: of the
    upright picture, in pixels. `channels`: comma-separated. `maxima`: the stored value of full intensity. `modes`: how
    the file held it. `orientations`: the EXIF orientation that was undone. `digests`: SHA-256 of the decoded upright
    pixels. `visible`: SHA-256 of what these show, however it is stored (`striate.data.audit.visible`). `alike`: the
    representative of the picture's group of near duplicates (`striate.data.audit.duplicates`), equal ones included; the
    picture itself, where it has no group.
    """

    reasons: Shaped[np.ndarray, " n"]
    details: Shaped[np.ndarray, " n"]
    heights: Int64[np.ndarray, " n"]
    widths: Int64[np.ndarray, " n"]
    channels: Shaped[np.ndarray, " n"]
    maxima: Float64[np.ndarray, " n"]
    modes: Shaped[np.ndarray, " n"]
    orientations: Int64[np.ndarray, " n"]
    digests: UInt8[np.ndarray, "n 32"]
    visible: UInt8[np.ndarray, "n 32"]
    alike: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.reasons)

    @cached_property
    def readable(self) -> Bool[np.ndarray, " n"]:
        """Which pictures can be read."""
        return self.reasons == ""

    @cached_property
    def equal(self) -> Int64[np.ndarray, " n"]:
        """The first image that shows the same; the image itself, where it is the first or cannot be read."""
        return np.where(self.readable, first_of_equals(self.visible), np.arange(len(self)))

    @cached_property
    def together(self) -> Int64[np.ndarray, " n"]:
        """The group with which a picture stays in one part: `alike`, but for groups that are too large to bind."""
        sizes = np.bincount(self.alike, minlength=len(self))[self.alike]
        return np.where(sizes > large_group(len(self)), np.arange(len(self)), self.alike)


def survey(dataset: Dataset, *, channels: tuple[str, ...] | None = None, progress: Progress = silent) -> Survey:
    """Look at every picture of `dataset` once.

    An image that cannot be given `channels` (by default those of most of the data) counts as unreadable.

    The answer is kept in the cache folder under a digest of all the files' bytes (or of the array) and of the program
    that decodes: the same pictures are not decoded twice, whatever they are called, and changed ones always are.
    """
    key = _key(dataset.store, progress)
    path = cache_folder() / "surveys" / f"{key}.npz" if key else None
    known = _load(path, len(dataset)) if path else None
    if known:
        return _of_channels(known, channels)
    found = Survey(**scan(dataset.store, progress))
    if path and key == _key(dataset.store):  # else a file was changed meanwhile
        _keep(path, found)
    return _of_channels(found, channels)


def _of_channels(found: Survey, channels: tuple[str, ...] | None) -> Survey:
    """`found` with a reason for each readable image that cannot be given `channels`."""
    if not found.readable.any():
        return found
    wanted = channels or common_channels(found.channels[found.readable])
    odd = found.readable & left_out(found.channels, wanted)
    ending = f"; {'wanted' if channels else 'most have'}: {named(wanted)}"
    details = found.details.astype(object)
    details[odd] = [f"it has {named(tuple(kind.split(',')))}{ending}" for kind in found.channels[odd].tolist()]
    return replace(found, reasons=np.where(odd, OTHER_CHANNELS, found.reasons), details=details.astype(str))


def large_group(count: int) -> float:
    """The size above which a group of look-alikes among `count` pictures is reported and not used for splitting."""
    return max(_LARGE_COUNT, _LARGE_SHARE * count)


def data_digest(dataset: Dataset, survey: Survey) -> str:
    """SHA-256 of what is learnt from: pixels, class names and the parts the data bring, in the order of the indices."""
    part = np.full(len(dataset), len(SPLITS), np.uint8)
    for number, name in enumerate(SPLITS):
        part[dataset.splits.get(name, np.empty(0, np.int64))] = number
    digest = hashlib.sha256("\n".join(dataset.classes).encode())
    for column in (dataset.targets.astype("<i8"), part, survey.readable.astype(np.uint8), survey.digests):
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def _key(store: Store, progress: Progress = silent) -> str | None:
    """A digest of everything that the survey of `store` depends on; None for a store of a kind that has no bytes."""
    digest = hashlib.sha256(program_digest().encode())
    if isinstance(store, FileStore):
        for one in digests_of(store, np.arange(len(store)), progress):
            digest.update(f"\n{one}".encode())
    elif isinstance(store, ArrayStore):
        digest.update(array_digest(store.pixels, store.channels).encode())
    else:
        return None
    return digest.hexdigest()


def _load(path: Path, count: int) -> Survey | None:
    """The survey at `path`; None if there is none, or it is damaged (the archive holds a checksum of each column)."""
    try:
        # From memory: given a path, np.load leaves the file open where it turns out to be no archive.
        with open_regular(path) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as columns:
            found = Survey(**{field.name: columns[field.name] for field in fields(Survey)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return found if len(found) == count else None


def _keep(path: Path, found: Survey) -> None:
    """Write `found` to `path`. A cache is a favour: where it cannot be written, the survey is made again next time."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{field.name: getattr(found, field.name) for field in fields(Survey)})
    with suppress(StriateError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
