"""The ResNets for CIFAR: torchvision's basic blocks in the paper's arrangement; no library has the networks."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from judges.parity import Judge

# Odd maps show how a stride rounds.
_small = functools.partial(Judge, shape=(3, 27, 22))

Shortcut = Callable[[int, int], nn.Module]


class OptionA(nn.Module):
    """Every second pixel between channels of zeros, by assignment."""

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        padded = torch.zeros(count, 2 * channels, (height + 1) // 2, (width + 1) // 2, dtype=x.dtype)
        padded[:, channels // 2 : channels // 2 + channels] = x[:, :, ::2, ::2]
        return padded


def option_a(inputs: int, outputs: int) -> nn.Module:
    return OptionA()


def option_b(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))


def cifar_resnet(layers: int, shortcut: Shortcut) -> nn.Module:
    modules = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for outputs in (16, 32, 64):
        for number in range((layers - 2) // 6):
            shrinks = number == 0 and outputs > 16
            changed = shortcut(inputs, outputs) if shrinks else None
            modules.append(BasicBlock(inputs, outputs, 2 if shrinks else 1, changed))
            inputs = outputs
    return nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


JUDGES = tuple(
    _small(f"resnet{layers}{suffix}", "torchvision", functools.partial(cifar_resnet, layers, shortcut))
    for layers in (20, 32, 44, 56, 110, 1202)
    for suffix, shortcut in (("", option_a), ("_b", option_b))
)
