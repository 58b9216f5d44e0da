"""MNIST from its idx files, for sides that bring no reader of their own that works beside every build of torch."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

MEAN, STD = 0.1307, 0.3081
"""Of the training pixels in shares of full intensity, as the examples of most libraries state them."""


def read(folder: str | Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The images (n, 28, 28) and labels (n,) of `train` or `t10k`, both uint8."""
    images = _idx(Path(folder) / f"{part}-images-idx3-ubyte.gz", header=16).reshape(-1, 28, 28)
    return images, _idx(Path(folder) / f"{part}-labels-idx1-ubyte.gz", header=8)


def _idx(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header).copy()
