"""Normalisations that torch has in another form."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class LocalResponseNorm(nn.Module):
    """Divide each value by the activity of neighbouring channels: b = a / (k + α Σ a²)^β over `size` channels.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012,
    section 3.3, with its constants as defaults. The sum is the paper's: `torch.nn.LocalResponseNorm` takes the mean, as
    Caffe does, so its α is `size` times ours. Channels beyond the first and the last count as zero.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return F.local_response_norm(x, self.size, self.alpha * self.size, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each position of a map that has its channels first.

    Ba, Kiros and Hinton, "Layer normalization", 2016, arXiv:1607.06450, eq. 3, as Liu et al., "A ConvNet for the
    2020s", CVPR 2022, arXiv:2201.03545, apply it: mean and variance are those of the `channels` values at one position.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps)

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        last = F.layer_norm(input.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return last.permute(0, 3, 1, 2)
