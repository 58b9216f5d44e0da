"""Keras pads these networks by TensorFlow's rule, as we do; timm pads both ends alike, which on odd sides is the same.

Keras's epsilon is TensorFlow's, too; timm's is torch's unless told.
"""

from typing import Any

import keras
import timm

from judges.parity import Judge


def _keras(width: float) -> Any:
    build: Any = keras.applications.MobileNet
    return build(alpha=width, weights=None, classifier_activation=None)


def _timm() -> object:
    return timm.create_model("mobilenetv1_100", bn_eps=1e-3)


JUDGES = (
    Judge("mobilenet_v1_025", "keras", lambda: _keras(0.25)),
    Judge("mobilenet_v1_050", "keras", lambda: _keras(0.5)),
    Judge("mobilenet_v1_075", "keras", lambda: _keras(0.75)),
    Judge("mobilenet_v1", "keras", lambda: _keras(1.0)),
    Judge("mobilenet_v1", "timm", _timm, shape=(3, 225, 225)),
)
