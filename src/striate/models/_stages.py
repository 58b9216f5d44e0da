"""Stages: runs of alike blocks on maps of one size, of which residual networks are built, and what their maps see."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from striate.core.protocols import FeatureMap
from striate.models._reach import Reach


class Block(nn.Module):
    """What a stage is made of.

    `outputs` is how many channels it gives, `last` the path of the module inside it that gives them.
    """

    outputs: int
    last: str

    def reach(self, seen: Reach) -> Reach:
        """What its output sees, where its input sees `seen`."""
        raise NotImplementedError


MakeBlock = Callable[[int, int, int], Block]  # input channels, width, stride


class Stages:
    """Builds stage1, stage2 … one behind the other.

    `maps` are the feature maps at their ends; `outputs` and `seen` are the last one's channels and reach.
    """

    def __init__(self, make_block: MakeBlock, inputs: int, seen: Reach) -> None:
        self._make_block = make_block
        self.outputs = inputs
        self.seen = seen
        self.maps: list[FeatureMap] = []

    def stack(self, width: int, count: int, stride: int = 1) -> nn.Sequential:
        """The next stage: block1 … of `width`, the first of which moves by `stride`."""
        stage: OrderedDict[str, nn.Module] = OrderedDict()
        name = f"stage{len(self.maps) + 1}"
        path = ""
        for number in range(1, count + 1):
            block = self._make_block(self.outputs, width, stride if number == 1 else 1)
            stage[f"block{number}"] = block
            self.outputs, self.seen = block.outputs, block.reach(self.seen)
            path = f"{name}.block{number}.{block.last}"
        self.maps.append(self.seen.place(name, path, self.outputs))
        return nn.Sequential(stage)
