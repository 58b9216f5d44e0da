"""The linear classifier: one template per class, laid over the image and summed.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proceedings of the IEEE
86(11), 1998, section III-C.1, the baseline of every table there.

    logits = W x + b          row k of W, seen as an image, is the template of class k

The paper's outputs are trained by squared error; here they are logits, and the loss is the trainer's choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from striate.layers import xavier_
from striate.models._zoo import Network, register_family


class Linear(Network):
    """One weighted sum of all pixels per class. It has no maps: nothing of it has a place in the image."""

    feature_maps: Mapping[str, str] = {}
    head = "fc"

    def __init__(self, channels: int, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels * math.prod(size), classes)
        xavier_(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.fc(self.flatten(x))


register_family("linear", Linear, {"linear": {}})
