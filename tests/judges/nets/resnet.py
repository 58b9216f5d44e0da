"""ResNet: torchvision's for the usual form, Keras's (stride in the first 1×1) for the paper's, timm's for 200."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import timm
import torchvision

from judges.parity import Judge

# Small pictures are enough; odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 75, 62))


def _keras(name: str, build: Callable[..., Any]) -> Judge:
    """Keras's shortcuts come before their branches; its convolutions have biases, which batch norm takes away."""
    shortcuts = {
        f"conv{stage + 1}_block1_0_{theirs}": f"stage{stage}.block1.shortcut.{ours}"
        for stage in (1, 2, 3, 4)
        for theirs, ours in (("conv", 0), ("bn", 1))
    }

    def with_torchs_epsilon() -> Any:
        network = build(weights=None, classifier_activation=None, input_shape=(75, 62, 3))
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.epsilon = 1e-5  # Keras has 1.001e-5 here
        return network

    return _small(name, "keras", with_torchs_epsilon, rename=shortcuts, only_theirs={"bias": 0.0})


JUDGES = (
    _small("resnet18", "torchvision", torchvision.models.resnet18),
    _small("resnet34", "torchvision", torchvision.models.resnet34),
    _small("resnet50", "torchvision", torchvision.models.resnet50),
    _small("resnet101", "torchvision", torchvision.models.resnet101),
    _small("resnet152", "torchvision", torchvision.models.resnet152),
    _small("resnet200", "timm", lambda: timm.create_model("resnet200")),
    _keras("resnet50_2015", keras.applications.ResNet50),
    _keras("resnet101_2015", keras.applications.ResNet101),
    _keras("resnet152_2015", keras.applications.ResNet152),
)
