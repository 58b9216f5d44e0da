"""Where an attack begins, and how its result becomes a file: pixels of the network's input, or of the photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16

from striate.classifier import Classifier
from striate.core.spec import InputSpec
from striate.data.images.encode import to_png
from striate.data.preparation.colour import arrange
from striate.data.preparation.png_round_trip import reread
from striate.data.preparation.tensors import prepare_tensors
from striate.data.preparation.transforms import prepare
from striate.explaining.adversarial import ThroughPreparation
from striate.reporting.sheets.input_image import Subject

Pixels = UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]


@dataclass(frozen=True, eq=False)
class Start:
    """`pixels` (1 h w c), of channels in the network's order, that are attacked along `road`; and `file`, which makes a
    PNG of changed ones."""

    road: InputSpec | ThroughPreparation
    pixels: Any
    file: Callable[[Pixels], bytes]


def on_grid(classifier: Classifier, subject: Subject) -> Start:
    """The pixels of the network's input, as preparation gives them; the PNG says that it is prepared."""
    spec = classifier.input
    pixels = np.ascontiguousarray(np.moveaxis(prepare(subject.picture, spec), 0, -1)[None])
    return Start(spec, pixels, partial(to_png, channels=spec.channels, prepared_for=spec))


def on_photo(classifier: Classifier, subject: Subject) -> Start:
    """The pixels of the photo itself, which has been decoded whole; success is judged after writing, reading and
    preparation."""
    spec, picture = classifier.input, subject.picture
    pixels = np.ascontiguousarray(arrange(picture.pixels[None], picture.channels, spec))
    road = ThroughPreparation(spec, soft=partial(prepare_tensors, spec=spec), real=partial(reread, spec=spec))
    return Start(road, pixels, partial(to_png, channels=spec.channels))
