"""Wide ResNet: torchvision's for ImageNet; for CIFAR timm's pre-activated blocks in the paper's arrangement."""

from __future__ import annotations

import functools

import torchvision
from timm.layers.create_conv2d import create_conv2d
from timm.layers.norm_act import BatchNormAct2d
from timm.models.resnetv2 import DownsampleConv, PreActBasic
from torch import nn

from judges.parity import Judge

# Odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 27, 22))


def _wide(layers: int, widening: int) -> nn.Module:
    block = functools.partial(
        PreActBasic, conv_layer=create_conv2d, norm_layer=BatchNormAct2d, proj_layer=DownsampleConv
    )
    modules: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    inputs = 16
    for stage in range(3):
        outputs = 16 * widening * 2**stage
        for number in range((layers - 4) // 6):
            modules.append(block(inputs, outputs, stride=2 if stage > 0 and number == 0 else 1))
            inputs = outputs
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)
    return nn.Sequential(*modules, BatchNormAct2d(inputs), *head)


JUDGES = (
    _small("wide_resnet16_8", "timm", lambda: _wide(16, 8)),
    _small("wide_resnet28_10", "timm", lambda: _wide(28, 10)),
    _small("wide_resnet28_10_dropout", "timm", lambda: _wide(28, 10)),
    _small("wide_resnet40_4", "timm", lambda: _wide(40, 4)),
    Judge("wide_resnet50_2", "torchvision", torchvision.models.wide_resnet50_2, shape=(3, 75, 62)),
)
