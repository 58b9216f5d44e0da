"""ResNet-D: timm's."""

from __future__ import annotations

import functools

import timm

from judges.parity import Judge

# Small images are enough; odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 75, 62))

JUDGES = (
    _small("resnet50d", "timm", lambda: timm.create_model("resnet50d")),
    _small("resnet101d", "timm", lambda: timm.create_model("resnet101d")),
    _small("resnet152d", "timm", lambda: timm.create_model("resnet152d")),
)
