"""Files of features: npz, whose rows are read through a memory map, and Parquet."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from striate.core.errors import ConfigError, DataError
from striate.core.files import make_folder, replacing
from striate.explaining.inspection.features import Pooling

NumberType = Literal["float32", "float16"]
SUFFIXES = (".npz", ".parquet")
_FORMAT = "striate features 1"
_LOCAL_HEADER = 30  # bytes of a member's header in a zip archive, before its name (APPNOTE 4.3.7)


@dataclass(frozen=True, eq=False)
class FeatureOrigin:
    """What features were computed from: the place in the network, how maps were pooled, and the images.

    `network` is the digest of the network, its weights and its preparation. `source` is the data as they were named.
    `root` is the folder of images that are files, and empty for others.
    """

    place: str
    at: str | None
    pooling: Pooling
    network: str
    source: str
    root: str


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """Features of images in an npz file: a row for each image, in the order of the source.

    `rows` are mapped from the file, not read. `names` are the images, `labels` their classes, or None where they have
    none, and `index` their indices in the source. `digest` identifies the content, by the checksums of the archive.
    """

    path: Path
    origin: FeatureOrigin
    rows: Float[np.ndarray, "n d"]
    names: Sequence[str]
    labels: Sequence[str] | None
    index: Int[np.ndarray, " n"]
    digest: str


def check_suffix(path: Path) -> None:
    """Check that features can be written to `path`.

    Raises:
        ConfigError: its suffix is neither .npz nor .parquet, or pyarrow, which writes Parquet, is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"Features are written as .npz or .parquet; received {path.name!r}.")
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_features(
    path: Path,
    origin: FeatureOrigin,
    images: tuple[Sequence[str], Sequence[str] | None, Int[np.ndarray, " n"]],
    blocks: Iterable[Float[np.ndarray, "m d"]],
    width: int,
    number_type: NumberType,
) -> None:
    """Write features block by block; an error or an interruption leaves the file that was there before.

    `images` are the names, classes and indices of the images.

    Raises:
        ConfigError: a feature is too large for float16.
        StriateError: the folder cannot be written, or the disk is full.
    """
    make_folder(path.parent)
    with replacing(path) as file:
        write = _write_parquet if path.suffix.lower() == ".parquet" else _write_npz
        write(file, origin, images, (_converted(rows, number_type) for rows in blocks), width, np.dtype(number_type))


def _converted(rows: Float[np.ndarray, "m d"], number_type: NumberType) -> Float[np.ndarray, "m d"]:
    with np.errstate(over="ignore"):
        converted = rows.astype(number_type)
    if not np.isfinite(converted).all() and np.isfinite(rows).all():
        raise ConfigError(f"A feature of {np.abs(rows).max():g} is too large for float16: write float32.")
    return converted


def _write_npz(
    file: IO[bytes], origin: FeatureOrigin, images: Any, blocks: Iterator[np.ndarray], width: int, dtype: np.dtype
) -> None:
    names, labels, index = images
    columns = {"format": _FORMAT, "names": list(names), "index": index} | vars(origin) | {"at": origin.at or ""}
    if labels is not None:
        columns["labels"] = list(labels)
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open(zipfile.ZipInfo("features.npy"), "w", force_zip64=True) as member:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (len(names), width)}
            np.lib.format.write_array_header_2_0(member, header)
            for rows in blocks:
                member.write(np.ascontiguousarray(rows).data.cast("B"))
        for name, column in columns.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.array(column), allow_pickle=False)


def _write_parquet(
    file: IO[bytes], origin: FeatureOrigin, images: Any, blocks: Iterator[np.ndarray], width: int, dtype: np.dtype
) -> None:
    arrow, parquet = _pyarrow()
    names, labels, _ = images
    kind = arrow.list_(arrow.from_numpy_dtype(dtype), width)
    fields = [("image", arrow.string()), *([] if labels is None else [("class", arrow.string())]), ("features", kind)]
    schema = arrow.schema(fields, metadata={"striate": json.dumps({"format": _FORMAT} | vars(origin))})
    with parquet.ParquetWriter(file, schema) as writer:
        start = 0
        for rows in blocks:
            part = slice(start, start := start + len(rows))
            columns = [list(names[part]), *([] if labels is None else [list(labels[part])])]
            vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(rows.reshape(-1)), type=kind)
            writer.write_batch(arrow.record_batch([*map(arrow.array, columns), vectors], schema=schema))


def read_features(path: Path) -> FeatureFile:
    """Read what `write_features` wrote as npz; the rows are mapped.

    Raises:
        DataError: it is no such file, or it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            columns = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            rows = _mapped(path, columns["features"])
            sums = ((info.filename, info.CRC, info.file_size) for info in archive.infolist())
            digest = hashlib.sha256(repr([*sums]).encode()).hexdigest()
            found = {name: _column(archive, info) for name, info in columns.items() if name != "features"}
        if found["format"].item() != _FORMAT:
            raise ValueError(f"its format is {found['format'].item()!r}")
        text = {name: found[name].item() for name in ("place", "pooling", "network", "source", "root")}
        if text["pooling"] not in get_args(Pooling):
            raise ValueError(f"its maps are pooled by {text['pooling']!r}")
        origin = FeatureOrigin(at=found["at"].item() or None, **text)
        labels = found["labels"].tolist() if "labels" in found else None
        names, index = found["names"].tolist(), found["index"]
        if not len(rows) == len(names) == len(index) == len(names if labels is None else labels):
            raise ValueError("its columns differ in length")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no file of features, or it is damaged ({error}). Write it again.") from error
    return FeatureFile(path, origin, rows, names, labels, index, digest)


def read_rows(path: Path) -> Float[np.ndarray, "n d"]:
    """Return the rows of a file of features: of an npz file mapped, of a Parquet file read.

    Raises:
        ConfigError: it is a Parquet file, and pyarrow is not installed.
        DataError: it is no such file, or it is damaged.
    """
    if path.suffix.lower() != ".parquet":
        return read_features(path).rows
    arrow, parquet = _pyarrow()
    try:
        column = parquet.read_table(path, columns=["features"])["features"].combine_chunks()
    except (OSError, KeyError, arrow.ArrowException) as error:
        raise DataError(f"{path} is no file of features, or it is damaged ({error}). Write it again.") from error
    return column.values.to_numpy().reshape(len(column), -1)


def is_features(path: Path) -> bool:
    """Return whether this is an npz file of features, not of images."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"features.npy", "network.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _column(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _mapped(path: Path, info: zipfile.ZipInfo) -> np.ndarray:
    """Map the array of a member that is stored without compression."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its features are compressed")
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER)
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        file.seek(info.header_offset + _LOCAL_HEADER + lengths)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        if len(shape) != 2 or dtype.kind != "f":
            raise ValueError("its features are no rows of numbers")
        if not all(shape):
            raise ValueError("it has no features")
        return np.memmap(path, dtype, mode="r", offset=file.tell(), shape=shape)


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            "Parquet files are written by pyarrow, which is not installed. Install it, or write an .npz file: "
            "pip install 'striate[parquet]'"
        ) from error
