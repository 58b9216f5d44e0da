"""Parts of Inception modules: parallel branches, and their concatenation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Concat(nn.Module):
    """Concatenate maps of one size along the channels: a module, so that the place has a name.

    Szegedy et al., "Going deeper with convolutions", CVPR 2015, arXiv:1409.4842, figure 2 ("filter concatenation").
    """

    def forward(self, *maps: Float[Tensor, "n _ *size"]) -> Float[Tensor, "n c *size"]:
        return torch.cat(maps, dim=1)


class Branches(nn.Module):
    """Parallel branches from one map, whose outputs are concatenated in the order of their names.

    Szegedy et al., "Going deeper with convolutions", CVPR 2015, arXiv:1409.4842, figure 2. Each branch is a submodule
    by its name, and returns a map of the same size as the others.
    """

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.concat = Concat()

    def forward(self, x: Float[Tensor, "n c *size"]) -> Float[Tensor, "n k *sizes"]:
        return self.concat(*(self.get_submodule(name)(x) for name in self.names))
