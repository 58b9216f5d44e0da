"""Public data sets with a name: found on this machine, or downloaded from their public addresses."""

from __future__ import annotations

import dataclasses
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from striate.core.download import Remote, fetch
from striate.core.errors import DataError, StriateError
from striate.core.files import cache_folder, make_folder, write_atomically
from striate.core.progress import Progress
from striate.data.dataset import Dataset
from striate.data.sources import cifar, idx
from striate.data.sources.named_registry import DATASETS, Named, NoOptions

_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
_FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)
_CIFAR = ("https://www.cs.toronto.edu/~kriz",)

_TRAIN_IMAGES, _TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST_IMAGES, _TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

# The order of the numbers in the label files (github.com/zalandoresearch/fashion-mnist).
_FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def _remote(name: str, bases: Sequence[str], size: int, digest: str) -> Remote:
    return Remote(name, tuple(f"{base}/{name}" for base in bases), size, digest)


MNIST_FILES = (
    _remote(_TRAIN_IMAGES, _MNIST, 9_912_422, "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    _remote(_TRAIN_LABELS, _MNIST, 28_881, "md5:d53e105ee54ea40749a09fcbcd1e9432"),
    _remote(_TEST_IMAGES, _MNIST, 1_648_877, "md5:9fb629c4189551a2d022fa330f9573f3"),
    _remote(_TEST_LABELS, _MNIST, 4_542, "md5:ec29112dd5afa0611ce80d1b7f02629c"),
)
FASHION_FILES = (
    _remote(_TRAIN_IMAGES, _FASHION, 26_421_880, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    _remote(_TRAIN_LABELS, _FASHION, 29_515, "md5:25c81989df183df01b3e8a0aad5dffbe"),
    _remote(_TEST_IMAGES, _FASHION, 4_422_102, "md5:bef4ecab320f06d8554ea6380940ec79"),
    _remote(_TEST_LABELS, _FASHION, 5_148, "md5:bb300cfdad3c16e7a12a480ee83cd310"),
)
CIFAR10_ARCHIVE = _remote("cifar-10-binary.tar.gz", _CIFAR, 170_052_171, "md5:c32a1d4ab5d03f1284b67883e8d87530")
CIFAR100_ARCHIVE = _remote("cifar-100-binary.tar.gz", _CIFAR, 168_513_733, "md5:03b5dce01913d631647c71ecec9e9cb8")


def data_folders() -> list[Path]:
    """Return the folders to search for named data, in order: `$STRIATE_DATA`, then the cache, the download folder."""
    chosen = os.environ.get("STRIATE_DATA")
    return [*([Path(os.path.expanduser(chosen))] if chosen else []), cache_folder() / "data"]


def _add_idx(name: str, title: str, remotes: Sequence[Remote], classes: Sequence[str] | None = None) -> None:
    def find() -> Path | None:
        """Return the folder that holds all four files, compressed or not.

        Files that are already there are used as they are: only downloads are checked against their digests.
        """
        for folder in data_folders():
            if all(_either(folder / name / remote.name) for remote in remotes):
                return folder / name
        return None

    def open_(_: NoOptions) -> Dataset:
        dataset = idx.open_idx(_found(find(), name))
        return dataclasses.replace(dataset, name=name, classes=tuple(classes or dataset.classes))

    def provide(progress: Progress) -> None:
        if find() is None:
            _fetch(name, remotes, progress)

    DATASETS.add(name, Named(title, open_, provide=provide, recipe="mnist"))


def _fetch(name: str, remotes: Sequence[Remote], progress: Progress) -> Path:
    """Download the files of a data set into the cache, and return the folder.

    Raises:
        DataError: the download failed; the message says what to do offline.
    """
    folder = cache_folder() / "data" / name
    try:
        make_folder(folder)
    except StriateError as error:
        raise DataError(f"{error} It is the one that STRIATE_CACHE names, or the cache folder of your home.") from error
    try:
        fetch(remotes, folder, progress=progress)
    except DataError as error:
        raise DataError(
            f"{error} Or, if {name} is on this machine already, say where: in the shell, "
            f"export STRIATE_DATA=/the/folder/that/holds/{name}"
        ) from error
    return folder


def _either(path: Path) -> bool:
    return os.path.exists(path) or os.path.exists(path.with_suffix(""))  # False in folders without permission


def _found(folder: Path | None, name: str) -> Path:
    if folder is None:
        folders = " nor under ".join(map(str, data_folders()))
        raise DataError(f"{name} is not on this machine: neither under {folders}. Set STRIATE_DATA to where it is.")
    return folder


def _add_cifar(name: str, title: str, layout: cifar.Layout, archive: Remote) -> None:
    def find() -> Path | None:
        """Return the unpacked folder in `<data>/<name>/` or in `<data>/` itself."""
        places = [place for folder in data_folders() for place in (folder / name, folder)]
        return next((found for place in places if (found := layout.find(place))), None)

    def open_(_: NoOptions) -> Dataset:
        return dataclasses.replace(cifar.open_cifar(_found(find(), name)), name=name)

    def provide(progress: Progress) -> None:
        if find() is None:
            folder = _fetch(name, [archive], progress)
            unpack(folder / archive.name, folder / layout.folder, layout.files)

    DATASETS.add(name, Named(title, open_, provide=provide, recipe="cifar"))


def unpack(archive: Path, folder: Path, files: Sequence[str]) -> None:
    """Extract `files` from `archive`, where they are in a folder named like `folder`, and remove the archive.

    Nothing else in it is extracted, so no path in it can lead elsewhere. The last file is written last, and only then
    does the folder count as complete.

    Raises:
        DataError: the archive cannot be read or lacks a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            for name in files:
                member = tar.extractfile(f"{folder.name}/{name}")
                if member is None:
                    raise KeyError(name)
                write_atomically(folder / name, member.read())
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise DataError(f"{archive} cannot be unpacked ({error}). Remove it, and it will be fetched again.") from error
    archive.unlink()


_add_idx("mnist", "70,000 handwritten digits, 28×28 (LeCun, Cortes and Burges, 1998)", MNIST_FILES)
_add_idx(
    "fashion-mnist",
    "70,000 pieces of clothing, 28×28 (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747)",
    FASHION_FILES,
    _FASHION_CLASSES,
)
_add_cifar("cifar10", "60,000 photos of 10 classes, 32×32 (Krizhevsky, 2009)", cifar.CIFAR10, CIFAR10_ARCHIVE)
_add_cifar("cifar100", "60,000 photos of 100 classes, 32×32 (Krizhevsky, 2009)", cifar.CIFAR100, CIFAR100_ARCHIVE)
