"""Features of many images at any place of a classifier's network, in blocks that are computed once.

A block is cached by the content of its images. So memory is bounded by one block, an interrupted computation continues
with the first block that is missing, and an edited image computes its own block again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor, nn

from striate.classifier import Classifier
from striate.core.progress import Progress, silent
from striate.core.rng import Stream
from striate.data.dataset import Dataset
from striate.data.loading.cache import find, keep, reserve
from striate.data.loading.loader import Loader
from striate.explaining.inspection.features import Pooling, ReadFeatures, reading_features
from striate.hooks import PlaceError
from striate.models import Network
from striate.runs.features import FeatureCache, network_digest
from striate.tracing import fold

_BATCH = 32
_BLOCK = 64 * _BATCH  # images, of at most
_BLOCK_BYTES = 1 << 26
_TOLERANCE = 1e-3  # of the largest feature; folding changes the rounding

Block = tuple[Int[np.ndarray, " n"], Float32[np.ndarray, "n d"]]
"""Indices of images in their data set, and their features."""


@dataclass(frozen=True, eq=False)
class PlaceFeatures:
    """Features at the place `place`, `width` for each image; `at` is None for the input of the last layer.

    The fields are valid within the block of `place_features`.
    """

    classifier: Classifier
    at: str | None
    place: str
    pooling: Pooling
    width: int
    _read: ReadFeatures

    def of(self, images: Float[Tensor, "n c h w"]) -> Float32[np.ndarray, "n d"]:
        """Compute the features of prepared images."""
        return self._read(images).float().numpy()

    def blocks(
        self,
        dataset: Dataset,
        index: Int[np.ndarray, " n"],
        digests: UInt8[np.ndarray, "m 32"],
        *,
        progress: Progress = silent,
    ) -> Iterator[Block]:
        """Yield the features of the images `index`, block by block: read from the cache, or computed.

        `digests` are the content digests of all images of the data set. A network of one's own is not cached, because
        its code may change.

        Raises:
            DataError: an image cannot be read; the message names it.
        """
        cache, done = self._cache(), 0
        for part in self._parts(index):
            path = None if cache is None else cache.path(dataset, part, digests)
            shape = len(part), self.width
            rows = None if path is None else find(path, shape, np.dtype(np.float32))
            if rows is None:
                buffer, rows = reserve(shape, np.dtype(np.float32))
                for computed in self._compute(rows, dataset, part):
                    progress("computing features", done + computed, len(index))
                if cache is not None and path is not None and path == cache.path(dataset, part, digests):
                    rows = keep(path, buffer, rows)
            yield part, rows
            done += len(part)
            progress("computing features", done, len(index))

    def _compute(self, rows: np.ndarray, dataset: Dataset, index: np.ndarray) -> Iterator[int]:
        """Fill `rows`, and yield how many are filled after each batch."""
        loader, done = Loader(dataset, index, self.classifier.input, batch_size=_BATCH), 0
        with contextlib.closing(loader.epoch(0)) as batches:
            for batch in batches:
                rows[done : done + len(batch)] = self.of(batch.images)
                done += len(batch)
                yield done

    def paths(
        self, dataset: Dataset, index: Int[np.ndarray, " n"], digests: UInt8[np.ndarray, "m 32"]
    ) -> Iterator[Path | None]:
        """Yield the path of each block in the cache; None where nothing is cached."""
        cache = self._cache()
        for part in self._parts(index):
            yield None if cache is None else cache.path(dataset, part, digests)

    def _parts(self, index: Int[np.ndarray, " n"]) -> Iterator[Int[np.ndarray, " k"]]:
        size = _BATCH * max(1, min(_BLOCK, _BLOCK_BYTES // (4 * self.width)) // _BATCH)
        for start in range(0, len(index), size):
            yield index[start : start + size]

    @property
    def network_digest(self) -> str:
        """SHA-256 of everything in the classifier that the features depend on."""
        return network_digest(
            self.classifier.model, self.classifier.input, "" if self._with_head else str(self.classifier.model.head)
        )

    @property
    def _with_head(self) -> bool:
        """Whether the last layer may influence the features."""
        network = self.classifier.model
        return not isinstance(network, Network) or self.at not in (None, *network.feature_maps)

    def _cache(self) -> FeatureCache | None:
        network = self.classifier.model
        if not isinstance(network, Network):
            return None
        return FeatureCache(network, self.classifier.input, f"{self.at} {self.pooling}", with_head=self._with_head)


@contextlib.contextmanager
def place_features(classifier: Classifier, at: str | None = None, pooling: Pooling = "mean") -> Iterator[PlaceFeatures]:
    """Within the block, read features at the place `at`, or of the input of the last layer.

    The network runs with its batch norms folded where that leaves the features at this place as they are.

    Raises:
        PlaceError: there is no such place, or the network has no last layer whose input can be read.
    """
    network, shape = classifier.model.eval(), classifier.input.shape
    probe = torch.randn(1, *shape, generator=Stream(0, "features.probe").torch_generator())
    with reading_features(network, probe, at, pooling) as (place, read):
        expected = read(probe)
    running = _folded(network, shape, probe, at, pooling, expected)
    with reading_features(running, probe, at, pooling) as (_, read):
        yield PlaceFeatures(classifier, at, place, pooling, expected.shape[1], read)


def _folded(
    network: nn.Module,
    shape: tuple[int, int, int],
    probe: Float[Tensor, "1 c h w"],
    at: str | None,
    pooling: Pooling,
    expected: Float[Tensor, "1 d"],
) -> nn.Module:
    """Return the folded form of `network` if it has the expected features, else `network`.

    The value of a convolution whose batch norm was folded into it is another.
    """
    folded = fold(network, shape)
    if folded is not network:
        with contextlib.suppress(PlaceError), reading_features(folded, probe, at, pooling) as (_, read):
            found = read(probe)
            if found.shape == expected.shape and (found - expected).abs().max() <= _TOLERANCE * expected.abs().max():
                return folded
    return network
