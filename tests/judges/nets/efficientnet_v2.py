"""timm pads B0 to B3 by TensorFlow's rule by default. Small images are enough."""

import functools

import timm
from torchvision import models

from judges.parity import Judge

_small = functools.partial(Judge, shape=(3, 96, 64))

JUDGES = (
    _small("efficientnet_v2_b0", "timm", lambda: timm.create_model("tf_efficientnetv2_b0", pad_type="")),
    _small("efficientnet_v2_b1", "timm", lambda: timm.create_model("tf_efficientnetv2_b1", pad_type="")),
    _small("efficientnet_v2_b2", "timm", lambda: timm.create_model("tf_efficientnetv2_b2", pad_type="")),
    _small("efficientnet_v2_b3", "timm", lambda: timm.create_model("tf_efficientnetv2_b3", pad_type="")),
    _small("efficientnet_v2_s", "torchvision", models.efficientnet_v2_s),
    _small("efficientnet_v2_m", "torchvision", models.efficientnet_v2_m),
    _small("efficientnet_v2_l", "torchvision", models.efficientnet_v2_l),
)
