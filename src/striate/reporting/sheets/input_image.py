"""An image for a network: decoded, prepared, and with the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.classifier import Classifier, Prediction
from striate.classifier.images import ImageLike, as_image
from striate.core.errors import ConfigError, nearest
from striate.core.geometry import Placement
from striate.core.names import canonical
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.reporting.sheets.rgb import Pixels, shown_input
from striate.tasks import CLASSIFICATION, Task


@dataclass(frozen=True, eq=False)
class Answered:
    """An image prepared for a network, and the prediction.

    `given` is the input of the network as pixels. `answer` is the number of the predicted class. `task` is what the
    network has learned.
    """

    images: Float[Tensor, "1 c h w"]
    given: Pixels
    answer: int
    prediction: Prediction
    task: Task = field(default=CLASSIFICATION, kw_only=True)


@dataclass(frozen=True, eq=False)
class Subject(Answered):
    """The same with the decoded image, and the placement of the input on it."""

    decoded: DecodedImage
    placement: Placement


def look_at(classifier: Classifier, image: ImageLike, name: str, *, whole: bool = False) -> Subject:
    """Decode and prepare an image; if `whole`, with all its pixels, even where the input needs fewer.

    Raises:
        Unreadable: the file cannot be read, or lacks the channels of the network's input.
        DataError: it is not an image, or an ambiguous one.
    """
    spec = replace(classifier.input, decode_scale=0.0) if whole else classifier.input
    return subject_of(classifier, as_image(image, spec), name)


def subject_of(classifier: Classifier, decoded: DecodedImage, name: str) -> Subject:
    """Prepare a decoded image and predict its class."""
    prepared = prepare(decoded, classifier.input)
    images = scale(torch.from_numpy(np.stack([prepared])), classifier.input)
    prediction = replace(classifier.predict(decoded), name=name)
    given = shown_input(images[0].numpy(), classifier.input)
    answer = classifier.labels.classes.index(prediction.label)
    placement = decoded.placement(classifier.input)
    return Subject(images, given, answer, prediction, decoded, placement, task=classifier.task)


@dataclass(frozen=True, eq=False)
class RunNetwork:
    """The network of a run, with the interface of `OwnNetwork`."""

    classifier: Classifier
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> nn.Module:
        return self.classifier.model

    def look(self, image: Any, name: str) -> Subject:
        """Prepare an image of any kind and predict its class.

        Raises:
            DataError: it is not an image.
            Unreadable: the file cannot be read.
        """
        return look_at(self.classifier, image, name)

    def classes(self, count: int) -> tuple[str, ...]:
        """Return the names of the `count` outputs."""
        return self.classifier.labels.classes


def class_number(classes: Sequence[str], wanted: str | int) -> int:
    """Return the number of a class given by its name, or by its number from 0. A class may be named by a number.

    Raises:
        ConfigError: there is no such class.
    """
    if isinstance(wanted, str) and (name := canonical(wanted)) in classes:
        return classes.index(name)
    if str(wanted).isdecimal() and len(str(wanted)) < 10 and int(wanted) < len(classes):
        return int(wanted)
    raise ConfigError(
        f"There is no class {str(wanted)!r}: give its name, or its number from 0 to {len(classes) - 1}. "
        f"{nearest(str(wanted), classes)}"
    )
