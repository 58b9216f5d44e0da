"""Images among which similar ones are searched: exactly in blocks, or by an approximate index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int, UInt8

from striate.core.errors import ConfigError, DataError
from striate.core.files import cache_folder
from striate.core.progress import Progress, silent
from striate.core.threads import usable_cores
from striate.data.dataset import Dataset, FileStore
from striate.data.loading.cache import find_bytes, keep, reserve
from striate.data.sources.opening import open_data
from striate.explaining.inspection.nearest import directions, nearest_rows
from striate.runs.feature_file import FeatureFile
from striate.runs.place_features import Block, PlaceFeatures

_ROWS = 1024  # compared at once
_LOOKED_AT = 128  # candidates of an approximate search, at least


@dataclass(frozen=True, eq=False)
class Gallery:
    """The images `index` of a data set, whose features are computed or, with `stored`, read from a file.

    `digests` are the content digests of all images of the data set; they are not needed with `stored`.
    """

    dataset: Dataset
    index: Int[np.ndarray, " n"]
    digests: UInt8[np.ndarray, "m 32"] | None = None
    stored: FeatureFile | None = None

    def blocks(self, read: PlaceFeatures, progress: Progress = silent) -> Iterator[Block]:
        """Yield the features of all images, block by block.

        Raises:
            ConfigError: the file has features of another network.
            DataError: an image cannot be read; the message names it.
        """
        if self.stored is None:
            assert self.digests is not None
            yield from read.blocks(self.dataset, self.index, self.digests, progress=progress)
            return
        if self.stored.origin.network != read.network_digest or self.stored.rows.shape[1] != read.width:
            raise ConfigError(
                f"{self.stored.path} has features of another network, or of other weights or another preparation. "
                f"Write it again with 'striate features'."
            )
        for start in range(0, len(self.index), _ROWS):
            part = slice(start, start + _ROWS)
            yield self.index[part], self.stored.rows[part].astype(np.float32)
            progress("comparing images", min(start + _ROWS, len(self.index)), len(self.index))

    def key(self, read: PlaceFeatures) -> str | None:
        """Return a digest of everything that the features depend on; None where they are not cached."""
        if self.stored is not None:
            return self.stored.digest
        assert self.digests is not None
        paths = [*read.paths(self.dataset, self.index, self.digests)]
        return None if None in paths else hashlib.sha256("\n".join(map(str, paths)).encode()).hexdigest()


def gallery_of(stored: FeatureFile, progress: Progress = silent) -> Gallery:
    """Return the images of a file of features.

    Raises:
        DataError: the data are no longer there, or have other images.
    """
    labels = stored.labels or ()
    if stored.origin.root:
        classes, targets = (
            np.unique(labels, return_inverse=True) if labels else ((), np.empty((len(stored.names), 0), bool))
        )
        store = FileStore(Path(stored.origin.root), list(stored.names))
        dataset = Dataset(stored.origin.source, store, tuple(map(str, classes)), targets)
        return Gallery(dataset, np.arange(len(store)), stored=stored)
    dataset = open_data(stored.origin.source, minimum_classes=1, progress=progress)
    if [dataset.store.name(each) for each in stored.index.tolist() if each < len(dataset)] != list(stored.names):
        raise DataError(f"{stored.origin.source} has changed since {stored.path} was written. Write the file again.")
    return Gallery(dataset, stored.index, stored=stored)


def search(
    gallery: Gallery,
    read: PlaceFeatures,
    wanted: Float32[np.ndarray, "q d"],
    count: int,
    *,
    approximate: bool = False,
    progress: Progress = silent,
) -> tuple[Int[np.ndarray, "q k"], Float32[np.ndarray, "q k"]]:
    """Return the indices of the `count` images most similar to each of `wanted`, and the cosine similarities.

    The search is exact in one pass over all blocks, or `approximate` by a graph (hierarchical navigable small worlds,
    Malkov and Yashunin 2016, arXiv:1603.09320) of features in half precision, which is built once and cached.

    Raises:
        ConfigError: usearch, which does the approximate search, is not installed; or as `Gallery.blocks`.
        DataError: an image cannot be read; the message names it.
        NotFiniteError: a feature is NaN or infinite.
    """
    if approximate:
        return _approximate(gallery, read, wanted, min(count, len(gallery.index)), progress)
    rows = (
        (index[start : start + _ROWS], torch.from_numpy(np.require(block[start : start + _ROWS], requirements="W")))
        for index, block in gallery.blocks(read, progress)
        for start in range(0, len(index), _ROWS)
    )
    best = nearest_rows(torch.from_numpy(wanted), rows, count)
    return best.index.numpy(), best.similarity.numpy()


def _approximate(
    gallery: Gallery, read: PlaceFeatures, wanted: np.ndarray, count: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    usearch = _usearch()
    key = gallery.key(read)
    path = None if key is None else cache_folder() / "graphs" / f"{key}-{version('usearch')}"
    content = None if path is None else find_bytes(path)
    if content is None:
        graph = _built(usearch, gallery, read, progress)
        if path is not None:
            saved = np.frombuffer(graph.save(), np.uint8)
            buffer, content = reserve(saved.shape, saved.dtype)
            content[:] = saved
            keep(path, buffer, content)
    else:
        graph = usearch.Index.restore(content, view=True)
    graph.expansion_search = max(_LOOKED_AT, 2 * count)
    found = graph.search(directions(torch.from_numpy(wanted)).numpy(), count, threads=usable_cores())
    keys, distances = np.atleast_2d(found.keys), np.atleast_2d(found.distances)
    return gallery.index[keys.astype(np.int64)], np.clip(1 - distances, -1, 1).astype(np.float32)


def _built(usearch: Any, gallery: Gallery, read: PlaceFeatures, progress: Progress) -> Any:
    graph, done = usearch.Index(ndim=read.width, metric="cos", dtype="f16"), 0
    for _, block in gallery.blocks(read, progress):
        for start in range(0, len(block), _ROWS):
            rows = directions(torch.from_numpy(np.require(block[start : start + _ROWS], requirements="W"))).numpy()
            graph.add(np.arange(done, done + len(rows)), rows, threads=usable_cores())
            done += len(rows)
            progress("building the index", done, len(gallery.index))
    return graph


def _usearch() -> Any:
    try:
        return import_module("usearch.index")
    except ImportError as error:
        raise ConfigError(
            "The approximate search needs usearch, which is not installed. Install it, or search exactly: "
            "pip install 'striate[approximate]'"
        ) from error
