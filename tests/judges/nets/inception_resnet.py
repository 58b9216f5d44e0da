"""timm and Keras have the network that the authors published; no library has the paper's sizes.

Keras's batch norm has no scale; torch's scale of 1 does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import timm

from judges.parity import Judge

_SHAPE = (3, 139, 112)
# Keras's annotations do not admit the None that its documentation asks for.
_KERAS: Callable[..., Any] = keras.applications.InceptionResNetV2

JUDGES = (
    Judge("inception_resnet_v2", "timm", lambda: timm.create_model("inception_resnet_v2"), shape=_SHAPE),
    Judge(
        "inception_resnet_v2",
        "keras",
        lambda: _KERAS(weights=None, classifier_activation=None, input_shape=(139, 112, 3)),
        shape=_SHAPE,
        only_ours={"weight": 1.0},
    ),
)
