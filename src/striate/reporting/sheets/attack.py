"""Adversarial attacks on one image: the smallest change that suffices, and its sheet."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8, UInt16

from striate.classifier import Classifier, Prediction
from striate.core.errors import ConfigError
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.images.decode import decode
from striate.data.images.encode import to_png
from striate.data.preparation.arrays import prepare, reread
from striate.data.preparation.colour import arrange
from striate.data.preparation.tensors import prepare_tensors
from striate.explaining.adversarial import ATTACKS, Adversarial, AttackMethod, Targeted, ThroughPreparation, Untargeted
from striate.plot import LIGHT, Theme, fooling
from striate.reporting.sheets.input_image import Subject
from striate.reporting.sheets.results import answer
from striate.reporting.sheets.rgb import Pixels, in_eight_bits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FilePixels = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]
_RADII = {"linf": (1, 2, 3, 4, 6, 8, 12, 16), "l2": (32, 64, 128, 256, 512, 1024)}
"""Values of ε tried in turn if none is given, in grey levels of 0 to 255."""


@dataclass(frozen=True)
class AttackRequest:
    """An attack and its settings.

    `epsilon` None stands for the smallest of a few values that suffices. `target` is the class to reach; None is any
    class but the predicted one. `through_preparation` changes the original image, before it is prepared.
    """

    method: AttackMethod
    epsilon: int | float | None = None
    norm: str = "linf"
    target: int | None = None
    through_preparation: bool = False


@dataclass(frozen=True, eq=False)
class Fooled:
    """The outcome of an attack on one image.

    `file` is the changed image as a PNG, `after` the prediction for it after reading it back. `fooled`: that prediction
    is what was requested; `already`: so was the one before the attack. `epsilon` is that of the attack that succeeded,
    or of the last one. `target` is the requested class, `spec` the input of the network.
    """

    subject: Subject
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
    start = (_on_original if request.through_preparation else _on_input)(classifier, subject)
    stage = f"fooling with {Path(subject.prediction.name).name}"
    found, epsilon = _attacked(classifier, start, request, partial(progress, stage))
    file = start.file(found.adversarial[0])
    before, already = subject.prediction, bool(found.already[0])
    after = replace(classifier.predict(decode(file, classifier.input)), name=before.name)
    target = None if request.target is None else classifier.labels.classes[request.target]
    reached = after.label != before.label if target is None else after.label == target
    return Fooled(
        subject, found, epsilon, after, fooled=reached and not already, already=already, file=file, target=target,
        spec=classifier.input,
    )  # fmt: skip


def _attacked(
    classifier: Classifier, start: _Start, request: AttackRequest, progress: Callable[[int, int], None]
) -> tuple[Adversarial, int | float | None]:
    """Return the first attempt that succeeds, or the last, and its ε."""
    goal = Untargeted() if request.target is None else Targeted(request.target)
    *earlier, last = _radii(request)
    for number, epsilon in enumerate(earlier):
        found = request.method.function(classifier.model, start.path, start.pixels, goal, **_settings(request, epsilon))
        progress(number + 1, len(earlier) + 1)
        if found.fooled[0] or found.already[0]:
            return found, epsilon
    return request.method.function(classifier.model, start.path, start.pixels, goal, **_settings(request, last)), last


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
    before, after = fooled.subject.prediction, fooled.after
    pixels = [_pixels(each[0], fooled.spec) for each in (fooled.adversarial.original, fooled.adversarial.adversarial)]
    verdict = "fooled, as read back from its file" if fooled.fooled else "not fooled"
    return fooling(
        *pixels,
        caption_before=(answer(before),),
        caption_after=(answer(after), verdict),
        title=f"{before.label} predicted as {after.label}" if fooled.fooled else f"Still {before.label}",
        theme=theme,
    )


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


def _pixels(pixels: np.ndarray, spec: InputSpec) -> Pixels:
    intensities = np.moveaxis(pixels, -1, 0).astype(np.float32) / spec.maximum
    return in_eight_bits(intensities, spec.channels)
