"""Batches for training and evaluation: the same to the bit for any number of threads and any start.

Order and augmentation are functions of (seed, stream, epoch, index), so a resumed run replays nothing and carries
nothing over. If the prepared images fit in memory, a batch is a gather and the scale. If not, threads decode a little
ahead of the reader. There are no worker processes: they would have to copy every image between processes.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from striate.core.batch import Batch
from striate.core.errors import ConfigError, DataError
from striate.core.processes import ALONE, Processes
from striate.core.spec import InputSpec
from striate.core.threads import in_order, usable_cores
from striate.data.augmentation.augment import mix
from striate.data.augmentation.augmentations import Augmentation
from striate.data.augmentation.mixing import Mixing, soft
from striate.data.dataset import Dataset, Indices
from striate.data.loading.batching import batches_of, pieces, prepare_rows
from striate.data.loading.cache import CachedImages
from striate.data.loading.resident import ResidentImages, resident
from striate.data.loading.sampling import Sampling, Shuffled, repetitions
from striate.data.preparation.arrays import ManyPrepared, normalise, scale, to_shares

_PIECE = 8  # images per task: enough to make the cost of a task small, few enough to divide the last batch evenly
_BATCHES_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class Randomization:
    """Random order and random changes of the images of each epoch.

    Where an epoch shows an image again, its changes are others.
    """

    seed: int = 0
    augmentations: tuple[Augmentation, ...] = ()
    sampling: Sampling = field(default_factory=Shuffled)


class Loader:
    """The batches of the samples `indices` of a data set, epoch after epoch (`core.protocols.Batches`).

    With several `processes`, each has its part of every batch to train on. Without `randomization`, as in evaluation,
    each has a block of whole batches, which may be empty, so that every output is computed as in a single process. The
    length is that of a single process in either case.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: Indices,
        spec: InputSpec,
        *,
        batch_size: int,
        steps: int | None = None,
        randomization: Randomization | None = None,
        cached: CachedImages | None = None,
        threads: int | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Prepare to load, by default in the order of `indices` and without augmentation.

        `steps`: number of batches of an epoch, of sizes as equal as possible; by default `batch_size` decides it.
        `cached`: the images as `load_cached` holds them in memory; without it, they are decoded in every epoch.
        `threads`: how many decode, by default one per core; 0 means the thread of the reader.

        Raises:
            DataError: there is nothing to load.
            ConfigError: the batch size or the number of threads is out of range.
        """
        if batch_size < 1 or (threads is not None and threads < 0):
            raise ConfigError(
                f"A batch holds at least 1 image and threads are at least 0; received {batch_size} and {threads}."
            )
        if not len(indices):
            raise DataError(f"{dataset.name}: there are no images to load.")
        self._dataset, self._indices, self._spec = dataset, indices, spec
        self._batch_size, self._steps = batch_size, steps
        self._length = len(batches_of(indices, batch_size)) if steps is None else steps
        self._random, self._processes = randomization, processes
        self._cached: CachedImages | ResidentImages | None = cached
        self._device = torch.device("cpu")
        self._threads = usable_cores() if threads is None else threads

    def __len__(self) -> int:
        return self._length

    def epoch(self, epoch: int, *, start: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch from number `start` on. Closing the iterator releases its threads.

        Raises:
            DataError: an image that could be read before cannot be read now; the message names it.
        """
        order = self._order(epoch)
        whole, counters = self._cut(order)[start:], self._cut(self._counters(order))[start:]
        if self._random is None:
            whole, counters = (each[self._processes.block(len(each))] for each in (whole, counters))
        parts = [slice(None) if self._mixes else self._rows(index)[0] for index in whole]
        batches = [index[rows] for index, rows in zip(whole, parts, strict=True)]
        with closing(self._read(batches)) as read:
            for index, counter, rows, images in zip(whole, counters, parts, read, strict=True):
                batch = self._batch(index[rows], counter[rows], images, epoch)
                yield batch if self._processes.count == 1 else self._part(batch, index)

    def on(self, device: str) -> Loader:
        """Return the loader whose images are augmented and scaled on `device`, where its batches then are.

        Decoded images go there in the depth of the data, a quarter of the bytes of a batch. A GPU holds those that are
        held in memory, too, if they fit in a quarter of its free memory.
        """
        moved = copy.copy(self)
        moved._device = torch.device(device)
        if isinstance(self._cached, CachedImages):
            moved._cached = resident(self._cached, moved._device) or self._cached
        return moved

    def undivided(self) -> Loader:
        """Return the loader whose batches are those of a single process."""
        whole = copy.copy(self)
        whole._processes = ALONE
        return whole

    def _rows(self, index: Indices) -> tuple[slice, float]:
        """Return the rows of a batch for this process, and their weight."""
        return (slice(None), 1.0) if self._random is None else self._processes.rows(len(index))

    def _part(self, batch: Batch, whole: Indices) -> Batch:
        """Return this process's part of a batch, of which more may be prepared."""
        rows, weight = self._rows(whole)
        rows = rows if self._mixes else slice(None)
        return Batch(batch.images[rows], batch.targets[rows], batch.index[rows], weight)

    def samples(self, wanted: Indices, epoch: int) -> Batch:
        """Return some samples as an epoch yields them when it first shows them, in the order of `wanted`.

        Their batches are read whole if images are mixed with others of the batch; those of an epoch that shows each
        image once, also where the sampling repeats images.

        Raises:
            DataError: an image that could be read before cannot be read now; the message names it.
        """
        parts = [index for index in self._cut(self._order(epoch, Shuffled())) if np.isin(index, wanted).any()]
        if not self._mixes:
            parts = [index[np.isin(index, wanted)] for index in parts]
        with closing(self._read(parts)) as read:
            found = [self._batch(index, index, images, epoch) for index, images in zip(parts, read, strict=True)]
        images, targets, index = (
            torch.cat([getattr(part, name) for part in found]) for name in ("images", "targets", "index")
        )
        place = {number: row for row, number in enumerate(index.tolist())}
        rows = torch.tensor([place[number] for number in wanted.tolist()])
        return Batch(images=images[rows], targets=targets[rows], index=index[rows])

    @property
    def _mixes(self) -> bool:
        """Whether images are combined with others of their batch, so that every process prepares all of it."""
        return self._random is not None and any(isinstance(each, Mixing) for each in self._random.augmentations)

    def _read(self, batches: list[Indices]) -> Generator[Tensor, None, None]:
        cached = self._cached
        if isinstance(cached, ResidentImages):
            yield from map(cached.take, batches)
            return
        with closing(self._decode(batches) if cached is None else self._gather(batches, cached)) as found:
            for images in found:
                yield torch.from_numpy(images).to(self._device)

    def _order(self, epoch: int, sampling: Sampling | None = None) -> Indices:
        """Return the sample indices of an epoch, by default those of its own sampling."""
        if self._random is None:
            return self._indices
        targets = self._dataset.targets[self._indices]
        places = (sampling or self._random.sampling).places(targets, seed=self._random.seed, epoch=epoch)
        return self._indices[places]

    def _counters(self, order: Indices) -> Indices:
        """Return a number for each draw, from which its random changes follow: the index, if it is the first of it."""
        repeats = self._random is not None and self._random.sampling.by_class
        return order + len(self._dataset) * repetitions(order) if repeats else order

    def _cut(self, order: Indices) -> list[Indices]:
        return batches_of(order, self._batch_size) if self._steps is None else np.array_split(order, self._steps)

    def _gather(self, batches: list[Indices], cached: CachedImages) -> Generator[ManyPrepared, None, None]:
        yield from map(cached.take, batches)

    def _decode(self, batches: list[Indices]) -> Generator[ManyPrepared, None, None]:
        cut = [list(pieces(index, _PIECE)) for index in batches]
        ahead = self._threads + _BATCHES_AHEAD * -(-self._batch_size // _PIECE)
        work, items = partial(prepare_rows, self._dataset, self._spec), (piece for batch in cut for piece in batch)
        rows = in_order(work, items, threads=self._threads, ahead=ahead)
        with closing(rows):
            for batch in cut:
                yield np.stack([row for _ in batch for row in next(rows)])

    def _batch(self, index: Indices, counters: Indices, images: Tensor, epoch: int) -> Batch:
        targets = torch.from_numpy(self._dataset.targets[index]).to(self._device)
        changed, targets = self._changed(images, targets, counters, epoch)
        return Batch(images=changed, targets=targets, index=torch.from_numpy(index.copy()))

    def _changed(self, raw: Tensor, targets: Tensor, counters: Indices, epoch: int) -> tuple[Tensor, Tensor]:
        """Augment and scale images; where they are mixed, return soft targets."""
        if self._random is None or not self._random.augmentations:
            return scale(raw, self._spec), targets
        changed, targets = mix(
            to_shares(raw, self._spec),
            soft(targets, len(self._dataset.classes)) if self._mixes else targets,
            counters,
            epoch=epoch,
            seed=self._random.seed,
            augmentations=self._random.augmentations,
            blank=self._spec.mean,
            channels=self._spec.channels,
        )
        return normalise(changed, self._spec), targets
