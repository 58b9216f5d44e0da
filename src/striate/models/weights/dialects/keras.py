"""Keras: weights of `keras.applications` and nets after them, by the names of their layers.

Those that were converted from Caffe are fed BGR from 0 to 255 minus a mean.
"""

from __future__ import annotations

from dataclasses import replace

from striate.models.weights.dialects.caffe import SQUEEZENET_INPUT
from striate.models.weights.dialects.dialect import Dialect, Rules
from striate.models.weights.dialects.layouts import KERAS as LAYOUT

CAFFE_INPUT = replace(
    SQUEEZENET_INPUT, height=224, width=224, mean=(103.939 / 255, 116.779 / 255, 123.68 / 255), crop=0.875
)

KERAS = Dialect(
    "keras",
    "Keras",
    {
        r"squeezenet1_\d": Rules(
            ours=((r"^features\.", ""), (r"(fire\d)\.squeeze\b", "<1>/squeeze1x1"), (r"(fire\d)\.", "<1>/")),
            input=replace(CAFFE_INPUT, height=227, width=227),
        ),
    },
    LAYOUT,
)
