"""ConvNeXt: a ResNet brought, step by step, to what vision transformers had shown to matter.

Liu, Mao, Wu, Feichtenhofer, Darrell and Xie, "A ConvNet for the 2020s", CVPR 2022, arXiv:2201.03545.

A 4×4/4 convolution as stem, four stages of blocks in the proportion 1:1:3:1, a norm and a 2×2/2 convolution between
stages (section 2.6). A block (figure 4) is a depthwise 7×7 convolution, a norm, and two 1×1 convolutions, to four times
the channels and back, with one GELU between them; its branch is scaled channel by channel (LayerScale) and added.

As in the authors' code the 1×1 convolutions are computed as matrix products of the map with its channels last. First
weights are those of appendix A.1: normal with deviation 0.02, LayerScale at 1e-6; the table there gives the rates of
stochastic depth, which grow linearly from 0 to the last block's. That code cuts the normal at ±2, which is no cut at
all; here it is cut at two deviations, as the name says.
"""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import (
    Add,
    GlobalAveragePool,
    LayerNorm2d,
    LayerScale,
    Pointwise,
    StochasticDepth,
    truncated_normal_,
)
from striate.models._zoo import Network, register_family

_EPSILON = 1e-6


class GELU(nn.GELU):
    """GELU of a map whose channels are last in memory, passed to torch in that order, as its fast form requires."""

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Figure 4, right: depthwise 7×7, norm, 1×1 to four times the channels, GELU, 1×1 back; scaled and added."""

    def __init__(self, channels: int, drop: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = LayerNorm2d(channels, _EPSILON)
        self.expand = Pointwise(channels, 4 * channels)
        self.act = GELU()
        self.project = Pointwise(4 * channels, channels)
        self.scale = LayerScale(channels, initial=1e-6)
        self.drop = StochasticDepth(drop)
        self.add = Add()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        branch = self.project(self.act(self.expand(self.norm(self.depthwise(x)))))
        return self.add(self.drop(self.scale(branch)), x)


class ConvNeXt(Network):
    """Four stages of `blocks` blocks with `widths` channels; `drop` is the last block's rate of stochastic depth.

    Raises:
        EmptyMapError: the images have a side of less than 32 pixels.
    """

    head = "fc"

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        widths: tuple[int, int, int, int],
        blocks: tuple[int, int, int, int] = (3, 3, 27, 3),
        drop: float,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(channels, widths[0], 4, stride=4), norm=LayerNorm2d(widths[0], _EPSILON))
        )
        self.feature_maps = {"stem": "stem.norm"}
        self.stages = nn.Sequential()
        rates = (drop * number / (sum(blocks) - 1) for number in range(sum(blocks)))
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stage = nn.Sequential()
            if number:
                stage.add_module("norm", LayerNorm2d(widths[number - 1], _EPSILON))
                stage.add_module("shrink", nn.Conv2d(widths[number - 1], width, 2, stride=2))
            for place in range(count):
                stage.add_module(f"block{place + 1}", Block(width, next(rates)))
            self.stages.add_module(f"stage{number + 1}", stage)
            self.feature_maps[f"stage{number + 1}"] = f"stages.stage{number + 1}.block{count}.add"
        self.pool = GlobalAveragePool()
        self.norm = nn.LayerNorm(widths[-1], _EPSILON)
        self.fc = nn.Linear(widths[-1], classes)
        truncated_normal_(self, 0.02)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        x = self.stages(self.stem(x))
        return self.fc(self.norm(self.pool(x)))


VARIANTS = {
    "convnext_tiny": dict(widths=(96, 192, 384, 768), blocks=(3, 3, 9, 3), drop=0.1),
    "convnext_small": dict(widths=(96, 192, 384, 768), drop=0.4),
    "convnext_base": dict(widths=(128, 256, 512, 1024), drop=0.5),
    "convnext_large": dict(widths=(192, 384, 768, 1536), drop=0.5),
}
register_family("convnext", ConvNeXt, VARIANTS)
