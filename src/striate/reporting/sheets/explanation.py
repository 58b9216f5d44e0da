"""Explanations of predictions: a map for each method, their sheet, and the maps of a report's mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from striate.classifier import Classifier
from striate.core.errors import ConfigError, StriateError, first_line
from striate.core.progress import Progress, silent
from striate.core.registry import Registry
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.explaining import METHODS, Attribution, Method, NoMapError
from striate.explaining.checks import Check
from striate.plot import LIGHT, Theme, Tile, coloured, overlay, overlay_scale, resized, tiles
from striate.reporting.sheets.input_image import Answered, Subject
from striate.reporting.sheets.results import answer
from striate.reporting.sheets.rgb import Pixels, Rgb, onto_original, shown, shown_input

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = "grad_cam"
WITHOUT_MAPS = "saliency"
"""The default method, and the one for a network without a spatial feature map."""
_COLUMNS = 4
_LARGEST = 900  # pixels of the longer side of a photo under its map


@dataclass(frozen=True, eq=False)
class Explained:
    """The explanation of one image.

    `target` is the explained class, by default the predicted one; "" if the target is a function. `attributions` has
    one member for each method; `unsuited` names the methods that do not support this network, each with the reason.
    `check` is the check of a single attribution, if requested. `notes` are sentences for the sheet.
    """

    subject: Answered
    target: str
    attributions: tuple[Attribution, ...]
    unsuited: tuple[tuple[str, str], ...] = ()
    check: Check | None = None
    notes: tuple[str, ...] = ()


def method_named(name: str) -> Method:
    """Return a method by its name, ignoring case; hyphens count as underscores.

    Raises:
        ConfigError: there is none of this name; the nearest is offered.
    """
    methods: Registry[Method] = METHODS
    return methods[name.strip().lower().replace("-", "_")]


def explain_usually(model: nn.Module, classes: Sequence[str], subject: Answered, **settings: Any) -> Explained:
    """Explain by Grad-CAM or, for a network without a spatial feature map, by saliency, with a note.

    `settings` are those of `explain_subject`.

    Raises:
        StriateError: there is no such place.
    """
    try:
        return explain_subject(model, classes, subject, [METHODS[USUAL]], **settings)
    except NoMapError:
        explained = explain_subject(model, classes, subject, [METHODS[WITHOUT_MAPS]], **settings)
    (attribution,) = explained.attributions
    note = (
        f"{attribution.method.title} is used instead of {METHODS[USUAL].title}: the network has no spatial feature map."
    )
    return replace(explained, attributions=(replace(attribution, notes=(note, *attribution.notes)),))


def explain_subject(
    model: nn.Module,
    classes: Sequence[str],
    subject: Answered,
    methods: Sequence[Method],
    *,
    target: int | Callable[[Any], Any] | None = None,
    at: str | nn.Module | None = None,
    budget: str | None = None,
    notes: tuple[str, ...] = (),
    progress: Progress = silent,
) -> Explained:
    """Explain the predicted class, or `target`, by each of `methods`; `at` applies to those that read a place.

    Of several methods, those that do not support the network, or that torch refuses (`RuntimeError`: an operation
    without a gradient, no memory left), are named in the result. `budget` limits the time of the check of a single
    method.

    Raises:
        StriateError: a single method does not support the network, or there is no such place.
    """
    if at is not None and not any(method.places for method in methods):
        raise ConfigError(f"{methods[0].title} reads no place in the network: leave out 'at'.")
    aim = subject.answer if target is None else target
    found, unsuited = [], []
    for number, method in enumerate(methods):
        settings = {"at": at} if method.places and at is not None else {}
        try:
            found.append(method.function(model, subject.images, aim, task=subject.task, **settings))
        except (StriateError, RuntimeError) as error:
            if len(methods) == 1:
                raise
            unsuited.append((method.title, first_line(error)))
        progress(f"explaining {Path(subject.prediction.name).name}", number + 1, len(methods))
    check = found[0].check(budget) if budget and len(methods) == 1 else None
    return Explained(subject, "" if callable(aim) else classes[aim], tuple(found), tuple(unsuited), check, notes)


@dataclass(frozen=True, eq=False)
class MistakeMaps:
    """A map over the input of each image, and the name of the method."""

    images: tuple[Rgb, ...]
    method: str


def mistake_maps(classifier: Classifier, images: Sequence[DecodedImage], answers: Sequence[int]) -> MistakeMaps | str:
    """Explain the class `answers[i]` of each image; return the reason as a sentence if that is not possible.

    The method may not support the network (`StriateError`), or torch may refuse (`RuntimeError`: an operation without
    a gradient, no memory left). Any other exception is a defect and is raised.
    """
    prepared = np.stack([prepare(image, classifier.input) for image in images])
    inputs = scale(torch.from_numpy(prepared), classifier.input)
    method = METHODS[USUAL]
    try:
        found = method.function(classifier.model, inputs, list(answers), task=classifier.task)
    except (StriateError, RuntimeError) as error:
        return f"{method.title} cannot explain this network: {first_line(error)}."
    drawn = [
        overlay(shown_input(image.numpy(), classifier.input), values)
        for image, values in zip(inputs, found.map(), strict=True)
    ]
    place = f" at {found.at}" if found.at else ""
    return MistakeMaps(tuple(drawn), f"{found.method.title}{place}")


def explanation_sheet(explained: Explained, *, theme: Theme = LIGHT) -> Figure:
    """Draw the image with its prediction, and each map over it with its scale.

    A single map is also drawn over the original image, if that is larger than the input of the network.
    """
    subject = explained.subject
    shown_tiles = [Tile(subject.given, (answer(subject.prediction), "input of the network"))]
    shown_tiles += [_over(subject.given, attribution) for attribution in explained.attributions]
    if len(explained.attributions) == 1 and isinstance(subject, Subject):
        shown_tiles += _on_photo(subject, explained.attributions[0])
    title = f"Evidence for {explained.target or 'the target'}"
    return tiles(shown_tiles, columns=_COLUMNS, title=title, note=_note(explained), theme=theme)


def _over(given: Pixels, attribution: Attribution) -> Tile:
    values, signed = attribution.map()[0], attribution.method.signed
    place = (f"at {attribution.at}",) if attribution.at else ()
    drawn = overlay(given, values, signed=signed)
    return Tile(drawn, (attribution.method.title, *place), overlay_scale(values, signed=signed))


def _on_photo(subject: Subject, attribution: Attribution) -> list[Tile]:
    photo = coloured(shown(subject.decoded))
    if max(photo.shape[:2]) > _LARGEST:
        photo = resized(photo, _LARGEST / max(photo.shape[:2]))
    if max(photo.shape[:2]) <= max(attribution.size):
        return []
    values = attribution.map()[0]
    laid = onto_original(values, subject.placement, (photo.shape[0], photo.shape[1]))
    return [Tile(overlay(photo, laid, signed=attribution.method.signed), ("on the original image",))]


def _note(explained: Explained) -> str:
    kinds = {attribution.method.signed for attribution in explained.attributions}
    sentences = []
    if True in kinds:
        sentences.append("Red is evidence for the class, blue against it.")
    if False in kinds:
        sentences.append("Lighter is more important.")
    sentences.append("Each map has its own scale, clipped at the 99th percentile.")
    return " ".join([*sentences, *explained.notes])
