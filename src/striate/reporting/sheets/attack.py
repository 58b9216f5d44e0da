"""Adversarial attacks on one image: the smallest change that suffices, and its sheet."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8, UInt16
from torch import nn

from striate.classifier import Classifier, Prediction
from striate.core.errors import ConfigError
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.images.decode import decode
from striate.data.images.encode import to_png
from striate.data.preparation.arrays import prepare, reread
from striate.data.preparation.colour import arrange
from striate.data.preparation.tensors import prepare_tensors
from striate.explaining.adversarial import (
    ATTACKS,
    Adversarial,
    AttackMethod,
    Goal,
    OneLabel,
    Targeted,
    ThroughPreparation,
    Untargeted,
)
from striate.plot import LIGHT, Theme, fooling
from striate.reporting.sheets.input_image import Subject
from striate.reporting.sheets.results import answer
from striate.reporting.sheets.rgb import in_eight_bits, ordered
from striate.tasks import Multilabel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FilePixels = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]
_RADII = {"linf": (1, 2, 3, 4, 6, 8, 12, 16), "l2": (32, 64, 128, 256, 512, 1024)}
"""Values of ε tried in turn if none is given, in grey levels of 0 to 255."""


@dataclass(frozen=True)
class AttackRequest:
    """An attack and its settings.

    `epsilon` None stands for the smallest of a few values that suffices. `target` is the class to reach; None is any
    class but the predicted one, or of an image that may have several, the set without its most probable one (with it,
    where it has none). `through_preparation` changes the original image, before it is prepared.
    """

    method: AttackMethod
    epsilon: int | float | None = None
    norm: str = "linf"
    target: int | None = None
    through_preparation: bool = False


@dataclass(frozen=True, eq=False)
class Aim:
    """The class that an attack leaves or, if `reaches`, reaches. `several`: an image may have several classes."""

    label: str
    reaches: bool
    several: bool

    def reached(self, before: Prediction, after: Prediction) -> bool:
        """Whether the prediction is what was requested; not if the image is now recognized as none of the classes."""
        if after.none_of_these and not before.none_of_these:
            return False
        having = (after.label,) if after.labels is None else after.labels
        return (self.label in having) is self.reaches


@dataclass(frozen=True, eq=False)
class Fooled:
    """The outcome of an attack on one image.

    `file` is the changed image as a PNG, `after` the prediction for it after reading it back. `fooled`: that prediction
    is what `aim` requests; `already`: so was the one before the attack. `epsilon` is that of the attack that succeeded,
    or of the last one. `target` is the requested class, `spec` the input of the network.
    """

    subject: Subject
    aim: Aim
    adversarial: Adversarial
    epsilon: int | float | None
    after: Prediction
    fooled: bool
    already: bool
    file: bytes
    target: str | None
    spec: InputSpec


def attack_named(name: str) -> AttackMethod:
    """Return an attack by its name, ignoring case; hyphens count as underscores.

    Raises:
        AttackError: there is no such attack; the message offers the nearest name.
    """
    return ATTACKS[name.strip().lower().replace("-", "_")]


def fool_subject(
    classifier: Classifier, subject: Subject, request: AttackRequest, *, progress: Progress = silent
) -> Fooled:
    """Attack one image, with growing ε until the attack succeeds, unless an ε is given.

    Raises:
        ConfigError: an ε or a norm is given, and the attack has none.
        AttackError: the ε or norm is not supported, or the network is not.
    """
    stage = f"fooling with {Path(subject.prediction.name).name}"
    aim = _aim(subject.prediction, None if request.target is None else classifier.labels.classes[request.target])
    start = (_on_original if request.through_preparation else _on_input)(classifier, subject)
    *earlier, last = _radii(request)
    for number, epsilon in enumerate(earlier):
        outcome = _attempt(classifier, subject, request, aim, start, epsilon)
        progress(stage, number + 1, len(earlier) + 1)
        if outcome.fooled or outcome.already:
            return outcome
    return _attempt(classifier, subject, request, aim, start, last)


def _attempt(
    classifier: Classifier,
    subject: Subject,
    request: AttackRequest,
    aim: Aim,
    start: _Start,
    epsilon: int | float | None,
) -> Fooled:
    model, goal = _attacked(classifier, aim)
    found = request.method.function(model, start.path, start.pixels, goal, **_settings(request, epsilon))
    file = start.file(found.adversarial[0])
    before, already = subject.prediction, bool(found.already[0])
    after = replace(classifier.predict(decode(file, classifier.input)), name=before.name)
    return Fooled(
        subject, aim, found, epsilon, after, fooled=not already and aim.reached(before, after), already=already,
        file=file, target=None if request.target is None else aim.label, spec=classifier.input,
    )  # fmt: skip


def _aim(before: Prediction, target: str | None) -> Aim:
    if before.labels is None:
        return Aim(target or before.label, reaches=target is not None, several=False)
    return Aim(target or before.label, reaches=target is not None or not before.labels, several=True)


def _attacked(classifier: Classifier, aim: Aim) -> tuple[nn.Module, Goal]:
    """Return the network to attack, and the goal: of several labels, only the one of `aim` counts."""
    number, task = classifier.labels.classes.index(aim.label), classifier.task
    if not isinstance(task, Multilabel):
        return classifier.model, Targeted(number) if aim.reaches else Untargeted()
    threshold = task.threshold_of_each(len(classifier.labels))[number].item()
    one = OneLabel(classifier.model, number, threshold=threshold, temperature=classifier.temperature)
    return one, Targeted(0) if aim.reaches else Untargeted(0)


@dataclass(frozen=True, eq=False)
class _Start:
    """The attacked `pixels` (1 h w c), with channels in the network's order.

    `path` leads from them to the input of the network; `file` encodes changed pixels as a PNG.
    """

    path: InputSpec | ThroughPreparation
    pixels: Any
    file: Callable[[_FilePixels], bytes]


def _on_input(classifier: Classifier, subject: Subject) -> _Start:
    """Start from the prepared pixels of the network's input; the PNG is marked as prepared."""
    spec = classifier.input
    pixels = np.ascontiguousarray(np.moveaxis(prepare(subject.decoded, spec), 0, -1)[None])
    return _Start(spec, pixels, partial(to_png, channels=spec.channels, prepared_for=spec))


def _on_original(classifier: Classifier, subject: Subject) -> _Start:
    """Start from the pixels of the original image; they are encoded, decoded and prepared before they are evaluated."""
    spec, decoded = classifier.input, subject.decoded
    pixels = np.ascontiguousarray(arrange(decoded.pixels[None], decoded.channels, spec))
    path = ThroughPreparation(
        spec, differentiable=partial(prepare_tensors, spec=spec), exact=partial(reread, spec=spec)
    )
    return _Start(path, pixels, partial(to_png, channels=spec.channels))


def attack_sheet(fooled: Fooled, *, theme: Theme = LIGHT) -> Figure:
    """Draw the image, the change and the result."""
    verdict = "fooled, as read back from its file" if fooled.fooled else "not fooled"
    spec, adversarial = fooled.spec, fooled.adversarial
    before, after = (_intensities(pixels[0], spec) for pixels in (adversarial.original, adversarial.adversarial))
    return fooling(
        in_eight_bits(before, spec.channels),
        in_eight_bits(after, spec.channels),
        255 * (ordered(after, spec.channels) - ordered(before, spec.channels)),
        caption_before=(answer(fooled.subject.prediction),),
        caption_after=(answer(fooled.after), verdict),
        title=_title(fooled),
        theme=theme,
    )


def _title(fooled: Fooled) -> str:
    before, after, aim = fooled.subject.prediction, fooled.after, fooled.aim
    if aim.several:
        verb = "added" if aim.reaches else "removed"
        return f"Label {aim.label} {verb}" if fooled.fooled else f"Label {aim.label} not {verb}"
    if fooled.fooled:
        return f"{before.label} predicted as {after.label}"
    if after.none_of_these and not before.none_of_these:
        return "Recognized as none of these"
    return f"Not predicted as {aim.label}" if aim.reaches else f"Still {before.label}"


def _radii(request: AttackRequest) -> tuple[int | float | None, ...]:
    if not request.method.bounded:
        if request.epsilon is not None:
            raise ConfigError(f"{request.method.title} finds the smallest change itself and takes no epsilon.")
        return (None,)
    if request.epsilon is not None:
        return (request.epsilon,)
    return _RADII.get(request.norm, _RADII["linf"])


def _settings(request: AttackRequest, epsilon: int | float | None) -> dict[str, Any]:
    parameters = inspect.signature(request.method.function).parameters
    settings: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon}
    if "norm" in parameters:
        settings["norm"] = request.norm
    elif request.norm != "linf":
        raise ConfigError(f"{request.method.title} has no norm to choose; pgd has.")
    return settings


def _intensities(pixels: _FilePixels, spec: InputSpec) -> Float[np.ndarray, "c h w"]:
    return np.moveaxis(pixels, -1, 0).astype(np.float64) / spec.maximum
