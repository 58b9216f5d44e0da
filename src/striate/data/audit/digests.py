"""SHA-256 digests of decoded, upright pixels: they identify an image independently of its file format."""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import UInt8

from striate.data.images.decoded import ManyPixels, Pixels

DIGEST_BYTES = 32
_AT_ONCE = 1024  # images: the unit in which pixels that are not contiguous in memory are copied


def content_digest(pixels: Pixels, channels: tuple[str, ...], prepared: str = "") -> bytes:
    """Return SHA-256 of a line with shape, depth and channels, followed by `prepared` and the pixels.

    The pixels are little-endian, row by row. `prepared` is the tag of images that are prepared already: the same pixels
    without it are a different input. The same image has the same digest as a PNG, as a row of an IDX file and on any
    machine.
    """
    digest = hashlib.sha256(_heading(pixels.shape, pixels.dtype, channels) + prepared.encode())
    digest.update(_plain(pixels))
    return digest.digest()


def content_digests(pixels: ManyPixels, channels: tuple[str, ...]) -> UInt8[np.ndarray, "n 32"]:
    """Return the content digest of each row of an array of images."""
    heading = hashlib.sha256(_heading(pixels.shape[1:], pixels.dtype, channels))
    size = pixels[:1].nbytes
    found = bytearray()
    for start in range(0, len(pixels), _AT_ONCE):
        content = _plain(pixels[start : start + _AT_ONCE])
        for at in range(0, len(content), size):
            digest = heading.copy()
            digest.update(content[at : at + size])
            found += digest.digest()
    return np.frombuffer(bytes(found), np.uint8).reshape(len(pixels), DIGEST_BYTES)


def array_digest(pixels: ManyPixels, channels: tuple[str, ...]) -> str:
    """Return one SHA-256 of a whole array of images, in hexadecimal."""
    digest = hashlib.sha256(_heading(pixels.shape, pixels.dtype, channels))
    for start in range(0, len(pixels), _AT_ONCE):
        digest.update(_plain(pixels[start : start + _AT_ONCE]))
    return digest.hexdigest()


def _heading(shape: tuple[int, ...], dtype: np.dtype, channels: tuple[str, ...]) -> bytes:
    return f"{'×'.join(map(str, shape))} {np.dtype(dtype).name} {','.join(channels)}\n".encode()


def _plain(pixels: np.ndarray) -> memoryview:
    """Return the bytes of the pixels as contiguous little-endian numbers, in most cases without a copy."""
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).data.cast("B")


def first_of_equals(digests: UInt8[np.ndarray, "n 32"]) -> np.ndarray:
    """Return the index of the first digest equal to each one, which may be its own: int64, (n,)."""
    keys = np.ascontiguousarray(digests).view(f"V{DIGEST_BYTES}").reshape(-1)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)
