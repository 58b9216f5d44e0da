"""NumPy's npz: images and labels as named arrays; grey, RGB, or any number of channels."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from striate.core.archives import check_archive
from striate.core.errors import DataError
from striate.core.names import canonical
from striate.data.dataset import SPLITS, Dataset, Split
from striate.data.sources.arrays import Part, from_parts
from striate.data.sources.registry import SOURCES, Source, listed, natural_order
from striate.data.sources.splits import split_named

_IMAGES, _LABELS = ("images", "x"), ("labels", "y")
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)
_BySplit = dict[Split | None, np.ndarray]
_EXPECTED = (
    "It needs images (count×height×width, or ×channels after them) and labels (a number or a text for each, or a "
    "column of 0 and 1 for each class); or x_train, y_train, x_test, y_test; and may have classes (names in the order "
    "of the labels' numbers) and channels (their names)."
)


def recognises(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and path.is_file()


def open_npz(path: Path) -> Dataset:
    """Open an npz file.

    Images are named `images` or `x`, labels `labels` or `y`, with a split before or after (`x_train`, `train_images`).
    Labels are whole numbers or texts, one for each image; or a column for each class, 1 where an image has it and 0
    where it does not. Columns of which each image has exactly one are one-hot: they are read as numbers of classes.

    Raises:
        DataError: it is no npz file, arrays are missing or do not match, or are of a type that is not read.
    """
    arrays = _load(path)
    images, labels = _by_split(path, arrays, _IMAGES), _by_split(path, arrays, _LABELS)
    if not images or set(images) != set(labels):
        raise DataError(f"{path} holds the arrays {listed(list(arrays), 8) or 'none'}. {_EXPECTED}")
    flat: _BySplit = {split: _flat(path, array) for split, array in labels.items()}
    several = any(array.ndim == 2 for array in flat.values())
    classes, numbers = (_columns if several else _classes)(path, arrays.get("classes"), flat)
    parts = [Part(split, _pixels(path, images[split]), numbers[split]) for split in images]
    channels = tuple(_names(path, "channels", arrays["channels"])) if "channels" in arrays else None
    if channels and any("," in name for name in channels):
        raise DataError(f"{path} names the channels {' and '.join(map(repr, channels))}; a name has no comma.")
    if channels and len(channels) != parts[0].pixels.shape[3]:
        raise DataError(f"{path} names {len(channels)} channels; its images have {parts[0].pixels.shape[3]}.")
    return from_parts(path, parts, classes, channels)


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise DataError(f"{path} is no npz file, or is cut off.")
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive, DataError)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, EOFError, KeyError, MemoryError, OverflowError, RuntimeError, *_BROKEN) as error:
        if "Object arrays" in str(error):
            raise DataError(f"{path} holds Python objects, which are never loaded. Store plain arrays.") from error
        raise DataError(f"{path} is damaged ({error}).") from error
    return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}


def _by_split(path: Path, arrays: Mapping[str, np.ndarray], kinds: tuple[str, ...]) -> _BySplit:
    """Return the arrays of one kind by split, None for the one without, in the order of the splits."""
    names: dict[Split | None, str] = {}
    for name in arrays:
        words = name.lower().split("_")
        parts: list[Split] = [split for word in words if (split := split_named(word))]
        if len(words) == 1 + len(parts) and len(parts) <= 1 and set(words) & set(kinds):
            split: Split | None = parts[0] if parts else None
            if (other := names.setdefault(split, name)) != name:
                raise DataError(f"{path} holds {other} and {name}, which mean the same. Join them, or leave one out.")
    return {split: arrays[names[split]] for split in (None, *SPLITS) if split in names}


def _flat(path: Path, labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    columns = labels.ndim == 2 and labels.dtype.kind in "biuf" and bool(np.isin(labels, (0, 1)).all())
    if not columns and (labels.ndim != 1 or labels.dtype.kind not in "iuU"):
        raise DataError(
            f"{path}: labels are one whole number or one text for each image, or a column of 0 and 1 for each class; "
            f"received {labels.dtype} {labels.shape}."
        )
    return labels


def _columns(path: Path, names: np.ndarray | None, labels: _BySplit) -> tuple[list[str], _BySplit]:
    """Return the class names, and the columns of the classes, or the numbers of classes where they are one-hot."""
    shapes = {array.shape[1:] for array in labels.values()}
    if len(shapes) > 1:
        raise DataError(
            f"{path}: labels have the same number of columns in every split; received {listed(sorted(shapes))}."
        )
    (count,) = shapes.pop()
    classes = [str(number) for number in range(count)] if names is None else _names(path, "classes", names)
    if len(classes) != count:
        raise DataError(f"{path} names {len(classes)} classes; its labels have {count} columns. Name each column.")
    if all((array.sum(axis=1) == 1).all() for array in labels.values()):
        return classes, {split: array.argmax(axis=1).astype(np.int64) for split, array in labels.items()}
    return classes, {split: array != 0 for split, array in labels.items()}


def _classes(path: Path, names: np.ndarray | None, labels: _BySplit) -> tuple[list[str], _BySplit]:
    """Return the class names, and the labels as numbers among them.

    With `classes`, numbers are positions in it and keep its order; all other labels are names, in natural order.
    """
    named = None if names is None else _names(path, "classes", names)
    if named is not None and all(array.dtype.kind in "iu" for array in labels.values()):
        return named, {split: array.astype(np.int64) for split, array in labels.items()}
    texts: dict[Split | None, list[str]] = {split: _texts(path, array) for split, array in labels.items()}
    present = natural_order([text for array in texts.values() for text in array])
    classes = named if named is not None else present
    place = {name: number for number, name in enumerate(classes)}
    if unknown := [name for name in present if name not in place]:
        raise DataError(f"{path} holds labels that its classes do not: {listed(unknown)}.")
    numbers: _BySplit = {}
    for split, array in texts.items():
        numbers[split] = np.array([place[text] for text in array], dtype=np.int64)
    return classes, numbers


def _names(path: Path, what: str, array: np.ndarray) -> list[str]:
    names = _texts(path, array) if array.ndim == 1 and array.dtype.kind in "iuU" else []
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"{path}: {what} are different names, one after the other; received {array.dtype} {array.shape}."
        )
    return names


def _texts(path: Path, array: np.ndarray) -> list[str]:
    """Return the texts (or numbers) of an array as names in canonical form."""
    try:
        return [canonical(str(text)) for text in array.tolist()]
    except (ValueError, SystemError) as error:  # a code that is no character, which NumPy does not check
        raise DataError(f"{path} holds texts that are damaged ({error}).") from error


def _pixels(path: Path, array: np.ndarray) -> np.ndarray:
    """Convert an array to pixels (n, h, w, c) in uint8, uint16 or float32."""
    if array.ndim not in (3, 4) or not array.size:
        raise DataError(f"{path}: images are count×height×width or ×channels; received {array.shape}.")
    if array.ndim == 4 and array.shape[1] in (1, 3, 4) and array.shape[3] > 4:
        raise DataError(
            f"{path}: channels come last, count×height×width×channels; received {array.shape}, which looks as if they "
            "came first. Store images.transpose(0, 2, 3, 1)."
        )
    pixels = array if array.ndim == 4 else array[..., None]
    if pixels.dtype == bool:
        return pixels * np.uint8(255)
    if pixels.dtype.kind == "f":
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32, copy=False)
        if not np.isfinite(pixels).all():
            raise DataError(f"{path} holds values that are not finite numbers in float32.")
        return pixels
    if pixels.dtype.kind in "iu" and pixels.min() >= 0 and pixels.max() <= 65535:
        if pixels.dtype.itemsize == 2:
            return pixels.astype(np.uint16, copy=False)
        return pixels.astype(np.uint8 if pixels.max() <= 255 else np.uint16, copy=False)
    raise DataError(f"{path}: values are whole numbers from 0 to 65535 or floating ones; received {array.dtype}.")


SOURCES.add("npz", Source("an npz file with images and labels", recognises, open_npz))
