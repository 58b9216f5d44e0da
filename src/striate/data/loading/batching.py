"""Prepare images by index; cut indices into pieces and batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from striate.core.errors import DataError
from striate.core.spec import InputSpec
from striate.data.dataset import ArrayStore, Dataset, Indices
from striate.data.images.decode import Unreadable
from striate.data.preparation.arrays import ManyPrepared, Prepared, prepare, prepare_many


def prepare_rows(dataset: Dataset, spec: InputSpec, index: Indices) -> Sequence[Prepared] | ManyPrepared:
    """Prepare the images `index` one after the other in this thread, for the caller to stack.

    Raises:
        DataError: an image cannot be read, or lacks channels that `spec` names; the message names it.
    """
    store = dataset.store
    if isinstance(store, ArrayStore):
        return prepare_many(store.pixels[index], store.channels, store.pixels.shape[1:3], spec)
    return [_prepare_one(dataset, int(one), spec) for one in index]


def _prepare_one(dataset: Dataset, index: int, spec: InputSpec) -> Prepared:
    try:
        return prepare(dataset.store.read(index, spec), spec)
    except Unreadable:
        raise  # it names the image
    except DataError as error:
        raise DataError(f"{dataset.store.name(index)}: {error}") from error


def pieces(index: Indices, size: int) -> Iterator[Indices]:
    """Cut `index` into runs of at most `size`."""
    for start in range(0, len(index), size):
        yield index[start : start + size]


def batches_of(index: Indices, size: int) -> list[Indices]:
    """Cut `index` into batches of `size`, the last one smaller; a last batch of one joins the one before it.

    Batch normalization has no variance over one image where its map is a single pixel.
    """
    batches = list(pieces(index, size))
    if size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches
