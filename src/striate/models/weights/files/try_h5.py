"""A program: read all of an HDF5 file on standard input, as the HDF5 library may crash on a damaged one.

It runs by its path in a separate process, and imports nothing of Striate. Its argument is the largest number of bytes
that an array may have. It ends by a signal where the library crashes; other errors are left to the reader.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

import h5py


def main(most: int) -> None:
    """Read attributes and arrays of standard input."""

    def read(_: str, node: Any) -> None:
        with contextlib.suppress(Exception):
            dict(node.attrs)
        with contextlib.suppress(Exception):
            if isinstance(node, h5py.Dataset) and not (node.is_virtual or node.external) and node.nbytes <= most:
                node[()]

    with contextlib.suppress(Exception), h5py.File(io.BytesIO(sys.stdin.buffer.read()), "r") as file:
        read("", file)
        file.visititems(read)


if __name__ == "__main__":
    main(int(sys.argv[1]))
