"""Accuracy of a network when every image may be changed by up to ε."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from torch import nn

from striate.core.proportion import Proportion
from striate.core.spec import InputSpec
from striate.explaining.adversarial.attack import ATTACKS
from striate.explaining.adversarial.goal import Untargeted
from striate.explaining.adversarial.pixels import AttackError, InputPath, OnGrid, Pixels, checked


@dataclass(frozen=True, eq=False)
class Curve:
    """Accuracy against ε, in pixel units of 0–255.

    `smallest` (n): the smallest of `epsilons` within which an attack changed the image's class; 0 where the network is
    wrong from the start, ∞ where none was found. An attack that finds nothing proves nothing: the curve bounds the
    accuracy from above.
    """

    attack: str
    settings: Mapping[str, Any]
    epsilons: Float64[np.ndarray, " m"]
    labels: Int64[np.ndarray, " n"]
    smallest: Float64[np.ndarray, " n"]

    @property
    def accuracies(self) -> tuple[Proportion, ...]:
        """For each ε, the fraction of images that are right and withstand all attacks within ε, with its interval."""
        return tuple(Proportion(int((self.smallest > epsilon).sum()), len(self.labels)) for epsilon in self.epsilons)


def accuracy_curve(
    model: nn.Module,
    spec: InputSpec | InputPath,
    pixels: Pixels,
    labels: Sequence[int] | Int64[np.ndarray, " n"],
    *,
    attack: str = "pgd",
    epsilons: Sequence[int | float] = (0, 1, 2, 4, 8, 16),
    **settings: Any,
) -> Curve:
    """Measure the accuracy of `model` on `pixels` (n h w c) of the classes `labels` under an attack.

    A change within ε is within every larger ε too, so each ε is tried only on images that withstood the smaller ones.
    `settings` are those of the attack.

    Raises:
        AttackError: there is no such attack, or it takes no ε; there is no ε; the pixels or labels are invalid.
    """
    method = ATTACKS[attack]
    if not method.bounded:
        raise AttackError(f"{method.title} takes no epsilon, so it has no curve: use fgsm or pgd.")
    if not len(epsilons):
        raise AttackError("A curve needs at least one epsilon; received none.")
    given = checked(pixels, OnGrid(spec) if isinstance(spec, InputSpec) else spec)
    classes = np.asarray(labels, np.int64)
    if classes.shape != (len(given),):
        raise AttackError(f"There are {len(given)} images and {classes.size} labels: give the class of each.")
    smallest = np.full(len(given), np.inf)
    left = np.arange(len(given))
    for epsilon in (0, *sorted(epsilons)):
        result = method.function(
            model, spec, given[left], Untargeted(classes[left].tolist()), epsilon=epsilon, **settings
        )
        smallest[left[result.fooled]] = epsilon
        smallest[left[result.before.classes != classes[left]]] = 0
        left = left[np.isinf(smallest[left])]
        if not len(left):
            break
    return Curve(attack, settings, np.array(sorted(epsilons), np.float64), classes, smallest)
