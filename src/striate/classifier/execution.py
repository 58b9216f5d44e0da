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

    `identity` names the runtime and the content of the file, wherever the file lies. `run` takes prepared images
    (n, c, h, w), not scaled, and returns probabilities; of a classifier with a reference also p-values, whether each
    image is of none of the classes, and similarities (`Limits`). It is used as long as the classifier has this `state`.
    """

    run: Callable[[np.ndarray], Sequence[np.ndarray]]
    name: str
    identity: str
    state: tuple[Any, ...]


def state_of(classifier: Classifier) -> tuple[Any, ...]:
    """Return what changes if the classifier answers differently: its parts, and versions and places of its tensors.

    Only a change through `tensor.data`, which torch does not count either, goes unnoticed.
    """
    model = classifier.model
    tensors = tuple((tensor._version, tensor.data_ptr()) for tensor in (*model.parameters(), *model.buffers()))
    return id(model), tensors, classifier.input, classifier.temperature, id(classifier.reference)
