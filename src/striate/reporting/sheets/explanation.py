"""Why a classifier answers as it does: one picture, a map for each method, and the sheet that shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from striate.core.errors import ConfigError, StriateError
from striate.core.progress import Progress, silent
from striate.core.registry import Registry
from striate.explaining import METHODS, Attribution, Method, NoMapError
from striate.explaining.checks import Check
from striate.plot import LIGHT, Theme, Tile, coloured, overlay, overlay_scale, resized, tiles
from striate.reporting.numbers import percent
from striate.reporting.sheets.input_image import Answered, Subject
from striate.reporting.sheets.rgb import Pixels, onto_original, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL = "grad_cam"
WITHOUT_MAPS = "saliency"
"""The usual method, and the one in its stead for a network in which no place is laid out over the image."""
_COLUMNS = 4
_LARGEST = 900  # pixels of the longer side of a photo under its map


@dataclass(frozen=True, eq=False)
class Explained:
    """One image and why.

    `target` is the class explained: the answer, unless another was asked for; "" where the target is a function.
    `attributions` has one member for each method, `unsuited` names the methods that this network does not admit, each
    with the reason. `check` is that of the only attribution, if it was asked for. `notes` are sentences that the reader
    should know.
    """

    subject: Answered
    target: str
    attributions: tuple[Attribution, ...]
    unsuited: tuple[tuple[str, str], ...] = ()
    check: Check | None = None
    notes: tuple[str, ...] = ()


def method_named(name: str) -> Method:
    """A method by its name, in which hyphens and capitals do not matter.

    Raises:
        ConfigError: there is none of this name; the nearest is offered.
    """
    methods: Registry[Method] = METHODS
    return methods[name.strip().lower().replace("-", "_")]


def explain_usually(model: nn.Module, classes: Sequence[str], subject: Answered, **settings: Any) -> Explained:
    """Explain by the usual method or, where a network has no map for it to read, by saliency, with a note.

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
        f"{attribution.method.title} stands in for {METHODS[USUAL].title}, for the network has no map that is laid out "
        f"over the image."
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
    """Explain the answer, or the class `target`, by each of `methods`; `at` goes to those that read a place.

    A single method must fit the network; of several, those that do not are passed over and named. `budget` is the time
    that the check of a single method may take.

    Raises:
        StriateError: the single method does not fit, or there is no such place.
    """
    if at is not None and not any(method.places for method in methods):
        raise ConfigError(f"{methods[0].title} reads no place in the network, so there is nothing for 'at' to choose.")
    aim = subject.answer if target is None else target
    found, unsuited = [], []
    for number, method in enumerate(methods):
        settings = {"at": at} if method.places and at is not None else {}
        try:
            found.append(method.function(model, subject.images, aim, task=subject.task, **settings))
        except StriateError as error:
            if len(methods) == 1:
                raise
            unsuited.append((method.title, str(error)))
        progress(f"explaining {Path(subject.prediction.name).name}", number + 1, len(methods))
    check = found[0].check(budget) if budget and len(methods) == 1 else None
    return Explained(subject, "" if callable(aim) else classes[aim], tuple(found), tuple(unsuited), check, notes)


def explanation_sheet(explained: Explained, *, theme: Theme = LIGHT) -> Figure:
    """The image with its answer and, beside it, each map over it, with its scale.

    One map is also laid onto the photo as it is, where that is larger than what the network is given.
    """
    subject, prediction = explained.subject, explained.subject.prediction
    answer = f"{prediction.label}, {percent(prediction.probability)}"
    shown_tiles = [Tile(subject.given, (answer, "as the network is given it"))]
    shown_tiles += [_over(subject.given, attribution) for attribution in explained.attributions]
    if len(explained.attributions) == 1 and isinstance(subject, Subject):
        shown_tiles += _on_photo(subject, explained.attributions[0])
    title = f"What speaks for {explained.target or 'the target'}"
    return tiles(shown_tiles, columns=_COLUMNS, title=title, note=_note(explained), theme=theme)


def _over(given: Pixels, attribution: Attribution) -> Tile:
    values, signed = attribution.map()[0], attribution.method.signed
    place = (f"at {attribution.at}",) if attribution.at else ()
    drawn = overlay(given, values, signed=signed)
    return Tile(drawn, (attribution.method.title, *place), overlay_scale(values, signed=signed))


def _on_photo(subject: Subject, attribution: Attribution) -> list[Tile]:
    photo = coloured(shown(subject.picture))
    if max(photo.shape[:2]) > _LARGEST:
        photo = resized(photo, _LARGEST / max(photo.shape[:2]))
    if max(photo.shape[:2]) < max(attribution.size):
        return []
    values = attribution.map()[0]
    laid = onto_original(values, subject.placement, (photo.shape[0], photo.shape[1]))
    return [Tile(overlay(photo, laid, signed=attribution.method.signed), ("on the photo as it is",))]


def _note(explained: Explained) -> str:
    kinds = {attribution.method.signed for attribution in explained.attributions}
    told = []
    if True in kinds:
        told.append("Vermilion speaks for it, blue against it.")
    if False in kinds:
        told.append("The lighter the heat, the more it matters.")
    told.append("A scale is of one map alone; its end is drawn for the strongest hundredth.")
    return " ".join([*told, *explained.notes])
