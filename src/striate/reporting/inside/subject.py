"""One picture before a classifier: as it is, as the network is given it, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from striate.classifier import Classifier, Prediction
from striate.core.errors import ConfigError, nearest
from striate.core.geometry import Placement
from striate.core.names import canonical
from striate.core.spec import LabelSpec
from striate.data.decode import decode
from striate.data.picture import Picture
from striate.data.prepared import placed
from striate.data.transforms import prepare, scale


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture, the same prepared for the network, where the one lies on the other, and the answer."""

    picture: Picture
    images: Float[Tensor, "1 c h w"]
    placement: Placement
    prediction: Prediction


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
    images = scale(torch.from_numpy(np.ascontiguousarray(prepared[None])), classifier.input)
    prediction = replace(classifier.predict(picture), name=name)
    return Subject(picture, images, placed(picture, classifier.input), prediction)


def class_number(labels: LabelSpec, wanted: str | int) -> int:
    """The number of a class that is named, or numbered from 0. A name that is a number is first of all a name.

    Raises:
        ConfigError: there is no such class.
    """
    if isinstance(wanted, str) and (name := canonical(wanted)) in labels.classes:
        return labels.classes.index(name)
    if str(wanted).isdecimal() and int(wanted) < len(labels):
        return int(wanted)
    raise ConfigError(
        f"The classifier knows no class {str(wanted)!r}: a class is named, or numbered from 0 to {len(labels) - 1}. "
        f"{nearest(str(wanted), labels.classes)}"
    )
