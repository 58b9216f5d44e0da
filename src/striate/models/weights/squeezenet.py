"""SqueezeNet 1.0 by its authors, for Caffe: https://github.com/forresti/SqueezeNet."""

from __future__ import annotations

from striate.core.spec import InputSpec
from striate.models.weights.load import meant_for

SQUEEZENET_INPUT = InputSpec(
    channels=("blue", "green", "red"),
    height=227,
    width=227,
    mean=(104 / 255, 117 / 255, 123 / 255),  # in the source, values are from 0 to 255
    std=(1 / 255, 1 / 255, 1 / 255),
)


@meant_for("squeezenet")
def squeezenet(name: str) -> str:
    """Return the path in Striate's model for the name of a tensor.

    >>> squeezenet("fire2.squeeze1x1.weight")
    'features.fire2.squeeze.weight'
    """
    name = name.replace("squeeze1x1", "squeeze")
    return name if name.startswith("conv10") else f"features.{name}"
