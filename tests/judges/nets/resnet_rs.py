"""ResNet-RS: timm's."""

from __future__ import annotations

import functools

import timm

from judges.parity import Judge

# Small images are enough; odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 75, 62))

JUDGES = (
    _small("resnet_rs50", "timm", lambda: timm.create_model("resnetrs50")),
    _small("resnet_rs101", "timm", lambda: timm.create_model("resnetrs101")),
    _small("resnet_rs152", "timm", lambda: timm.create_model("resnetrs152")),
    _small("resnet_rs200", "timm", lambda: timm.create_model("resnetrs200")),
    _small("resnet_rs270", "timm", lambda: timm.create_model("resnetrs270")),
    _small("resnet_rs350", "timm", lambda: timm.create_model("resnetrs350")),
    _small("resnet_rs420", "timm", lambda: timm.create_model("resnetrs420")),
)
