"""Pictures made by gradient ascent: that they excite what they are made for, and leave the network alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.spec import InputSpec
from striate.explaining.visualize import (
    BlurredPixels,
    Fourier,
    Objective,
    Pixels,
    channel,
    class_logit,
    direction,
    diversity,
    layer,
    maximize,
    style,
    unit,
)


class Stranger(nn.Module):
    """A network of somebody else: one ReLU for all, some of them in place."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.first, self.second = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1, stride=2)
        self.norm, self.head, self.relu = nn.BatchNorm2d(6), nn.Linear(8, 4), nn.ReLU(inplace=True)
        for weight in self.parameters():
            weight.data.normal_(0, 0.4, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        found = F.relu_(self.second(self.relu(self.norm(self.first(images)))))
        return self.head(found.mean((2, 3)))


def spec(channels: tuple[str, ...] = ("red", "green", "blue"), size: tuple[int, int] = (14, 17)) -> InputSpec:
    count = len(channels)
    return InputSpec(channels=channels, height=size[0], width=size[1], mean=(0.4,) * count, std=(0.25,) * count)


OBJECTIVES = [
    unit("second", 3),
    unit("second", 3, at=(0, 5)),
    channel("second", 2),
    -channel("relu:1", 1),
    channel("head", 1),
    class_logit(2),
    direction("second", np.linspace(-1, 1, 8)),
    layer("relu:2"),
    style({"second": torch.eye(8)[None]}),
    channel("second", 2) - 0.1 * diversity("relu:1"),
    -diversity("second"),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
@pytest.mark.parametrize("held", [Fourier(), BlurredPixels(), Pixels()], ids=lambda held: type(held).__name__)
def test_three_steps_raise_every_objective(objective: Objective, held: Fourier | BlurredPixels | Pixels) -> None:
    grown = maximize(Stranger(), objective, spec(), count=2, steps=3, parameterization=held, robustness=None, frames=3)
    assert (grown.score > grown.course[0]).all()
    assert grown.images.shape == (2, 14, 17, 3)
    assert grown.images.min() >= 0
    assert grown.images.max() <= 1
    assert [frame.shape for frame in grown.film(1)] == [(14, 17, 3)] * 3
    assert np.array_equal(grown.frames[-1], np.round(grown.images * 255))
