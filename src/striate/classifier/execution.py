"""Another program that answers as a classifier's network does, such as an exported file in its runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from striate.classifier.classifier import Classifier


@dataclass(frozen=True, eq=False)
class Execution:
    """A function that answers as a classifier, and what it is, in words: `name`.

    `run` takes prepared images (n, c, h, w), not scaled, and returns probabilities; of a classifier with a reference
    also p-values, whether each image is of none of the classes, and similarities (`Limits`). It
    is used as long as the classifier has this `state`.
    """

    run: Callable[[np.ndarray], Sequence[np.ndarray]]
    name: str
    state: tuple[Any, ...]


def state_of(classifier: Classifier) -> tuple[Any, ...]:
    """Return what changes if the classifier answers differently: its parts, and the versions of its tensors."""
    model = classifier.model
    versions = sum(tensor._version for tensor in (*model.parameters(), *model.buffers()))
    return id(model), versions, classifier.input, classifier.temperature, id(classifier.reference)
