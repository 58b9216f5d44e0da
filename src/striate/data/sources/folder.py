"""A folder with a folder of images for each class, with or without `train/`, `val/` and `test/` above them."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

from striate.core.errors import DataError
from striate.data.dataset import Dataset, FileStore, Split
from striate.data.sources import cifar, idx, shards
from striate.data.sources.layout import Layout, lay_out
from striate.data.sources.registry import SOURCES, Source, by_label, listed
from striate.data.sources.tree import Tree, read_tree


def recognises(path: Path) -> bool:
    return path.is_dir() and not any(kind.recognises(path) for kind in (idx, cifar, shards))


def open_folder(root: Path) -> Dataset:
    """Open a folder of class folders.

    The class of an image is the name of the folder directly below the root, or below the folder of a split (the usual
    spellings of train, val and test are known); folders inside it only order the images, or are splits themselves in
    all classes (`cat/train`). Symbolic links are followed. Names that begin with a dot are skipped. Files without the
    suffix of an image, images outside of any class folder, class folders without images, and folders that cannot be
    listed are skipped and noted.

    Raises:
        DataError: there are no class folders with images, the folders that are splits are ambiguous, or the folder
            cannot be listed.
    """
    try:
        tree = read_tree(root)
    except OSError as error:
        raise DataError(f"{root} cannot be listed: {error.strerror or error}.") from error
    layout = lay_out(tree.root, root)
    paths: list[str] = []
    labels: list[str] = []
    splits: list[Split | None] = []
    for member in layout.members:
        images = list(member.folder.images())
        paths += images
        labels += [member.label] * len(images)
        splits.extend(repeat(member.split, len(images)))
    if not paths:
        raise _nothing(root, tree, layout)
    return by_label(root, FileStore(root, paths), labels, splits, _notes(layout), _cautions(tree, layout))


def _notes(found: Layout) -> list[str]:
    kinds = (
        (found.others, "without the suffix of an image, skipped"),
        (found.outside, "outside of any class folder, skipped"),
        (found.empty, "a class folder without images, skipped"),
    )
    return [f"{len(names):,} × {what}: {listed(names)}." for names, what in kinds if names]


def _cautions(tree: Tree, found: Layout) -> list[str]:
    closed = [f"{len(tree.closed):,} × a folder that cannot be listed, skipped: {listed(tree.closed)}."]
    return [*found.cautions, *(closed if tree.closed else [])]


def _nothing(root: Path, tree: Tree, found: Layout) -> DataError:
    wanted = f"Put the images of each class into a folder of its own, as in {root.name or root}/cat/1.jpg"
    if tree.closed:
        return DataError(f"{root} holds no images that can be reached: {listed(tree.closed)}.")
    if found.outside:
        return DataError(
            f"{root} holds {len(found.outside):,} images but no class folders. {wanted}, or list them in a CSV file "
            "with the columns path and label."
        )
    if found.others:
        return DataError(f"{root} holds no images, only files such as {listed(found.others)}. {wanted}.")
    return DataError(f"{root} holds no images. {wanted}.")


SOURCES.add("folder", Source("a folder with a folder of images for each class", recognises, open_folder))
