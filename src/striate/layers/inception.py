"""What meets at the end of an Inception module."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Concat(nn.Module):
    """Maps of one size laid on each other along the channels: a module, so that the place has a name.

    Szegedy et al., "Going deeper with convolutions", CVPR 2015, arXiv:1409.4842, figure 2 ("filter concatenation").
    """

    def forward(self, *maps: Float[Tensor, "n _ *size"]) -> Float[Tensor, "n c *size"]:
        return torch.cat(maps, dim=1)
