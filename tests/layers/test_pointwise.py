"""Products in the place of 1×1 convolutions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from striate.layers import Pointwise


@pytest.mark.parametrize("bias", [True, False])
def test_a_pointwise_layer_is_a_1x1_convolution(bias: bool) -> None:
    layer = Pointwise(3, 5, bias=bias)
    maps = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(layer(maps), F.conv2d(maps, layer.weight[:, :, None, None], layer.bias))
