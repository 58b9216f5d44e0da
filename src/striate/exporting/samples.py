"""Images of the data that a classifier was trained on, prepared for its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from striate.core.spec import InputSpec
from striate.data.dataset import Store
from striate.data.preparation.arrays import prepare


class PreparedImages(Sequence[np.ndarray]):
    """The images `indices` of a data set, each decoded completely and prepared when it is read."""

    def __init__(self, store: Store, indices: Int[np.ndarray, " n"], spec: InputSpec) -> None:
        self._store, self._indices, self._spec = store, indices, replace(spec, decode_scale=0.0)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, number: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride] (no slices)
        return prepare(self._store.read(int(self._indices[number])), self._spec)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Prepared images of the validation split, and the number of the class of each."""

    images: Sequence[np.ndarray]
    targets: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Prepared images by which it is measured how fast, and how well, a classifier runs.

    `calibration`: of the training split. `held_out`: of the validation split; None where there is none.
    """

    calibration: Sequence[np.ndarray]
    held_out: HeldOut | None = None

    def few(self, most: int) -> np.ndarray:
        """Return `most` of the images as a batch, held-out ones where there are any."""
        images = self.held_out.images if self.held_out else self.calibration
        return np.stack([images[number] for number in range(min(most, len(images)))])
