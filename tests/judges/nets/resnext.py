"""ResNeXt: torchvision's, and timm's for the size that torchvision lacks."""

from __future__ import annotations

import functools

import timm
import torchvision

from judges.parity import Judge

# Small images are enough; odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 75, 62))

JUDGES = (
    _small("resnext50_32x4d", "torchvision", lambda: torchvision.models.resnext50_32x4d()),
    _small("resnext101_32x4d", "timm", lambda: timm.create_model("resnext101_32x4d")),
    _small("resnext101_32x8d", "torchvision", lambda: torchvision.models.resnext101_32x8d()),
    _small("resnext101_64x4d", "torchvision", lambda: torchvision.models.resnext101_64x4d()),
)
