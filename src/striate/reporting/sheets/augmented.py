"""Training images as the network sees them: each as prepared, and as a few epochs yield it, with its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int64

from striate.core.batch import Batch
from striate.core.progress import Progress, silent
from striate.data.dataset import Dataset
from striate.data.loading.loader import Loader
from striate.plot import LIGHT, Theme, Tile, tiles
from striate.reporting.numbers import percent
from striate.reporting.sheets.rgb import Pixels, shown_input
from striate.runs.effect import settings_in_effect
from striate.runs.plan import Plan
from striate.runs.prepare import Prepared
from striate.runs.transfer import Features

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMAGES, _EPOCHS = 6, 5
_SIDE = 1.0  # inches
_NONE = "no label"
_LEAST = 0.005  # smallest share of a label that is shown


@dataclass(frozen=True, eq=False)
class AugmentedImage:
    """A training image: the input of the network without augmentation, `prepared`, and as epochs yield it, `seen`.

    `labels` has the label of the image in each epoch; where images are mixed, a line for each class, with its share.
    """

    name: str
    label: str
    prepared: Pixels
    seen: tuple[Pixels, ...]
    labels: tuple[tuple[str, ...], ...]


def augmented_images(plan: Plan, prepared: Prepared, *, progress: Progress = silent) -> tuple[AugmentedImage, ...]:
    """Load six training images, of as many classes as possible, as the first five epochs of a training yield them.

    The loader is that of the training. It decodes these images, and where they are mixed those of their batches.
    Returns none where the training uses no augmentation, since it fits a classifier on features.

    Raises:
        DataError: an image cannot be read.
    """
    if isinstance(plan.recipe.transfer, Features):
        return ()
    dataset, index = prepared.dataset, prepared.splits["train"]
    chosen = of_many_classes(dataset, index, _IMAGES)
    loader, _ = prepared.load(replace(plan.recipe, in_memory=False, resizing=None))
    assert isinstance(loader, Loader)
    plain = Loader(dataset, chosen, prepared.input, batch_size=_IMAGES).samples(chosen, 0)
    epochs = []
    for epoch in range(_EPOCHS):
        epochs.append(loader.samples(chosen, epoch))
        progress("augmenting images", epoch + 1, _EPOCHS)

    def pixels(batch: Batch, row: int) -> Pixels:
        return shown_input(batch.images[row].numpy(), prepared.input)

    def label(batch: Batch, row: int) -> tuple[str, ...]:
        mixed = batch.targets.is_floating_point()
        return _shares(batch.targets[row].numpy(), dataset.classes) if mixed else (_label(dataset, int(chosen[row])),)

    return tuple(
        AugmentedImage(
            name=dataset.store.name(number),
            label=_label(dataset, number),
            prepared=pixels(plain, row),
            seen=tuple(pixels(batch, row) for batch in epochs),
            labels=tuple(label(batch, row) for batch in epochs),
        )
        for row, number in enumerate(chosen.tolist())
    )


def _label(dataset: Dataset, number: int) -> str:
    return dataset.label(number) or _NONE


def of_many_classes(dataset: Dataset, index: Int64[np.ndarray, " n"], count: int) -> Int64[np.ndarray, " m"]:
    """Return at most `count` of `index`, of as many classes as possible; of too many classes, evenly spaced ones.

    An image of several classes counts as one of the rarest of them, and one without any as one of a class of its own.
    """
    targets = dataset.targets[index]
    classes = targets if targets.ndim == 1 else _rarest(targets > 0)
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], classes[order])
    rounds = order[np.argsort(np.arange(len(order)) - starts, kind="stable")]  # the first of each class, the second, …
    first = len(np.unique(classes))
    if first > count:
        rounds = rounds[:first][np.arange(count) * first // count]
    chosen = rounds[:count]
    return index[chosen[np.argsort(classes[chosen], kind="stable")]]


def _rarest(targets: Bool[np.ndarray, "n k"]) -> Int64[np.ndarray, " n"]:
    """Return the rarest class of each row; k for a row without any."""
    by_rarity = np.argsort(targets.sum(axis=0), kind="stable")
    return np.where(targets.any(axis=1), by_rarity[targets[:, by_rarity].argmax(axis=1)], targets.shape[1])


def augmentation_in_effect(plan: Plan, prepared: Prepared) -> str:
    """Return the augmentations in effect in words, in their order; "" where the training uses none."""
    found = settings_in_effect(plan, prepared.input, prepared.labels)
    return next((each.value for each in found if each.name == "augment"), "")


def augmentation_sheet(images: Sequence[AugmentedImage], augmentation: str, *, theme: Theme = LIGHT) -> Figure:
    """Draw a row for each image: as prepared, then as each epoch yields it, with its label."""
    shown = []
    for one in images:
        shown.append(Tile(one.prepared, (one.label, "prepared")))
        seen = zip(one.seen, one.labels, strict=True)
        shown += [Tile(pixels, (*label, f"epoch {number}")) for number, (pixels, label) in enumerate(seen, start=1)]
    title = "Training images as the network sees them"
    return tiles(shown, columns=1 + _EPOCHS, title=title, note=augmentation, side=_SIDE, theme=theme)


def _shares(targets: Float[np.ndarray, " k"], classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes with their shares, the largest first, as in `cat: 70 %`; a whole one by its name alone."""
    shares = [(share, name) for share, name in zip(targets.tolist(), classes, strict=True) if share >= _LEAST]
    ordered = sorted(shares, key=lambda each: -each[0])
    return tuple(name if share > 1 - _LEAST else f"{name}: {percent(share, 0)}" for share, name in ordered) or (_NONE,)
