"""Look through a network: its filters, its maps, what excites its units, and how it bears a moved picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from striate.classifier import Classifier
from striate.core.batch import Batch
from striate.core.errors import StriateError
from striate.core.progress import Progress, silent
from striate.data.dataset import Dataset
from striate.data.loading.loader import Loader
from striate.explaining import (
    FilterError,
    Filters,
    TopPatches,
    activation_maps,
    filters,
    invariance,
    layers,
    project_patches,
    top_patches,
)
from striate.plot import coloured, filter_images, map_images, sheet
from striate.reporting.inspection.material import FilterSheet, Inspection, MapSheet, Moved, PlaceShown, UnitShown
from striate.reporting.inspection.unit_images import CLASSES, Key, Rgb, make_wanted
from striate.reporting.sheets.rgb import in_eight_bits, shown_input

_BATCH = 64
_FILTERS, _SLICES, _MAPS, _CLASSES, _MOVED = 64, 12, 64, 12, 8
_EVERY_LAYER = 9  # of networks with more layers, the feature maps are looked at
_BETWEEN = 190  # the grey between pictures on a sheet
_UNITS_OF = {"shift": "pixels downwards", "scale": "factor", "rotation": "degrees"}
_ALIKE = 0.95


@dataclass(frozen=True)
class Extent:
    """How much is looked at: pictures, units of each place, and the time for making pictures that units want."""

    pictures: int = 2000
    units: int = 12
    time: str = "60s"


def inspect_classifier(
    classifier: Classifier,
    dataset: Dataset,
    indices: np.ndarray,
    title: str,
    extent: Extent,
    *,
    progress: Progress = silent,
) -> Inspection:
    """Look through `classifier` with the pictures `indices` of `dataset`, as many as `extent` says, evenly chosen."""
    spec = classifier.input
    some = indices[np.linspace(0, len(indices) - 1, min(extent.pictures, len(indices))).round().astype(int)]
    loader = Loader(dataset, some, spec, batch_size=_BATCH, shuffle=False, memory="never")
    tops = _tops(classifier, loader, progress)
    chosen = {top.place: _chosen(top, extent.units) for top in tops}
    projections, notes = _projected(classifier, tops, chosen)
    wishes = _wishes(chosen, len(classifier.labels))
    wanted = make_wanted(classifier, wishes, extent.time, progress)
    if len(wanted) < len(wishes):
        notes.append(
            f"Pictures were made for {len(wanted)} of {len(wishes)} classes and units: in {extent.time} there was no "
            "time for more."
        )
    images = _first_images(loader)
    moved = _moved(classifier, images)
    name = dataset.store.name(int(some[0]))
    return Inspection(
        title=title,
        source=dataset.source,
        seen=len(some),
        filters=_filter_sheets(classifier),
        example=(name, coloured(shown_input(images[0].numpy(), spec))),
        maps=_map_sheets(classifier, images[:1]),
        places=tuple(_place(classifier, top, chosen[top.place], projections.get(top.place), wanted) for top in tops),
        classes=tuple(
            (classifier.labels.classes[number], picture)
            for (place, number), picture in wanted.items()
            if place == CLASSES
        ),
        moved=moved,
        notes=tuple(notes),
    )


def _tops(classifier: Classifier, loader: Loader, progress: Progress) -> tuple[TopPatches, ...]:
    def batches() -> Iterator[Batch]:
        for number, batch in enumerate(loader.epoch(0)):
            yield batch
            progress("looking for the strongest patches", number + 1, len(loader))

    return top_patches(classifier.model, batches(), _places(classifier))


def _places(classifier: Classifier) -> tuple[str, ...] | None:
    """Every layer of a small network but the last, which gives the classes; of others their feature maps (None)."""
    every = layers(classifier.model, torch.zeros(1, *classifier.input.shape))
    return every[:-1] if 1 < len(every) <= _EVERY_LAYER else None


def _chosen(top: TopPatches, most: int) -> list[int]:
    """The units to show: the first ones that are alive, for those that are dead have nothing to show."""
    dead = set(top.units.dead())
    return [unit for unit in range(len(top.values)) if unit not in dead][:most]


def _projected(
    classifier: Classifier, tops: Sequence[TopPatches], chosen: Mapping[str, list[int]]
) -> tuple[dict[str, Float[np.ndarray, "u k c h w"]], list[str]]:
    """The projections of each place; where the network admits none, a note that says so."""
    found, notes = {}, []
    for top in tops:
        try:
            found[top.place] = project_patches(classifier.model, top, chosen[top.place])
        except StriateError as error:
            notes.append(f"There are no projections at {top.place}: {error}")
    return found, notes


def _wishes(chosen: Mapping[str, list[int]], classes: int) -> list[Key]:
    """Classes first, then a unit of each place in turn, so that a short time is spread over all places."""
    turns = zip_longest(*([(place, unit) for unit in units] for place, units in chosen.items()))
    units = [key for turn in turns for key in turn if key is not None]
    return [*((CLASSES, number) for number in range(min(classes, _CLASSES))), *units]


def _place(
    classifier: Classifier,
    top: TopPatches,
    chosen: Sequence[int],
    projections: Float[np.ndarray, "u k c h w"] | None,
    wanted: Mapping[Key, Rgb],
) -> PlaceShown:
    units = tuple(
        UnitShown(
            number=unit,
            patches=_laid([shown_input(patch, classifier.input) for patch in top.patches(unit)]),
            projections=None if projections is None else _projection_sheet(projections[nth], classifier),
            wanted=wanted.get((top.place, unit)),
            largest=float(top.units.largest[unit]),
            active=float(top.units.active[unit]),
        )
        for nth, unit in enumerate(chosen)
    )
    redundant = top.units.redundant(_ALIKE)
    return PlaceShown(top.place, len(top.values), top.size, units, top.units.dead(), redundant)


def _projection_sheet(projections: Float[np.ndarray, "k c h w"], classifier: Classifier) -> Rgb:
    """Each projection about mid-grey, on a scale of its own, as in the paper."""
    largest = np.abs(projections).max(axis=(1, 2, 3), keepdims=True)
    shares = 0.5 + 0.5 * np.divide(projections, largest, out=np.zeros_like(projections), where=largest > 0)
    return _laid([in_eight_bits(share, classifier.input.channels) for share in shares])


def _laid(pictures: Sequence[np.ndarray]) -> Rgb:
    return sheet(np.stack([coloured(picture) for picture in pictures]), columns=3, paper=128)


def _filter_sheets(classifier: Classifier) -> tuple[FilterSheet, ...]:
    sheets = []
    for found in _filters(classifier):
        count, channels, height, width = found.weights.shape
        if channels in (1, 3):
            drawn, said = filter_images(found.weights[:_FILTERS]), "each as a picture, on one scale"
        else:
            part = found.slices()[:_SLICES, :_SLICES]
            drawn = filter_images(part.reshape(-1, 1, height, width))
            said = f"a row for each filter, its first {part.shape[1]} of {channels} channels side by side"
        columns = None if channels in (1, 3) else min(channels, _SLICES)
        shown = min(count, _FILTERS if channels in (1, 3) else _SLICES)
        sheets.append(
            FilterSheet(found.layer, count, (height, width), shown, sheet(drawn, columns=columns, paper=_BETWEEN), said)
        )
    return tuple(sheets)


def _filters(classifier: Classifier) -> list[Filters]:
    """All convolutions whose filters have a form: 1×1 has none."""
    try:
        return [found for found in filters(classifier.model) if found.weights[0, 0].size > 1]
    except FilterError:
        return []


def _map_sheets(classifier: Classifier, images: Float[Tensor, "1 c h w"]) -> tuple[MapSheet, ...]:
    sheets = []
    for found in activation_maps(classifier.model, images, _places(classifier)):
        count, height, width = found.values[0].shape
        drawn = _drawn(found.values[0, :_MAPS])
        sheets.append(MapSheet(found.place, count, (height, width), len(drawn), sheet(drawn, paper=_BETWEEN)))
    return tuple(sheets)


def _drawn(maps: Float[np.ndarray, "u h w"]) -> UInt8[np.ndarray, "u h w 3"]:
    """Each map on its own scale; maps of one value on one scale, on which alone they can differ."""
    if maps[0].size > 1:
        return map_images(maps)
    return map_images(maps.reshape(1, 1, -1))[0, 0][:, None, None]


def _moved(classifier: Classifier, images: Float[Tensor, "n c h w"]) -> tuple[Moved, ...]:
    return tuple(_curves(classifier, images, change) for change in _UNITS_OF)


def _curves(classifier: Classifier, images: Float[Tensor, "n c h w"], change: str) -> Moved:
    found = invariance(classifier.model, images, change, places=_places(classifier), task=classifier.task)
    amounts = found.amounts.tolist()
    curves = [list(zip(amounts, values.tolist(), strict=True)) for values in found.relative().mean(axis=2)]
    probability = list(zip(amounts, found.probability.mean(axis=1).tolist(), strict=True))
    return Moved(change, _UNITS_OF[change], dict(zip(found.places, curves, strict=True)), probability)


def _first_images(loader: Loader) -> Float[Tensor, "n c h w"]:
    with closing(loader.epoch(0)) as batches:
        return next(batches).images[:_MOVED]
