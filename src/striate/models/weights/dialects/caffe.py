"""Caffe: networks as their authors published them, fed BGR from 0 to 255 minus a mean.

SqueezeNet is https://github.com/forresti/SqueezeNet.
"""

from __future__ import annotations

from striate.core.spec import InputSpec
from striate.models.weights.dialects.dialect import Dialect, Rules

BGR = ("blue", "green", "red")

SQUEEZENET_INPUT = InputSpec(
    channels=BGR,
    height=227,
    width=227,
    mean=(104 / 255, 117 / 255, 123 / 255),  # in the source, values are from 0 to 255
    std=(1 / 255, 1 / 255, 1 / 255),
)

CAFFE = Dialect(
    "caffe",
    "Caffe",
    {
        r"squeezenet1_\d": Rules(
            ours=((r"^features\.", ""), (r"\bsqueeze\.", "squeeze1x1.")),
            input=SQUEEZENET_INPUT,
        )
    },
)
