"""ResNet: torchvision's for the usual form, with strides exchanged and Keras's for the paper's, timm's for 200."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import timm
import torchvision
from torchvision.models.resnet import Bottleneck, ResNet

from judges.parity import Judge

# Small images are enough; odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 75, 62))


def _as_in_the_paper(build: Callable[[], ResNet]) -> ResNet:
    """torchvision's net with the strides of each bottleneck's first two convolutions exchanged."""
    network = build()
    for block in network.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return network


def _keras_resnet50() -> Any:
    """Its shortcuts come before their branches; its convolutions have biases, which batch norm takes away."""
    build: Callable[..., Any] = keras.applications.ResNet50
    return build(weights=None, classifier_activation=None, input_shape=(75, 62, 3))


# By Keras's names, whose conv2 is the first stage.
_KERAS_SHORTCUTS = {
    f"conv{stage + 1}_block1_0_{theirs}": f"stage{stage}.block1.shortcut.{ours}"
    for stage in (1, 2, 3, 4)
    for theirs, ours in (("conv", 0), ("bn", 1))
}

JUDGES = (
    _small("resnet18", "torchvision", torchvision.models.resnet18),
    _small("resnet34", "torchvision", torchvision.models.resnet34),
    _small("resnet50", "torchvision", torchvision.models.resnet50),
    _small("resnet101", "torchvision", torchvision.models.resnet101),
    _small("resnet152", "torchvision", torchvision.models.resnet152),
    _small("resnet200", "timm", lambda: timm.create_model("resnet200")),
    _small("resnet50_2015", "torchvision", lambda: _as_in_the_paper(torchvision.models.resnet50)),
    _small("resnet101_2015", "torchvision", lambda: _as_in_the_paper(torchvision.models.resnet101)),
    _small("resnet152_2015", "torchvision", lambda: _as_in_the_paper(torchvision.models.resnet152)),
    _small(
        "resnet50_2015",
        "keras",
        _keras_resnet50,
        rename=_KERAS_SHORTCUTS,
        only_theirs={"bias": 0.0},
        norms_differ="Keras has 1.001e-5",
        double=True,
    ),
)
