"""Where an attack begins, and how its result becomes a file: pixels of the network's input, or of the photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from striate.classifier import Classifier
from striate.core.errors import ConfigError
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.transforms import prepare
from striate.plot import png
from striate.reporting.inside.subject import Subject


@dataclass(frozen=True, eq=False)
class Start:
    """`pixels` that are attacked, of channels in the network's order, and `file`, which makes a PNG of changed ones."""

    spec: InputSpec
    pixels: UInt8[np.ndarray, "1 h w c"]
    file: Callable[[UInt8[np.ndarray, "h w c"]], bytes]


def on_grid(classifier: Classifier, subject: Subject) -> Start:
    """The pixels of the network's input, as preparation gives them.

    Raises:
        ConfigError: they are not 8 bits of grey or of red, green and blue, so that no PNG could hold them.
    """
    spec = classifier.input
    prepared = prepare(subject.picture, spec)
    order = _order(spec)
    if prepared.dtype != np.uint8 or order is None:
        raise ConfigError(
            f"A picture that fools is written as a PNG of 8 bits, in grey or colours; this network takes "
            f"{prepared.dtype} of {', '.join(spec.channels)}."
        )
    pixels = np.ascontiguousarray(np.moveaxis(prepared, 0, -1)[None])
    return Start(spec, pixels, lambda changed: png(np.ascontiguousarray(changed[..., order])))


def _order(spec: InputSpec) -> list[int] | None:
    """Where red, green and blue, or grey, stand among the network's channels."""
    for known in (RGB, GREY):
        if sorted(spec.channels) == sorted(known):
            return [spec.channels.index(name) for name in known]
    return None
