"""A classifier fooled: the smallest change of a picture that turns its answer, and the sheet that shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.classifier import Classifier, Prediction
from striate.core.errors import ConfigError
from striate.core.progress import Progress, silent
from striate.data.images.decode import decode
from striate.explaining.adversarial import ATTACKS, Adversarial, AttackMethod, Away, Towards
from striate.plot import LIGHT, Theme, fooling
from striate.reporting.numbers import percent
from striate.reporting.sheets.attack_input import Start, on_grid, on_photo
from striate.reporting.sheets.input_image import Subject
from striate.reporting.sheets.rgb import Pixels, in_eight_bits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RADII = {"linf": (1, 2, 3, 4, 6, 8, 12, 16), "l2": (32, 64, 128, 256, 512, 1024)}
"""Tried one after another where no ε is asked for: in grey levels of 0 to 255."""


@dataclass(frozen=True)
class Wish:
    """How to fool: the attack, its ε and norm where it has them (None lets the smallest that suffices be found), and
    the class that the answer is to be, if not any other. `through_preparation`: the photo itself is changed, before it
    is prepared."""

    method: AttackMethod
    epsilon: int | float | None = None
    norm: str = "linf"
    target: int | None = None
    through_preparation: bool = False


@dataclass(frozen=True, eq=False)
class Fooled:
    """What came of an attack on one picture.

    `fooled`: the answer is as it was to be, when the picture that was written is read back: `after`. `already`: it was
    so before anything was changed. `epsilon` is that of the attack that succeeded, or of the last one. `file` is the
    changed picture as a PNG.
    """

    subject: Subject
    adversarial: Adversarial
    epsilon: int | float | None
    after: Prediction
    fooled: bool
    already: bool
    file: bytes


def attack_named(name: str) -> AttackMethod:
    """An attack by its name, in which hyphens and capitals do not matter.

    Raises:
        AttackError: there is none of this name; the nearest is offered.
    """
    return ATTACKS[name.strip().lower().replace("-", "_")]


def fool_subject(classifier: Classifier, subject: Subject, wish: Wish, *, progress: Progress = silent) -> Fooled:
    """Attack one picture, with a growing ε until it fools, unless one ε is asked for.

    Raises:
        ConfigError: the attack has no ε, or no norm, and one was asked for.
        AttackError: there is no such ε or norm, or the network is not one that the attack is made for.
    """
    start = (on_photo if wish.through_preparation else on_grid)(classifier, subject)
    stage = f"fooling with {Path(subject.prediction.name).name}"
    found, epsilon = _attacked(classifier, start, wish, partial(progress, stage))
    file = start.file(found.adversarial[0])
    after = replace(classifier.predict(decode(file, classifier.input)), name=subject.prediction.name)
    turned = after.label != subject.prediction.label if wish.target is None else _is(classifier, after, wish.target)
    return Fooled(subject, found, epsilon, after, bool(turned and not found.already[0]), bool(found.already[0]), file)


def _attacked(
    classifier: Classifier, start: Start, wish: Wish, progress: Callable[[int, int], None]
) -> tuple[Adversarial, int | float | None]:
    """The first attempt that fools, or the last, and its ε."""
    goal = Away() if wish.target is None else Towards(wish.target)
    *earlier, last = _radii(wish)
    for number, epsilon in enumerate(earlier):
        found = wish.method.function(classifier.model, start.road, start.pixels, goal, **_settings(wish, epsilon))
        progress(number + 1, len(earlier) + 1)
        if found.fooled[0] or found.already[0]:
            return found, epsilon
    return wish.method.function(classifier.model, start.road, start.pixels, goal, **_settings(wish, last)), last


def fooling_sheet(fooled: Fooled, classifier: Classifier, *, theme: Theme = LIGHT) -> Figure:
    """The picture, the change and the result."""
    before, after = fooled.subject.prediction, fooled.after
    pixels = [_eyes(each[0], classifier) for each in (fooled.adversarial.original, fooled.adversarial.adversarial)]
    verdict = "fooled, read back from its file" if fooled.fooled else "not fooled"
    return fooling(
        *pixels,
        caption_before=(_said(before),),
        caption_after=(_said(after), verdict),
        title=f"{before.label} taken for {after.label}" if fooled.fooled else f"Still {before.label}",
        theme=theme,
    )


def _radii(wish: Wish) -> tuple[int | float | None, ...]:
    if not wish.method.bounded:
        if wish.epsilon is not None:
            raise ConfigError(f"{wish.method.title} looks for the smallest change itself and takes no epsilon.")
        return (None,)
    if wish.epsilon is not None:
        return (wish.epsilon,)
    return _RADII.get(wish.norm, _RADII["linf"])


def _settings(wish: Wish, epsilon: int | float | None) -> dict[str, Any]:
    parameters = inspect.signature(wish.method.function).parameters
    settings: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon}
    if "norm" in parameters:
        settings["norm"] = wish.norm
    elif wish.norm != "linf":
        raise ConfigError(f"{wish.method.title} has no norm to choose; pgd has.")
    return settings


def _is(classifier: Classifier, prediction: Prediction, number: int) -> bool:
    return prediction.label == classifier.labels.classes[number]


def _eyes(pixels: np.ndarray, classifier: Classifier) -> Pixels:
    shares = np.moveaxis(pixels, -1, 0).astype(np.float32) / classifier.input.maximum
    return in_eight_bits(shares, classifier.input.channels)


def _said(prediction: Prediction) -> str:
    return f"{prediction.label}, {percent(prediction.probability)}"
