"""Recognise images that a classifier has seen in its training, also after they were resized or compressed again."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from striate.classifier import SeenImages
from striate.core.errors import RunError
from striate.core.files import read_regular, write_atomically
from striate.core.progress import Progress, silent
from striate.data.audit.duplicates import TINT, Appearances
from striate.data.audit.index import ImageIndex
from striate.data.dataset import Splits


@dataclass(frozen=True)
class Seen:
    """How many images of an evaluation the classifier had seen before.

    `training`: images that it was trained on. `validation`: others, by which its epoch and its temperature were
    chosen. `alike`: other images that look like one of both, such as copies that were resized or compressed again; None
    where only pixels were compared. `left_out`: they are not among those evaluated.
    """

    training: int
    validation: int
    left_out: bool
    alike: int | None = None

    @property
    def total(self) -> int:
        """Number of images seen before."""
        return self.training + self.validation + (self.alike or 0)

    def __str__(self) -> str:
        alike = f", {self.alike:,} that look like one of them" if self.alike else ""
        return f"{self.training:,} in training, {self.validation:,} in validation{alike}"


def seen_images(index: ImageIndex, splits: Splits) -> SeenImages:
    """Return what identifies the images of the training and validation splits.

    Images of a large group of near duplicates (blank pages, frames of one film) have no appearances: such a group may
    be divided between the splits.
    """
    seen = np.concatenate([splits["train"], splits["val"]])
    alone = seen[(index.inseparable == index.near_duplicate_of)[seen]]
    return SeenImages(index.visible[splits["train"]], index.visible[splits["val"]], index.appearances(alone)[1])


def sort_out(
    images: SeenImages | None,
    indices: np.ndarray,
    index: ImageIndex | None,
    *,
    keep: bool,
    progress: Progress = silent,
) -> tuple[np.ndarray, Seen | None]:
    """Return those of `indices` that are evaluated, and how many of them the classifier had seen.

    Seen images are left out unless `keep`. Where `images` or `index` is None, nothing is left out.
    """
    if images is None or index is None:
        return indices, None
    # The digests of a classifier may be those of the stored pixels; for most images they equal the visible ones.
    known = [images.among(digests[indices]) for digests in (index.visible, index.digests)]
    trained = known[0][0] | known[1][0]
    validated = (known[0][1] | known[1][1]) & ~trained
    before = trained | validated
    alike = None
    if images.appearances is not None:
        others, appearances = index.appearances(indices[~before])
        copies = np.isin(indices, others[appearances.copied_from(images.appearances, progress)])
        before, alike = before | copies, int(copies.sum())
    seen = Seen(int(trained.sum()), int(validated.sum()), left_out=not keep, alike=alike)
    return indices if keep else indices[~before], seen


def write_appearances(path: Path, appearances: Appearances | None) -> None:
    """Write `thumbnails.npz` of a run.

    Raises:
        RunError: the file cannot be written, or the disk is full.
    """
    if appearances is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, thumbnails=appearances.thumbnails, tints=appearances.tints)
        write_atomically(path, buffer.getvalue())


def read_appearances(path: Path) -> Appearances | None:
    """Read what `write_appearances` wrote; None where there is no file.

    Raises:
        RunError: the file is damaged.
    """
    try:
        with np.load(io.BytesIO(read_regular(path)), allow_pickle=False) as columns:
            found = Appearances(columns["thumbnails"], columns["tints"])
        if found.thumbnails.dtype != np.uint8 or found.tints.dtype != np.int8 or found.thumbnails.ndim != 3:
            raise ValueError("its thumbnails are of another form")
        if found.tints.shape != (len(found), *TINT):
            raise ValueError("its tints are of another form")
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"{path} is damaged ({error}). Restore it from a copy, or delete it.") from error
