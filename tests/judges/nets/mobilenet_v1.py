"""timm pads these networks alike at both ends, which on odd sides is TensorFlow's rule, as we have it and Keras.

timm's epsilon is torch's unless told, and it registers full width only: thinner ones are made by its inner function.
"""

from typing import Any

import keras
import timm
from timm.models import efficientnet
from torch import nn

from judges.parity import Judge


def _keras(width: float) -> Any:
    build: Any = keras.applications.MobileNet
    return build(alpha=width, weights=None, classifier_activation=None)


def _timm(width: float) -> nn.Module:
    if width == 1:
        return timm.create_model("mobilenetv1_100", bn_eps=1e-3)
    return efficientnet._gen_mobilenet_v1("mobilenetv1_100", width, bn_eps=1e-3)


JUDGES = (
    Judge("mobilenet_v1_025", "timm", lambda: _timm(0.25), shape=(3, 225, 225)),
    Judge("mobilenet_v1_025", "keras", lambda: _keras(0.25)),
    Judge("mobilenet_v1_050", "timm", lambda: _timm(0.5), shape=(3, 225, 225)),
    Judge("mobilenet_v1_050", "keras", lambda: _keras(0.5)),
    Judge("mobilenet_v1_075", "timm", lambda: _timm(0.75), shape=(3, 225, 225)),
    Judge("mobilenet_v1_075", "keras", lambda: _keras(0.75)),
    Judge("mobilenet_v1", "timm", lambda: _timm(1.0), shape=(3, 225, 225)),
    Judge("mobilenet_v1", "keras", lambda: _keras(1.0)),
)
