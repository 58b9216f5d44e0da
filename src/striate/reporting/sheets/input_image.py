"""One image before a network: as it is, as the network is given it, and what the network answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.classifier import Classifier, Prediction
from striate.core.errors import ConfigError, nearest
from striate.core.geometry import Placement
from striate.core.names import canonical
from striate.data.images.decode import decode
from striate.data.images.decoded import Picture
from striate.data.preparation.prepared import placed
from striate.data.preparation.transforms import prepare, scale
from striate.reporting.sheets.rgb import Pixels, shown_input
from striate.tasks import CLASSIFICATION, Task


@dataclass(frozen=True, eq=False)
class Answered:
    """An image prepared for a network, and the answer.

    `given` is what the network is given, for the eye. `answer` is the number of the predicted class. `task` is what
    the network has learned.
    """

    images: Float[Tensor, "1 c h w"]
    given: Pixels
    answer: int
    prediction: Prediction
    task: Task = field(default=CLASSIFICATION, kw_only=True)


@dataclass(frozen=True, eq=False)
class Subject(Answered):
    """The same with the image as it is, and where the one lies on the other."""

    picture: Picture
    placement: Placement


def look_at(classifier: Classifier, path: Path, *, whole: bool = False) -> Subject:
    """The picture of a file; `whole`: with all its pixels, also where fewer would do for the network.

    Raises:
        Unreadable: it cannot be read, or does not have the channels that the network takes.
    """
    spec = replace(classifier.input, decode_scale=0.0) if whole else classifier.input
    return subject_of(classifier, decode(path, spec), str(path))


def subject_of(classifier: Classifier, picture: Picture, name: str) -> Subject:
    """A picture that has been decoded."""
    prepared = prepare(picture, classifier.input)
    images = scale(torch.from_numpy(np.stack([prepared])), classifier.input)
    prediction = replace(classifier.predict(picture), name=name)
    given = shown_input(images[0].numpy(), classifier.input)
    answer = classifier.labels.classes.index(prediction.label)
    return Subject(images, given, answer, prediction, picture, placed(picture, classifier.input), task=classifier.task)


def class_number(classes: Sequence[str], wanted: str | int) -> int:
    """The number of a class that is named, or numbered from 0. A name that is a number is first of all a name.

    Raises:
        ConfigError: there is no such class.
    """
    if isinstance(wanted, str) and (name := canonical(wanted)) in classes:
        return classes.index(name)
    if str(wanted).isdecimal() and len(str(wanted)) < 10 and int(wanted) < len(classes):
        return int(wanted)
    raise ConfigError(
        f"The classifier knows no class {str(wanted)!r}: a class is named, or numbered from 0 to {len(classes) - 1}. "
        f"{nearest(str(wanted), classes)}"
    )
