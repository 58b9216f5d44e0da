"""torchvision leaves the epsilon of B0 to B4 at torch's 1e-5; the authors' is 1e-3. Small images are enough."""

import functools

from torch import nn
from torchvision import models

from judges.parity import Judge

_norm = functools.partial(nn.BatchNorm2d, eps=1e-3)
_small = functools.partial(Judge, library="torchvision", shape=(3, 96, 64))

JUDGES = (
    _small("efficientnet_b0", build=lambda: models.efficientnet_b0(norm_layer=_norm)),
    _small("efficientnet_b1", build=lambda: models.efficientnet_b1(norm_layer=_norm)),
    _small("efficientnet_b2", build=lambda: models.efficientnet_b2(norm_layer=_norm)),
    _small("efficientnet_b3", build=lambda: models.efficientnet_b3(norm_layer=_norm)),
    _small("efficientnet_b4", build=lambda: models.efficientnet_b4(norm_layer=_norm)),
    _small("efficientnet_b5", build=models.efficientnet_b5),
    _small("efficientnet_b6", build=models.efficientnet_b6),
    _small("efficientnet_b7", build=models.efficientnet_b7),
)
