"""timm's `legacy_` models are the authors' Caffe networks: strides and pooling as there."""

import timm

from judges.parity import Judge

JUDGES = (
    Judge("se_resnet50", "timm", lambda: timm.create_model("legacy_seresnet50")),
    Judge("se_resnet101", "timm", lambda: timm.create_model("legacy_seresnet101")),
    Judge("se_resnet152", "timm", lambda: timm.create_model("legacy_seresnet152")),
    Judge("se_resnext50_32x4d", "timm", lambda: timm.create_model("legacy_seresnext50_32x4d")),
    Judge("se_resnext101_32x4d", "timm", lambda: timm.create_model("legacy_seresnext101_32x4d")),
    Judge("senet154", "timm", lambda: timm.create_model("legacy_senet154")),
)
