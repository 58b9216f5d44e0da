"""What a position is said to see is where the gradient of its value is not zero, once nothing can cancel."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reference.receptive import make_positive, seen_rows_and_columns
from striate.explaining import receptive_fields


class Branches(nn.Module):
    """Two paths of different reach and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 5, padding=2)
        self.last = nn.Conv2d(4, 1, (3, 1), stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.narrow(x), self.wide(x)], 1).relu())


NETS = {
    "padded": nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1)),
    "strided": nn.Sequential(nn.Conv2d(1, 2, 5, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
    "dilated": nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2), nn.BatchNorm2d(2), nn.Conv2d(2, 2, (1, 3), padding=1)),
    "branches": Branches(),
    "irregular": nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveMaxPool2d((5, 3))),
    "enlarged": nn.Sequential(nn.MaxPool2d(2), nn.ConvTranspose2d(1, 2, 3, stride=2), nn.Conv2d(2, 1, 2)),
    "whole": nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1)),
}


@pytest.mark.parametrize("name", list(NETS))
def test_boxes_are_where_the_gradient_is_not_zero_at_every_position(name: str) -> None:
    size, network = (15, 12), nn.Sequential(copy.deepcopy(NETS[name]))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():  # the network itself may have any weights
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    (field,) = receptive_fields(network, torch.rand(1, 1, *size), ["0"])
    make_positive(network)
    height, width = field.rows.shape[:2]
    tallest = widest = 0
    for y, x in np.ndindex(height, width):
        seen = seen_rows_and_columns(network, size, (y, x))
        rows, columns = (seen.any(axis).nonzero().flatten().tolist() or [0, -1] for axis in (1, 0))
        assert field.box(y, x) == (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        tallest, widest = max(tallest, rows[-1] + 1 - rows[0]), max(widest, columns[-1] + 1 - columns[0])
    assert field.size == (tallest, widest)


def test_nothing_leaks_however_large_the_batch_and_whatever_the_numbers() -> None:
    # NNPACK, which would convolve large batches by Winograd's way, mixes rows that should not meet.
    for kind in (torch.float32, torch.bfloat16):
        network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)).to(kind)
        with torch.backends.mkldnn.flags(enabled=False, allow_tf32=torch.backends.mkldnn.allow_tf32):  # type: ignore[arg-type]
            (field,) = receptive_fields(network, torch.rand(1, 3, 40, 33), ["2"])
        assert field.size == (5, 5)
        assert field.box(0, 20) == (0, 18, 3, 23)


def test_a_network_that_hides_what_it_sees_is_said_to_see_all() -> None:
    class Hiding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, x, 0)

    (field,) = receptive_fields(nn.Sequential(Hiding()), torch.rand(1, 1, 4, 5), ["0"])
    assert field.box(2, 2) == (0, 0, 4, 5)
