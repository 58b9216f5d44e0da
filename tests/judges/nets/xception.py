"""Keras's, which is the author's; and timm's at 71×71 pixels.

There every map that is halved has an odd side, where padding by one at both ends is TensorFlow's rule. timm keeps
torch's epsilon; it gets Keras's here. Its shortcuts come after their branches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import timm
from torch import nn

from judges.parity import Judge


def _timm() -> nn.Module:
    network = timm.create_model("legacy_xception")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    return network


# Keras's annotations do not admit the None that its documentation asks for.
_KERAS: Callable[..., Any] = keras.applications.Xception

_BLOCKS = {
    "block1": "entry.block1",
    "block2": "entry.block2",
    "block3": "entry.block3",
    "block12": "exit.block",
}

JUDGES = (
    Judge(
        "xception",
        "timm",
        _timm,
        shape=(3, 71, 71),
        rename={
            f"{theirs}.{part}": f"{ours}.shortcut.{layer}"
            for theirs, ours in _BLOCKS.items()
            for part, layer in (("skip", "conv"), ("skipbn", "norm"))
        },
    ),
    Judge(
        "xception",
        "keras",
        lambda: _KERAS(weights=None, classifier_activation=None, input_shape=(104, 75, 3)),
        shape=(3, 104, 75),
    ),
)
