"""Describe a network before any training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError

if TYPE_CHECKING:
    from striate.models import Description, Unshared


@dataclass(frozen=True)
class Summary:
    """A network laid open; `unshared` is what its convolutions would need without weight sharing, if it was asked."""

    model: str
    description: Description
    unshared: tuple[Unshared, ...]

    def __repr__(self) -> str:
        return f"Summary({self.model!r}: {self.description!r})"

    def _repr_html_(self) -> str:
        return self.description._repr_html_()


def summary(
    model: str,
    /,
    *,
    size: str | None = None,
    channels: int | None = None,
    classes: int | None = None,
    unshared: bool = False,
) -> Summary:
    """Describe a network layer by layer: shapes, parameters, multiply-accumulates, receptive fields, memory.

    Nothing is trained and no picture is needed. What is not given is the model card's; of a network written down,
    224x224 pixels in RGB.

    Example:
        striate.summary("lenet5", size="28x28")

    Args:
        model: the name of a network, as 'striate models' lists them, or one written down, as in
            "(conv3-32 relu)*2 pool2 fc512 relu".
        size: height and width of the input, as in 64 or 48x64.
        channels: channels of the input (1 for grey, 3 for RGB).
        classes: number of classes.
        unshared: tell too what the convolutions would need without weight sharing, locally and fully connected.

    Raises:
        ModelError: there is no such network, or it does not admit this input; the sentence names the smallest that
            it does.
    """
    from striate import models

    usual, usual_classes = models.usual_input(model)
    shape = (usual[0] if channels is None else channels, *(_size(size) if size else usual[1:]))
    sketch = models.sketch_model(
        model, classes=usual_classes if classes is None else classes, channels=shape[0], size=shape[1:]
    )
    layers = models.unshared(sketch, shape) if unshared else ()
    return Summary(model, models.describe(sketch, shape), layers)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+)(?:\s*[x×,]\s*([0-9]+))?", text.strip())
    if match is None:
        raise ConfigError(f"A size is one number, or height x width as in 48x64; received {text!r}.")
    return int(match[1]), int(match[2] or match[1])
