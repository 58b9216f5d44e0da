"""The images of CIFAR-10 from the official binary batches, and what normalises them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

SIDE = 32
TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_RECORD = 1 + 3 * SIDE * SIDE  # bytes: the label, then red, green and blue


def read(folder: Path, names: Sequence[str] = TRAINING) -> tuple[np.ndarray, np.ndarray]:
    """Return images (count, 32, 32, 3) of 8 bits and labels (count,) of the batches of these names."""
    rows = np.concatenate([np.fromfile(folder / f"{name}.bin", np.uint8).reshape(-1, _RECORD) for name in names])
    images = rows[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0].astype(np.int64)
