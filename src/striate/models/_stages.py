"""Stages of residual networks: sequences of similar blocks on maps of one size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn


class Block(nn.Module):
    """One block of a stage: `outputs` is its output channels, `last` the path of the module that computes them."""

    outputs: int
    last: str


MakeBlock = Callable[[int, int, int], Block]  # input channels, width, stride


class Stages:
    """Builds stage1, stage2 … one after the other.

    `maps` are the feature maps at their ends: module paths by name. `outputs` is the channels of the last one.
    """

    def __init__(self, make_block: MakeBlock, inputs: int) -> None:
        self._make_block = make_block
        self.outputs = inputs
        self.maps: dict[str, str] = {}

    def stack(self, width: int, count: int, stride: int = 1) -> nn.Sequential:
        """Build the next stage: block1 … of `width`, the first with `stride`."""
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        name = f"stage{len(self.maps) + 1}"
        for number in range(1, count + 1):
            block = self._make_block(self.outputs, width, stride if number == 1 else 1)
            blocks[f"block{number}"], self.outputs = block, block.outputs
            self.maps[name] = f"{name}.block{number}.{block.last}"
        return nn.Sequential(blocks)
