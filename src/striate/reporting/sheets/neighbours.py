"""The training images that are most like a given one, and the sheet that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from striate.classifier import Classifier, Prediction
from striate.core.batch import Batch
from striate.core.progress import Progress, silent
from striate.data.dataset import Dataset
from striate.data.loading.loader import Loader
from striate.explaining import nearest_images
from striate.plot import LIGHT, Theme, Tile, tiles
from striate.reporting.numbers import percent
from striate.reporting.sheets.input_image import Subject
from striate.reporting.sheets.rgb import Pixels, shown_input

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BATCH = 64
_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A training image: its index in the data, its name, its class, and the cosine similarity of its features with
    those of the image asked for. `given` is what the network is given of it."""

    index: int
    name: str
    label: str
    similarity: float
    given: Pixels


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """An image with the training images nearest to it, the nearest first."""

    subject: Subject
    neighbours: tuple[Neighbour, ...]

    @property
    def prediction(self) -> Prediction:
        return self.subject.prediction


def find_neighbours(
    classifier: Classifier,
    subjects: Sequence[Subject],
    dataset: Dataset,
    indices: np.ndarray,
    *,
    count: int = 8,
    progress: Progress = silent,
) -> tuple[Neighbourhood, ...]:
    """Find the `count` images among `indices` of `dataset` that are nearest to each of `subjects`, in one pass.

    Raises:
        PlaceError: the network has no last layer whose input can be read.
        DataError: an image cannot be read any more.
    """
    spec = classifier.input
    loader = Loader(dataset, indices, spec, batch_size=_BATCH, shuffle=False, memory="never")

    def batches() -> Iterator[Batch]:
        for number, batch in enumerate(loader.epoch(0)):
            yield batch
            progress("comparing with the training images", number + 1, len(loader))

    images = torch.cat([subject.images for subject in subjects])
    found = nearest_images(classifier.model, images, batches(), count=count)
    shown = _shown(classifier, dataset, np.unique(found.index))
    return tuple(
        Neighbourhood(
            subject,
            tuple(
                Neighbour(
                    index,
                    dataset.store.name(index),
                    dataset.classes[int(dataset.targets[index])],
                    similarity,
                    shown[index],
                )
                for index, similarity in zip(row.tolist(), similarities.tolist(), strict=True)
            ),
        )
        for subject, row, similarities in zip(subjects, found.index, found.similarity, strict=True)
    )


def _shown(classifier: Classifier, dataset: Dataset, indices: np.ndarray) -> dict[int, Pixels]:
    """What the network is given of the images `indices`, for the eye."""
    loader = Loader(dataset, indices, classifier.input, batch_size=_BATCH, shuffle=False, memory="never")
    return {
        index: shown_input(image, classifier.input)
        for batch in loader.epoch(0)
        for index, image in zip(batch.index.tolist(), batch.images.numpy(), strict=True)
    }


def neighbours_sheet(found: Neighbourhood, *, theme: Theme = LIGHT) -> Figure:
    """The image with its answer, then its neighbours with their classes and similarities, row by row."""
    prediction = found.prediction
    answer = f"{prediction.label}, {percent(prediction.probability)}"
    shown = [Tile(found.subject.given, (answer, "the image"))]
    shown += [Tile(one.given, (one.label, f"similarity {one.similarity:.3f}")) for one in found.neighbours]
    note = "Similarity is the cosine between the features that the last layer is given: 1 is the same direction."
    return tiles(shown, columns=_COLUMNS, title="The training images most like it", note=note, side=1.5, theme=theme)
