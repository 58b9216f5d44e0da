"""The first images of a data set, as a data set of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from striate.data.sources.opening import open_data


def subset(source: Path, file: Path, *, train: int, test: int | None = None) -> Path:
    """Write the first `train` and `test` images of the official splits as npz, unless the file is there.

    `test=None` takes all of them.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        dataset = open_data(str(source))
        arrays: dict[str, np.ndarray] = {}
        for name, chosen in (("train", dataset.splits["train"][:train]), ("test", dataset.splits["test"][:test])):
            arrays[f"x_{name}"] = np.stack([dataset.store.read(int(number)).pixels for number in chosen])
            arrays[f"y_{name}"] = dataset.targets[chosen]
        np.savez(file, allow_pickle=False, **arrays)
    return file
