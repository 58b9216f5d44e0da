"""Small images are enough: the networks do not depend on their size."""

import functools

from torchvision import models

from judges.parity import Judge

_small = functools.partial(Judge, library="torchvision", shape=(3, 96, 64))

JUDGES = (
    _small("convnext_tiny", build=models.convnext_tiny),
    _small("convnext_small", build=models.convnext_small),
    _small("convnext_base", build=models.convnext_base),
    _small("convnext_large", build=models.convnext_large),
)
