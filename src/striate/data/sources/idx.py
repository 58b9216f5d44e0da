"""The IDX format of MNIST and its descendants (yann.lecun.com/exdb/mnist), compressed with gzip or not."""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from pathlib import Path

import numpy as np

from striate.core.errors import DataError
from striate.core.files import open_regular
from striate.core.memory import available_memory
from striate.data.dataset import SPLITS, Dataset, Split
from striate.data.sources.arrays import Part, from_parts
from striate.data.sources.registry import SOURCES, Source

# "train-images-idx3-ubyte.gz", also with a dot before "idx3", as some tools unpack it
_IMAGES = re.compile(r"(?P<set>.*?)(?P<part>train|val|test|t10k)-images[-.]idx3-ubyte(\.gz)?")
_PARTS: dict[str, Split] = {"train": "train", "val": "val", "test": "test", "t10k": "test"}
_MOST_DIMENSIONS = 4
_USUAL_CLASSES = 1000  # more are plausible only if there are as many images
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def recognises(path: Path) -> bool:
    return path.is_dir() and bool(_image_files(path))


def open_idx(folder: Path) -> Dataset:
    """Open a folder of IDX files: `train-images-idx3-ubyte[.gz]`, `train-labels-idx1-ubyte[.gz]`, and `t10k-…` alike.

    The class names are their numbers.

    Raises:
        DataError: a file is missing, damaged or cut off, or images and labels do not match.
    """
    files = _image_files(folder)
    sets = sorted({match["set"] for match in files.values()})
    if len(sets) > 1:
        raise DataError(f"{folder} holds several data sets ({', '.join(sets)}). Put each one into a folder of its own.")
    if {"test", "t10k"} <= {match["part"] for match in files.values()}:
        raise DataError(f"{folder} holds test-images and t10k-images, which mean the same. Leave one of the two out.")
    found: dict[Split, Part] = {}
    for path, match in files.items():
        split = _PARTS[match["part"]]
        if split not in found:  # the folder may hold the same file with and without compression
            found[split] = Part(split, _images(path), _labels(_labels_file(path, match)))
    parts = [found[split] for split in SPLITS if split in found]
    most = max((int(part.targets.max()) for part in parts if len(part.targets)), default=0)
    if most >= max(_USUAL_CLASSES, sum(len(part.targets) for part in parts)):
        raise DataError(
            f"{folder} holds the label {most:,}, so it would have more classes than images. Labels are the numbers of "
            "the classes, from 0 without large gaps."
        )
    return from_parts(folder, parts, [str(number) for number in range(most + 1)])


def _image_files(folder: Path) -> dict[Path, re.Match[str]]:
    matches = {path: _IMAGES.fullmatch(path.name) for path in sorted(folder.iterdir())}
    return {path: match for path, match in matches.items() if match}


def _labels_file(images: Path, match: re.Match[str]) -> Path:
    stem = f"{match['set']}{match['part']}-labels"
    for ending in ("-idx1-ubyte", ".idx1-ubyte", "-idx1-ubyte.gz", ".idx1-ubyte.gz"):
        if (path := images.with_name(stem + ending)).exists():
            return path
    raise DataError(f"{images} has no labels next to it. Put {stem}-idx1-ubyte, or the same ending in .gz, there.")


def _images(path: Path) -> np.ndarray:
    array = read_idx(path)
    if array.ndim != 3 or array.dtype != np.uint8 or 0 in array.shape[1:]:
        raise DataError(f"{path} should hold 8-bit images (count×height×width); it holds {array.dtype} {array.shape}.")
    return array[..., None]


def _labels(path: Path) -> np.ndarray:
    array = read_idx(path)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{path} should hold one whole number for each image; it holds {array.dtype} {array.shape}.")
    return array.astype(np.int64)


def read_idx(path: Path) -> np.ndarray:
    """Read the array of one IDX file: two zero bytes, a type, the number of dimensions, their sizes, the values.

    Raises:
        DataError: it is no IDX file, it is damaged, or its length differs from its header.
    """
    try:
        with open_regular(path) as stored:
            if path.suffix != ".gz":
                return _read(path, stored)
            with gzip.open(stored) as file:
                return _read(path, file)
    except (EOFError, zlib.error, gzip.BadGzipFile, MemoryError, OverflowError, ValueError) as error:
        raise DataError(f"{path} is damaged or cut off ({error}). Get it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read(path: Path, file: io.BufferedIOBase) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not magic[3]:
        raise DataError(f"{path} is no IDX file: it begins with {magic.hex(' ') or 'nothing'}, not with 00 00.")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path} ends inside its header. Get it again.")
    shape = tuple(np.frombuffer(sizes, dtype=">u4").tolist())
    dtype = np.dtype(_TYPES[magic[2]])
    if len(shape) > _MOST_DIMENSIONS:
        raise DataError(f"{path} says that it has {len(shape)} dimensions; images have 3, and labels have 1.")
    expected = math.prod(shape) * dtype.itemsize
    if expected > available_memory():
        raise DataError(f"{path} says that it holds {expected:,} bytes, which is more than the memory that is free.")
    data = file.read(expected)
    if len(data) < expected or file.read(1):
        size = f"only {len(data):,}" if len(data) < expected else "more"
        raise DataError(
            f"{path} should hold {expected:,} bytes after its header ({shape}); it holds {size}. Get it again."
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


SOURCES.add("idx", Source("a folder of IDX files such as MNIST's, compressed or not", recognises, open_idx))
