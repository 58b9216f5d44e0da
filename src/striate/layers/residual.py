"""Parts of residual blocks: the sum as a module, and the branch that is sometimes left out."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ModelError
from striate.core.protocols import LayerRole


class Add(nn.Module):
    """The sum of maps of one shape: a module, so that the place where a shortcut joins has a name.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385, eq. 1.
    """

    layer_role = LayerRole.SUM

    def forward(self, *maps: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c *size"]:
        total = maps[0]
        for other in maps[1:]:
            total = total + other
        return total


class StochasticDepth(nn.Module):
    """Drop a residual branch for random images of a training batch, each with probability `rate`.

    Huang, Sun, Liu, Sedra and Weinberger, "Deep networks with stochastic depth", ECCV 2016, arXiv:1603.09382, eq. 2.
    There a branch is dropped for a whole batch, and in use it is multiplied by its probability of survival (eq. 5).
    Here each image has its own draw, which varies the gradient less, and in training the survivors are divided by
    1 - rate, so that in use the branch is taken as it is: the same expectation.

    It is the last module of the branch, before the sum. In eval mode it returns its input.

    Raises:
        ModelError: `rate` does not lie in [0, 1].
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ModelError(f"A branch is dropped at a rate from 0 to 1; received {rate}.")
        self.rate = rate

    def forward(self, x: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c *size"]:
        if not self.training or self.rate == 0:
            return x
        # One number for each image: 0, or 1 / (1 - rate).
        return x * F.dropout(x.new_ones(len(x), *[1] * (x.ndim - 1)), self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class LayerScale(nn.Module):
    """One learned factor for each channel, small at first, so that a block begins as almost nothing but its shortcut.

    Touvron, Cord, Sablayrolles, Synnaeve and Jégou, "Going deeper with image transformers", ICCV 2021,
    arXiv:2103.17239, section 2.
    """

    layer_role = LayerRole.SCALE

    def __init__(self, channels: int, initial: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), initial))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x * self.weight
