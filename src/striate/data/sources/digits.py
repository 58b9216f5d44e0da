"""`digits`: 1,797 handwritten digits of 8×8 pixels in the package, so that everything runs offline.

The test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
1998, https://doi.org/10.24432/C50P49), written by 13 people, under the Creative Commons Attribution 4.0 International
licence (CC BY 4.0). `digits.npz` holds the pixels and labels unchanged; `digits.txt` next to it repeats source and
terms.

A pixel there counts the ink in a block of 4×4, 0 to 16. 8-bit images have full intensity at 255 everywhere else, so the
counts are stretched to 0 … 255 and rounded: 17 values, each of which maps back to its count.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from striate.data.audit.digests import content_digests
from striate.data.dataset import ArrayStore, Dataset, Split, numbered
from striate.data.sources.named_registry import DATASETS, Named, NoOptions
from striate.data.split import by_content

_MOST_INK = 16


def digits(options: NoOptions | None = None) -> Dataset:
    """Open the digits with their fixed splits: 60 % train, 20 % val, 20 % test of each class, chosen by content."""
    with (
        (files("striate.data.sources") / "digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        ink, labels = archive["pixels"], archive["labels"].astype(np.int64)
    pixels = np.rint(ink * (255 / _MOST_INK)).astype(np.uint8)[..., None]
    store = ArrayStore(pixels, numbered("digit", len(pixels)))
    shares: dict[Split, float] = {"val": 0.2, "test": 0.2}
    placed = by_content(content_digests(pixels, store.channels), labels, shares)
    parts: dict[Split, np.ndarray] = {part: np.flatnonzero(placed == number) for number, part in enumerate(shares)}
    parts["train"] = np.flatnonzero(placed < 0)
    return Dataset("digits", store, tuple("0123456789"), labels, parts, source="digits")


DATASETS.add("digits", Named("1,797 handwritten digits, 8×8, in the package", digits, recipe="digits"))
