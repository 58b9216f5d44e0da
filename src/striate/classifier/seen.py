"""Digests of the images of a classifier's training, which must not be part of a test."""

from __future__ import annotations

import io
import tokenize
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from striate.core.errors import RunError
from striate.core.files import read_regular, write_atomically
from striate.data.audit.duplicates import Appearances

_FILE = "images.npz"
_DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, tokenize.TokenError, zipfile.BadZipFile)
_BYTES = 16  # of each SHA-256: two different images share a digest with probability 3e-39


@dataclass(frozen=True, eq=False)
class SeenImages:
    """Content digests of the training and validation images of a classifier.

    `train`: the images of the training; `val`: the images that selected the epoch and the temperature. The digests
    (`striate.data.audit.visible`) are of decoded pixels, so that a copy is recognized under any name, in any folder and
    in any lossless format. `appearances` of both recognize copies that were resized or compressed again; they show the
    images, and so are never written into the classifier's folder, which may be published. None: they are not known.
    """

    train: UInt8[np.ndarray, "n b"]
    val: UInt8[np.ndarray, "m b"]
    appearances: Appearances | None = None

    def among(self, digests: UInt8[np.ndarray, "k d"]) -> tuple[Bool[np.ndarray, " k"], Bool[np.ndarray, " k"]]:
        """Return two masks over `digests`: images in `train`, and images in `val` that are not in `train`."""
        wanted = _keys(digests)
        trained = np.isin(wanted, _keys(self.train))
        return trained, np.isin(wanted, _keys(self.val)) & ~trained

    @classmethod
    def together(cls, parts: Sequence[SeenImages | None]) -> SeenImages | None:
        """Return all images of `parts`; None where one of them is not known. `appearances` are known if all are."""
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        looks = [part.appearances for part in known if part.appearances is not None]
        return cls(
            np.concatenate([part.train[:, :_BYTES] for part in known]),
            np.concatenate([part.val[:, :_BYTES] for part in known]),
            Appearances.together(looks) if len(looks) == len(known) else None,
        )

    def write(self, folder: Path) -> None:
        """Write `images.npz` into the classifier's `folder`.

        Raises:
            RunError: the folder cannot be written, or the disk is full.
        """
        buffer = io.BytesIO()
        np.savez(buffer, train=self.train[:, :_BYTES], val=self.val[:, :_BYTES])
        write_atomically(folder / _FILE, buffer.getvalue())

    @classmethod
    def read(cls, folder: Path) -> SeenImages | None:
        """Read `images.npz` from `folder`; None if it does not exist.

        Raises:
            RunError: the file is damaged.
        """
        path = folder / _FILE
        if not path.exists():
            return None
        try:
            with np.load(io.BytesIO(read_regular(path)), allow_pickle=False) as columns:
                train, val = columns["train"], columns["val"]
            if any(part.dtype != np.uint8 or part.ndim != 2 or part.shape[1] != _BYTES for part in (train, val)):
                raise ValueError("its digests are of another form")
        except _DAMAGED as error:
            raise RunError(f"{path} is damaged ({error}). Restore it from a copy, or delete it.") from error
        return cls(train, val)


def _keys(digests: UInt8[np.ndarray, "n d"]) -> np.ndarray:
    """Return one comparable value for each digest."""
    return np.ascontiguousarray(digests[:, :_BYTES]).view(f"V{_BYTES}").reshape(-1)
