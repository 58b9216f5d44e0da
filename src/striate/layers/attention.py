"""A gate for each channel, set by the whole map."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from striate.core.protocols import LayerRole


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a number in (0, 1) that two small layers make of all channels' means.

    Hu, Shen and Sun, "Squeeze-and-excitation networks", CVPR 2018, arXiv:1709.01507, eqs. 2–4. `squeezed` is the width
    between the two layers, channels / 16 in the paper. They are fully connected, with biases, written as 1×1
    convolutions of a map of one pixel. `activation` and `gate` make the modules after them.
    """

    layer_role = LayerRole.UNIT

    def __init__(
        self,
        channels: int,
        squeezed: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x * self.gate(self.expand(self.activation(self.reduce(self.pool(x)))))
