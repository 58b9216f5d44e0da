"""What spoke for wrong answers: a map over each of a report's mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from striate.classifier import Classifier
from striate.core.errors import StriateError
from striate.data.images.decoded import Picture
from striate.data.preparation.transforms import prepare, scale
from striate.explaining import METHODS
from striate.plot import overlay
from striate.reporting.sheets.explanation import USUAL
from striate.reporting.sheets.rgb import shown_input

Rgb = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, eq=False)
class Why:
    """A map over each picture, as the network is given it, and in words how it was made."""

    pictures: tuple[Rgb, ...]
    method: str


def why(classifier: Classifier, pictures: Sequence[Picture], answers: Sequence[int]) -> Why | str:
    """What spoke for the class `answers[i]` in each image; a sentence where that cannot be explained.

    A network may be one that the method is not made for (`StriateError`), or do what torch refuses (`RuntimeError`:
    an operation without a gradient, no memory left). Anything else is a defect and is raised.
    """
    prepared = np.stack([prepare(picture, classifier.input) for picture in pictures])
    images = scale(torch.from_numpy(prepared), classifier.input)
    method = METHODS[USUAL]
    try:
        found = method.function(classifier.model, images, list(answers), task=classifier.task)
    except (StriateError, RuntimeError) as error:
        return f"{method.title} cannot explain this network: {str(error).splitlines()[0]}"
    drawn = [
        overlay(shown_input(image.numpy(), classifier.input), values)
        for image, values in zip(images, found.map(), strict=True)
    ]
    place = f" at {found.at}" if found.at else ""
    return Why(tuple(drawn), f"{found.method.title}{place}")
