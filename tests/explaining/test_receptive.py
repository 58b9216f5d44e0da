"""What a position is said to see is where the gradient of its value is not zero, once nothing can cancel."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference.receptive import make_positive, seen_rows_and_columns
from striate.explaining import receptive_fields
from striate.explaining.inspection.receptive import _measured, _traced
from striate.layers import AvgPool2dSame, Conv2dSame, LocalResponseNorm, SqueezeExcitation


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


class Head(nn.Module):
    """Functions, a slice of rows, unequal padding, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.fc = nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.pad(self.conv(x)[:, :, 1:, ::2].relu(), (1, 3, 0, 2)))
        return self.fc(x.mean((2, 3)))


TRACED = {
    "gate": (nn.Sequential(nn.Conv2d(1, 4, 3, 2), SqueezeExcitation(4, 2), nn.MaxPool2d(3, 2, 1)), ["0", "1", "2"]),
    "local response": (nn.Sequential(nn.Conv2d(1, 4, 3), LocalResponseNorm(), nn.Conv2d(4, 2, 2, 2)), ["1", "2"]),
    "same": (nn.Sequential(Conv2dSame(1, 2, 3, 2), AvgPool2dSame(3, 2), nn.Conv2d(2, 2, 3, padding=3)), ["1", "2"]),
    "dropped lines": (nn.Sequential(nn.Conv2d(1, 2, 3, 3), nn.Conv2d(2, 2, 3, padding=2, dilation=2)), ["0", "1"]),
    "head": (Head(), ["conv", "pool", "fc"]),
    **{
        name: (network, [str(len(list(network)) - 1)])
        for name, network in NETS.items()
        if name != "enlarged" and isinstance(network, nn.Sequential)
    },
}


@pytest.mark.parametrize("name", list(TRACED))
def test_traced_fields_equal_measured_ones(name: str) -> None:
    network, places = TRACED[name]
    image = torch.rand(1, 1, 17, 14)
    traced = _traced(network, image, places)
    assert list(traced) == places
    for ours, measured in zip(traced.values(), _measured(network, image, places), strict=True):
        np.testing.assert_array_equal(ours.rows, measured.rows)
        np.testing.assert_array_equal(ours.columns, measured.columns)


class ThroughAView(nn.Module):
    """Copies its input into a part of a constant."""

    def forward(self, x: Tensor) -> Tensor:
        framed = x.new_zeros(len(x), 1, x.shape[2] + 2, x.shape[3])
        framed[:, :, 1:-1].copy_(x)
        return framed


def test_fields_after_unknown_operations_are_measured() -> None:
    image = torch.rand(1, 1, 6, 5)
    hooked = nn.Sequential(nn.Conv2d(1, 1, 3))
    hooked[0].register_forward_hook(lambda module, given, output: output.flip(2))
    for network in (hooked, nn.Sequential(nn.Upsample(scale_factor=2)), nn.Sequential(ThroughAView())):
        assert _traced(network, image, ["0"]) == {}
    (field,) = receptive_fields(nn.Sequential(ThroughAView()), image, ["0"])
    assert field.box(0, 2) == (0, 0, 0, 0)
    assert field.box(1, 2) == (0, 2, 1, 3)
