"""Inspect a network: filters, activation maps, strongest patches of its units, and invariance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.classifier import Classifier
from striate.core.batch import Batch
from striate.core.errors import StriateError
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.dataset import Dataset
from striate.data.loading.loader import Loader
from striate.data.split import evenly_spaced
from striate.explaining import (
    ActivationMaps,
    FilterError,
    Filters,
    Invariance,
    TopPatches,
    activation_maps,
    filters,
    invariance,
    layers,
    project_patches,
    top_patches,
)
from striate.explaining.checks.budget import Budget
from striate.explaining.visualize import Objective, ObjectiveError, channel, class_logit, maximize
from striate.plot import coloured
from striate.reporting.sheets.rgb import Rgb, in_eight_bits, shown_input

_BATCH = 64
_CLASSES, _MOVED = 12, 8
_EVERY_LAYER = 9  # of networks with more layers, only the feature maps are inspected
_CHANGES = ("shift", "scale", "rotation")

Unit: TypeAlias = tuple[str, int]
"""A place and the number of a channel, or `CLASSES` and the number of a class."""

CLASSES = ""


@dataclass(frozen=True)
class InspectionBudget:
    """How much is inspected: images, units of each place, and the time for synthesising images."""

    images: int = 2000
    units: int = 12
    time: str = "60s"


@dataclass(frozen=True, eq=False)
class Inspection:
    """The content of an inspection page.

    `seen` images of `source` were used. `example` is the name and the input of the image whose `maps` are shown.
    `chosen` are the channels that are shown of each place in `tops`; `projections` are those of their patches, for
    places that support them. `synthesised` are images that excite a unit or a class. `notes` say what is missing, and
    why.
    """

    title: str
    source: str
    seen: int
    input: InputSpec
    classes: tuple[str, ...]
    filters: tuple[Filters, ...]
    example: tuple[str, Rgb]
    maps: tuple[ActivationMaps, ...]
    tops: tuple[TopPatches, ...]
    chosen: Mapping[str, Sequence[int]]
    projections: Mapping[str, Float[np.ndarray, "_ _ _ _ _"]]
    synthesised: Mapping[Unit, Rgb]
    moved: tuple[Invariance, ...]
    notes: tuple[str, ...]


def inspect_classifier(
    classifier: Classifier,
    dataset: Dataset,
    indices: np.ndarray,
    title: str,
    budget: InspectionBudget,
    *,
    progress: Progress = silent,
) -> Inspection:
    """Inspect `classifier` with images of `dataset`, evenly spaced in `indices`, within `budget`."""
    model, spec = classifier.model, classifier.input
    some = evenly_spaced(indices, budget.images)
    loader = Loader(dataset, some, spec, batch_size=_BATCH)
    places = _places(classifier)
    tops = top_patches(model, _batches(loader, progress), places)
    chosen = {top.place: _chosen(top, budget.units) for top in tops}
    projections, notes = _projected(classifier, tops, chosen)
    units = _in_turn(chosen, len(classifier.labels))
    synthesised, without = _synthesise(classifier, units, budget.time, progress)
    found, missing = _filters(classifier)
    images = _first_images(loader)
    return Inspection(
        title=title,
        source=dataset.source,
        seen=len(some),
        input=spec,
        classes=classifier.labels.classes,
        filters=found,
        example=(dataset.store.name(int(some[0])), coloured(shown_input(images[0].numpy(), spec))),
        maps=activation_maps(model, images[:1], places),
        tops=tops,
        chosen=chosen,
        projections=projections,
        synthesised=synthesised,
        moved=tuple(invariance(model, images, change, places=places, task=classifier.task) for change in _CHANGES),
        notes=(*notes, *without, *missing),
    )


def _batches(loader: Loader, progress: Progress) -> Iterator[Batch]:
    for number, batch in enumerate(loader.epoch(0)):
        yield batch
        progress("looking for the strongest patches", number + 1, len(loader))


def _places(classifier: Classifier) -> tuple[str, ...] | None:
    """Return all layers of a small network but the last, whose outputs are the classes; else None: its feature maps."""
    every = layers(classifier.model, torch.zeros(1, *classifier.input.shape))
    return every[:-1] if 1 < len(every) <= _EVERY_LAYER else None


def _chosen(top: TopPatches, most: int) -> list[int]:
    """Return the first units that are not dead."""
    dead = set(top.units.dead())
    return [unit for unit in range(len(top.values)) if unit not in dead][:most]


def _projected(
    classifier: Classifier, tops: Sequence[TopPatches], chosen: Mapping[str, list[int]]
) -> tuple[dict[str, Float[np.ndarray, "_ _ _ _ _"]], list[str]]:
    """Project the patches of each place; return the reason as a note where that is not possible."""
    found, notes = {}, []
    for top in tops:
        try:
            found[top.place] = project_patches(classifier.model, top, chosen[top.place])
        except StriateError as error:
            notes.append(f"There are no projections at {top.place}: {error}")
    return found, notes


def _in_turn(chosen: Mapping[str, list[int]], classes: int) -> list[Unit]:
    """Return classes first, then a unit of each place in turn, so that a short time is spread over all places."""
    turns = zip_longest(*([(place, unit) for unit in units] for place, units in chosen.items()))
    units = [unit for turn in turns for unit in turn if unit is not None]
    return [*((CLASSES, number) for number in range(min(classes, _CLASSES))), *units]


def _synthesise(
    classifier: Classifier, units: Sequence[Unit], time: str, progress: Progress
) -> tuple[dict[Unit, Rgb], list[str]]:
    """Synthesise an image that excites each of `units`, for as many as `time` allows; return notes on the others."""
    images: dict[Unit, Rgb] = {}
    refused: list[ObjectiveError] = []
    for done, unit in enumerate(Budget(time).spend(units), start=1):
        try:
            found = maximize(classifier.model, _objective(unit), classifier.input)
            images[unit] = coloured(in_eight_bits(np.moveaxis(found.images[0], -1, 0), found.channels))
        except ObjectiveError as error:  # what a dead layer hides does not depend on the image
            refused.append(error)
        progress("synthesising images", done, len(units))
    notes = [f"{len(refused)} of {len(units)} classes and units have no image: {refused[0]}"] if refused else []
    if len(images) + len(refused) < len(units):
        notes.append(
            f"Images were synthesised for {len(images)} of {len(units)} classes and units; {time} did not suffice for "
            "all."
        )
    return images, notes


def _objective(unit: Unit) -> Objective:
    place, number = unit
    return class_logit(number) if place == CLASSES else channel(place, number)


def _filters(classifier: Classifier) -> tuple[tuple[Filters, ...], tuple[str, ...]]:
    """Return the filters of convolutions larger than 1×1, or the reason why there are none."""
    try:
        return tuple(found for found in filters(classifier.model) if found.weights[0, 0].size > 1), ()
    except FilterError as error:
        return (), (f"There are no filters to show: {error}",)


def _first_images(loader: Loader) -> Float[Tensor, "n c h w"]:
    with closing(loader.epoch(0)) as batches:
        return next(batches).images[:_MOVED]
