"""What spoke for wrong answers: a map over each of a report's mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from striate.classifier import Classifier
from striate.data.picture import Picture
from striate.data.transforms import prepare, scale
from striate.explaining import METHODS
from striate.plot import overlay
from striate.reporting.inside.explained import USUAL
from striate.reporting.inside.visible import shown_input

Rgb = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, eq=False)
class Why:
    """A map over each picture, as the network is given it, and in words how it was made."""

    pictures: tuple[Rgb, ...]
    method: str


def why(classifier: Classifier, pictures: Sequence[Picture], answers: Sequence[int]) -> Why | None:
    """What spoke for the class `answers[i]` in each picture; None where that cannot be explained.

    A report must not fail for want of a map, whatever the reason, so no error leaves this function.
    """
    try:
        prepared = np.stack([prepare(picture, classifier.input) for picture in pictures])
        images = scale(torch.from_numpy(prepared), classifier.input)
        found = METHODS[USUAL].function(classifier.model, images, list(answers))
        maps = found.map()
        drawn = [
            overlay(shown_input(image.numpy(), classifier.input), values)
            for image, values in zip(images, maps, strict=True)
        ]
    except Exception:
        return None
    place = f" at {found.at}" if found.at else ""
    return Why(tuple(drawn), f"{found.method.title}{place}")
