"""Which images a classifier has seen, by content: it is no test to judge it on them again."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from striate.core.errors import RunError
from striate.core.files import read_regular, write_atomically

_FILE = "images.npz"
_BYTES = 16  # of each SHA-256: two different images have one digest in 10³⁸


@dataclass(frozen=True, eq=False)
class SeenImages:
    """Content digests (see `striate.data.audit.digests`) of the images that a classifier was trained on, `train`,
    and of those by which its epoch and its temperature were chosen, `val`.

    The digests are of decoded pixels, so that a copy is known under any name, in any folder and in any lossless format.
    """

    train: UInt8[np.ndarray, "n b"]
    val: UInt8[np.ndarray, "m b"]

    def among(self, digests: UInt8[np.ndarray, "k d"]) -> tuple[Bool[np.ndarray, " k"], Bool[np.ndarray, " k"]]:
        """Which of the images with these `digests` were trained on, and which others were validated on."""
        wanted = _keys(digests)
        trained = np.isin(wanted, _keys(self.train))
        return trained, np.isin(wanted, _keys(self.val)) & ~trained

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
        """What `write` left in `folder`; None where it left nothing.

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
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise RunError(f"{path} is damaged ({error}). Restore it from a copy, or delete it.") from error
        return cls(train, val)


def _keys(digests: UInt8[np.ndarray, "n d"]) -> np.ndarray:
    """One comparable value for each digest."""
    return np.ascontiguousarray(digests[:, :_BYTES]).view(f"V{_BYTES}").reshape(-1)
