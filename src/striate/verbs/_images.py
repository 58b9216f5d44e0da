"""The images that a verb works on: files, folders, patterns, a list on standard input, one after another."""

from __future__ import annotations

import glob
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from striate.core.errors import DataError
from striate.core.files import expanded
from striate.core.registry import natural_key
from striate.data.sources.text import Finder, decode_text

if TYPE_CHECKING:
    from striate.classifier import Failure
    from striate.core.progress import Progress
    from striate.data.dataset import Dataset
    from striate.predicting import ListedImage

Image = TypeVar("Image")
Result = TypeVar("Result")


def each(
    images: Iterable[tuple[str, Image]],
    work: Callable[[Image, str], Result],
    on_result: Callable[[Result | Failure], None] | None = None,
) -> list[Result | Failure]:
    """Return `work(image, name)` for each image and its name; one that cannot be read or is refused gives a `Failure`.

    `on_result` receives each result as soon as it is there.
    """
    from striate.classifier import Failure
    from striate.data.images.decode import Unreadable

    results: list[Result | Failure] = []
    for name, image in images:
        try:
            result: Result | Failure = work(image, name)
        except Unreadable as error:
            result = Failure(name, error.why)
        except DataError as error:
            result = Failure(name, str(error).rstrip("."))
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def named(images: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield every image with its name: files by their paths (see `expand`), others by their number.

    Lists and other iterables of images, and arrays and tensors of four dimensions, are several images.
    """
    from striate.classifier.images import many

    if not images:
        yield from ((str(path), path) for path in expand(()))
    number = 0
    waiting = [iter(images)]
    while waiting:
        for given in waiting[-1]:
            if isinstance(given, (str, os.PathLike)):
                yield from _in(os.fspath(given))
            elif many(given) and isinstance(given, Iterable):
                waiting.append(iter(given))
                break
            else:
                number += 1
                yield f"image {number}", given
        else:
            waiting.pop()


def _in(given: str) -> Iterator[tuple[str, Path | bytes]]:
    """Yield the files that `given` stands for, or the bytes of the images in shards, each with its name."""
    from striate.data.sources import shards

    path = expanded(given)
    exists = os.path.lexists(path)
    if (exists and shards.recognises(path)) or (not exists and shards.is_pattern(given)):
        store = shards.open_unlabelled(path)
        yield from ((store.name(number), store.content(number)) for number in range(len(store)))
    else:
        yield from ((str(file), file) for file in expand((given,)))


def expand(images: Iterable[str | Path]) -> Iterator[Path]:
    """Yield the files that `images` stands for, in its order; those of a folder in natural order.

    The path of a file that does not exist is yielded too, so that it is reported with the others that cannot be read. A
    name in another Unicode form than the file's finds the file.

    Raises:
        DataError: a folder cannot be listed or holds no image, a pattern matches nothing, or something is a URL.
    """
    if not images:
        raise DataError("Name at least one image, folder or pattern, or - for a list on standard input.")
    finder = Finder()
    for given in images:
        files = _listed() if str(given) == "-" else _meant(given, finder)
        if not files:
            raise DataError(f"{given} holds no image.")
        yield from (finder.find(path) for path in files)


def listed(images: Sequence[str | Path], names: Sequence[str] = ()) -> Iterator[ListedImage]:
    """Yield the images that `images` stands for, each with the place from which any process reads it by itself.

    `names` are those on standard input, for -.

    Raises:
        ConfigError: a file system is not known, or its library is not installed.
        DataError: as for `expand`; or a bucket cannot be listed.
    """
    from striate.data.sources import shards
    from striate.data.sources.bucket import images_in_bucket, is_bucket
    from striate.predicting import ListedImage

    finder = Finder()
    for given in images:
        path = expanded(given)
        exists = os.path.lexists(path)
        if str(given) == "-":
            for name in names:
                place = name if is_bucket(name) else os.path.abspath(finder.find(Path(name)))
                yield ListedImage(name, place)
        elif is_bucket(given):
            urls = list(images_in_bucket(str(given)))
            if not urls:
                raise DataError(f"{given} holds no image.")
            yield from (ListedImage(url, url) for url in urls)
        elif (exists and shards.recognises(path)) or (not exists and shards.is_pattern(str(given))):
            store = shards.open_unlabelled(path)
            for number in range(len(store)):
                archive, member = store.place(number)
                yield ListedImage(store.name(number), os.path.abspath(archive), member)
        else:
            yield from (ListedImage(str(file), os.path.abspath(file)) for file in expand((given,)))


def identities(images: Sequence[str | Path], names: Sequence[str]) -> list[str]:
    """Return what identifies each of `images` in any working folder; `names` are those on standard input, for -."""
    from striate.data.sources.bucket import is_bucket

    digest = hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()
    return [
        f"a list {digest}"
        if str(image) == "-"
        else str(image)
        if is_bucket(image)
        else os.path.abspath(expanded(image))
        for image in images
    ]


def labelled_or_not(sources: Sequence[str | Path], progress: Progress) -> Dataset:
    """Open images whose classes may be unknown.

    A single source is data in any form that 'train' takes. A folder without class folders, patterns, and image files
    are images without classes.

    Raises:
        DataError: there is no image, or the data are invalid.
    """
    import numpy as np

    from striate.data.dataset import Dataset, FileStore
    from striate.data.images.decode import SUFFIXES
    from striate.data.sources.opening import is_named, open_data

    if len(sources) == 1:
        source = sources[0]
        text, path = str(source), expanded(source)
        pattern = text == "-" or (glob.has_magic(text) and not os.path.lexists(path))
        if is_named(source) or not (pattern or path.suffix.lower() in SUFFIXES):
            try:
                return open_data(source, minimum_classes=1, progress=progress)
            except DataError:
                if is_named(source) or not os.path.isdir(path):
                    raise
    files = [str(file) for file in expand(sources)]
    name = Path(sources[0]).name if len(sources) == 1 and os.path.isdir(sources[0]) else "images"
    source = " ".join(map(str, sources))
    return Dataset(name, FileStore(Path(), files), (), np.empty((len(files), 0), bool), source=source)


def _meant(given: str | Path, finder: Finder) -> list[Path]:
    from striate.data.sources.opening import refuse_url
    from striate.data.sources.tree import images_in

    refuse_url(given)
    text, path = str(given), finder.find(Path(given))
    if os.path.isdir(path):
        try:
            return images_in(path)
        except OSError as error:
            raise DataError(f"{path} cannot be listed: {error.strerror or error}.") from error
    if os.path.lexists(path) or not glob.has_magic(text):
        return [path]
    return [Path(match) for match in sorted(glob.glob(text, recursive=True), key=natural_key)]


def _listed() -> list[Path]:
    """Return the files that standard input lists.

    Raises:
        DataError: one is a URL.
    """
    from striate.data.sources.opening import refuse_url

    names = names_listed()
    for name in names:
        refuse_url(name)
    return [Path(name) for name in names]


def names_listed() -> list[str]:
    """Return the names on standard input: one per line, or ended by zero bytes, as `find -print0` writes them.

    A line that is not UTF-8 is a file name too; its bytes are kept.
    """
    source = getattr(sys.stdin, "buffer", None)
    text = sys.stdin.read() if source is None else decode_text(source.read(), errors="surrogateescape")
    lines = text.split("\0") if "\0" in text else [line.rstrip("\r") for line in text.split("\n")]
    return [name.removeprefix("\ufeff") for name in lines if name.strip()]
