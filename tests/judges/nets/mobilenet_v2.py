"""Keras pads these networks by TensorFlow's rule, as we do; torchvision pads both ends alike, the same on odd sides.

torchvision's epsilon is torch's unless told.
"""

import functools
from typing import Any

import keras
import torchvision
from torch import nn

from judges.parity import Judge


def _keras(width: float) -> Any:
    build: Any = keras.applications.MobileNetV2
    return build(alpha=width, weights=None, classifier_activation=None)


def _torchvision(width: float) -> nn.Module:
    norm = functools.partial(nn.BatchNorm2d, eps=1e-3)
    return torchvision.models.mobilenet_v2(width_mult=width, norm_layer=norm)


JUDGES = (
    Judge("mobilenet_v2_035", "torchvision", lambda: _torchvision(0.35), shape=(3, 225, 225)),
    Judge("mobilenet_v2_035", "keras", lambda: _keras(0.35)),
    Judge("mobilenet_v2_050", "torchvision", lambda: _torchvision(0.5), shape=(3, 225, 225)),
    Judge("mobilenet_v2_075", "torchvision", lambda: _torchvision(0.75), shape=(3, 225, 225)),
    Judge("mobilenet_v2", "torchvision", lambda: _torchvision(1.0), shape=(3, 225, 225)),
    Judge("mobilenet_v2", "keras", lambda: _keras(1.0)),
    Judge("mobilenet_v2_140", "torchvision", lambda: _torchvision(1.4), shape=(3, 225, 225)),
    Judge("mobilenet_v2_140", "keras", lambda: _keras(1.4)),
)
