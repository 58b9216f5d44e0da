"""Parts of real data sets, in the layout of the whole."""

from __future__ import annotations

import gzip
from pathlib import Path


def first_images(folder: Path, out: Path, train: int, test: int) -> Path:
    """Write the first images of the files of MNIST or Fashion-MNIST into files of the same layout in a new folder."""
    out.mkdir()
    for path in folder.glob("*-ubyte.gz"):
        content = gzip.decompress(path.read_bytes())
        start = 4 + 4 * content[3]  # after the number of dimensions, each has four bytes
        kept = train if path.name.startswith("train") else test
        size = (len(content) - start) // int.from_bytes(content[4:8], "big")
        header = content[:4] + kept.to_bytes(4, "big") + content[8:start]
        (out / path.name).write_bytes(gzip.compress(header + content[start : start + kept * size], 1))
    return out
