"""ResNet v2: timm's. Keras's nets of that name halve their maps elsewhere."""

from __future__ import annotations

import functools

import timm
from timm.layers.create_conv2d import create_conv2d
from timm.layers.norm_act import BatchNormAct2d
from timm.models.resnetv2 import ResNetV2

from judges.parity import Judge

# Small images are enough; odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 75, 62))

JUDGES = (
    _small("resnet50_v2", "timm", lambda: timm.create_model("resnetv2_50")),
    _small("resnet101_v2", "timm", lambda: timm.create_model("resnetv2_101")),
    _small("resnet152_v2", "timm", lambda: timm.create_model("resnetv2_152")),
    _small(
        "resnet200_v2",
        "timm",
        lambda: ResNetV2(layers=[3, 24, 36, 3], conv_layer=create_conv2d, norm_layer=BatchNormAct2d),
    ),
)
