"""Occlusion compared with Captum's: the same windows, the same mean over those that cover a pixel."""

from __future__ import annotations

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from striate.explaining import occlusion


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(5),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patch", "stride", "fill"),
    [((4, 4), (2, 2), 0.0), ((5, 3), (3, 2), 0.7), ((16, 4), (1, 4), -1.0), ((1, 1), (1, 1), 0.0)],
)
def test_the_same_values_as_captum(
    network: nn.Module, patch: tuple[int, int], stride: tuple[int, int], fill: float
) -> None:
    images = torch.randn(2, 3, 16, 15, generator=torch.Generator().manual_seed(7))
    targets = [3, 1]
    network(images)
    ours = occlusion(network, images, targets, patch=patch, stride=stride, fill=fill)
    with torch.no_grad():
        judge = captum.attr.Occlusion(network).attribute(
            images, (3, *patch), (3, *stride), baselines=fill, target=torch.tensor(targets)
        )
    expected = judge[:, 0].numpy()
    np.testing.assert_allclose(ours.values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
