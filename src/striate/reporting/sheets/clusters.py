"""Clusters of the maps of a class, which uncover shortcuts, and their sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from striate.classifier import Classifier
from striate.core.errors import ConfigError
from striate.data.dataset import Dataset
from striate.data.loading.loader import Loader
from striate.explaining import MapClusters, NoMapError, cluster_maps
from striate.explaining.attribution.attribution import METHODS, Method
from striate.plot import LIGHT, Theme, Tile, coloured, overlay, resized, tiles
from striate.reporting.numbers import percent
from striate.reporting.sheets.explanation import USUAL, WITHOUT_MAPS
from striate.reporting.sheets.rgb import Rgb, shown_input

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BATCH = 32
_EXAMPLES = 5
_SHOWN = 160  # pixels of the longer side of an example


@dataclass(frozen=True, eq=False)
class ClassClusters:
    """The maps of images of the class `label`, clustered.

    `names` (n) are the names of the images, `right` (n) whether the network takes them for the class. `means` (k) are
    the mean maps of the clusters, and `examples` images of each with their maps, the most typical first.
    """

    label: str
    method: Method
    found: MapClusters
    names: tuple[str, ...]
    right: np.ndarray
    means: tuple[Float[np.ndarray, "h w"], ...]
    examples: tuple[tuple[Rgb, ...], ...]


def find_clusters(
    classifier: Classifier, dataset: Dataset, indices: np.ndarray, label: str, method: Method | None, at: str | None
) -> ClassClusters:
    """Explain the class `label` for the images `indices`, which are of that class, and cluster the maps.

    Without a method it is Grad-CAM or, for a network without a spatial feature map, saliency.

    Raises:
        StriateError: the method does not support the network, or there are too few images.
    """
    if method is None:
        try:
            return find_clusters(classifier, dataset, indices, label, METHODS[USUAL], at)
        except NoMapError:
            return find_clusters(classifier, dataset, indices, label, METHODS[WITHOUT_MAPS], None)
    if at is not None and not method.places:
        raise ConfigError(f"{method.title} reads no place in the network: leave out 'at'.")
    number = classifier.labels.classes.index(label)
    settings = {} if at is None else {"at": at}
    loader = Loader(dataset, indices, classifier.input, batch_size=_BATCH)
    maps, images, right = [], [], []
    for batch in loader.epoch(0):
        given = method.function(classifier.model, batch.images, number, task=classifier.task, **settings)
        maps.append(given.map())
        images += [coloured(shown_input(image, classifier.input)) for image in batch.images.numpy()]
        right.append(_recognized(classifier, batch.images, label))
    every = np.concatenate(maps)
    found = cluster_maps(every)
    typical = [_typical(every, members) for members in found.clusters]
    return ClassClusters(
        label,
        method,
        found,
        tuple(dataset.store.name(int(index)) for index in indices),
        np.concatenate(right),
        tuple(_scaled(every[members]).mean(0) for members in found.clusters),
        tuple(tuple(_drawn(images[one], every[one], method) for one in chosen) for chosen in typical),
    )


def _recognized(classifier: Classifier, images: Float[Tensor, "n c h w"], label: str) -> Bool[np.ndarray, " n"]:
    """Return whether the classifier takes each image for `label`: its class, or one of its labels."""
    answers = classifier.probabilities(images).tolist()
    found = (classifier.task.prediction("", answer, classifier.labels) for answer in answers)
    return np.array([label in ((each.label,) if each.labels is None else each.labels) for each in found])


def _typical(maps: Float[np.ndarray, "n h w"], members: np.ndarray) -> Sequence[int]:
    """Return the members whose maps are most like the mean of the cluster."""
    some = _scaled(maps[members]).reshape(len(members), -1)
    return members[np.argsort(-(some @ some.mean(0)), kind="stable")][:_EXAMPLES].tolist()


def _scaled(maps: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    lengths = np.sqrt(np.square(maps).sum((1, 2), keepdims=True))
    return np.divide(maps, lengths, out=np.zeros_like(maps), where=lengths > 0)


def _drawn(image: Rgb, values: Float[np.ndarray, "h w"], method: Method) -> Rgb:
    drawn = overlay(image, values, signed=method.signed)
    return resized(drawn, _SHOWN / max(drawn.shape[:2])) if max(drawn.shape[:2]) > _SHOWN else drawn


def clusters_sheet(found: ClassClusters, *, theme: Theme = LIGHT) -> Figure:
    """Draw a row for each cluster: its mean map, and images of it with their maps."""
    shown: list[Tile] = []
    for number, (members, mean, examples) in enumerate(
        zip(found.found.clusters, found.means, found.examples, strict=True)
    ):
        grey = np.full((*mean.shape, 3), 128, np.uint8)
        caption = (
            f"cluster {number + 1}: {len(members)} of {len(found.names)}",
            f"maps alike: {found.found.alike[number]:.2f}",
            f"correct: {percent(float(found.right[members].mean()), 0)}",
        )
        shown.append(Tile(overlay(grey, mean, signed=found.method.signed), caption))
        shown += [Tile(example) for example in examples]
        shown += [Tile(np.full((*examples[0].shape[:2], 3), theme.grey, np.uint8))] * (_EXAMPLES - len(examples))
    note = (
        f"{found.method.title} maps of {len(found.names)} images of the class. Each row is a cluster: its mean map, "
        f"then its most typical images. Maps that are nearly alike (1) show something that is always in one place: if "
        f"it is not the object, it may be a shortcut."
    )
    return tiles(shown, columns=_EXAMPLES + 1, title=f"Where the network looks for {found.label}", note=note, side=1.3,
                 theme=theme)  # fmt: skip
