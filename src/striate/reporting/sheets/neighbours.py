"""The images most similar to a given one, and their sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from striate.classifier import Classifier
from striate.core.batch import Batch
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.dataset import Dataset
from striate.data.loading.loader import Loader
from striate.explaining import ActivationGrid, activation_grid
from striate.plot import LIGHT, Theme, Tile, coloured, resized, sheet, tiles
from striate.reporting.sheets.input_image import Subject
from striate.reporting.sheets.results import answer
from striate.reporting.sheets.rgb import Pixels, shown_input
from striate.runs.gallery import Gallery, search
from striate.runs.place_features import PlaceFeatures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BATCH = 64
_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Neighbour:
    """An image similar to a query image.

    `index` is its index in the data, `label` its class, or "" where it has none, `similarity` the cosine between the
    features of the two, and `given` its input to the network as pixels.
    """

    index: int
    name: str
    label: str
    similarity: float
    given: Pixels


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A query image with the images nearest to it, the nearest first; `compared` names their features.

    `grid` has the most similar position of the images for each position of a map, if requested.
    """

    subject: Subject
    neighbours: tuple[Neighbour, ...]
    compared: str
    spec: InputSpec
    grid: ActivationGrid | None = None


def find_neighbours(
    read: PlaceFeatures,
    subjects: Sequence[Subject],
    gallery: Gallery,
    *,
    count: int = 8,
    patches: bool = False,
    approximate: bool = False,
    progress: Progress = silent,
) -> tuple[Neighbourhood, ...]:
    """Find the `count` images of `gallery` that are nearest to each of `subjects`, in one pass.

    With `patches`, a second pass finds the nearest position for each position of the map at the place.

    Raises:
        ConfigError: usearch, which does the approximate search, is not installed.
        DataError: an image can no longer be read.
    """
    classifier, dataset = read.classifier, gallery.dataset
    images = torch.cat([subject.images for subject in subjects])
    found, similarity = search(gallery, read, read.of(images), count, approximate=approximate, progress=progress)
    grids: Sequence[ActivationGrid | None] = [None] * len(subjects)
    if patches:
        loader = Loader(dataset, gallery.index, classifier.input, batch_size=_BATCH)
        grids = activation_grid(classifier.model, images, _batches(loader, progress), at=read.at)
    shown = _shown(classifier, dataset, np.unique(found))

    def neighbour(index: int, similarity: float) -> Neighbour:
        return Neighbour(index, dataset.store.name(index), dataset.label(index), similarity, shown[index])

    compared = f"inputs of {read.place}" if read.at is None else f"features at {read.place}"
    return tuple(
        Neighbourhood(subject, tuple(map(neighbour, row, similarities)), compared, classifier.input, grid)
        for subject, row, similarities, grid in zip(subjects, found.tolist(), similarity.tolist(), grids, strict=True)
    )


def _batches(loader: Loader, progress: Progress) -> Iterator[Batch]:
    for number, batch in enumerate(loader.epoch(0)):
        yield batch
        progress("comparing patches", number + 1, len(loader))


def _shown(classifier: Classifier, dataset: Dataset, indices: np.ndarray) -> dict[int, Pixels]:
    """Return the network inputs of the images `indices` as pixels."""
    loader = Loader(dataset, indices, classifier.input, batch_size=_BATCH)
    return {
        index: shown_input(image, classifier.input)
        for batch in loader.epoch(0)
        for index, image in zip(batch.index.tolist(), batch.images.numpy(), strict=True)
    }


def neighbours_sheet(found: Neighbourhood, *, theme: Theme = LIGHT) -> Figure:
    """Draw the image with its prediction, then its neighbours with their classes and similarities.

    If `found` has a grid, draw the image and the most similar patch for each of its positions instead.
    """
    image = Tile(found.subject.given, (answer(found.subject.prediction), "the image"))
    if found.grid is not None:
        return _grid_sheet(image, found.grid, found.spec, theme)
    shown = [image]
    shown += [
        Tile(one.given, (one.label or Path(one.name).name, f"similarity {one.similarity:.3f}"))
        for one in found.neighbours
    ]
    note = f"The similarity of two images is the cosine between their {found.compared}, at most 1."
    return tiles(shown, columns=_COLUMNS, title="Most similar images", note=note, side=1.5, theme=theme)


def _grid_sheet(image: Tile, grid: ActivationGrid, spec: InputSpec, theme: Theme) -> Figure:
    """Draw the image, and a grid with a patch for each position of the map, as opaque as its activation is strong."""
    rows, columns = grid.strength.shape
    weight = np.sqrt(grid.strength / max(float(grid.strength.max()), np.finfo(np.float32).tiny))
    cells = []
    for y in range(rows):
        for x in range(columns):
            pixels = coloured(shown_input(grid.patches[y, x], spec))
            cells.append(np.rint(theme.grey + weight[y, x] * (pixels.astype(np.float32) - theme.grey)).astype(np.uint8))
    drawn = sheet(np.stack(cells), columns=columns, gap=cells[0].shape[0] // 12, paper=theme.grey)
    note = (
        f"For each position of the map at {grid.place} ({rows} × {columns}), the part of an image whose "
        f"activation is most similar to it; paler where the activation is weak."
    )
    given = coloured(image.pixels)
    given = resized(given, max(1.0, len(drawn) / len(given)))  # not by whole pixels, so that both are of one height
    caption = ("what each position stands for", f"mean similarity {grid.similarity.mean():.3f}")
    shown = [Tile(given, image.caption), Tile(drawn, caption)]
    return tiles(shown, title="Most similar patches", note=note, side=3.6, theme=theme)
