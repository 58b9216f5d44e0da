"""Dead and redundant units, on activations that can be worked out by hand, and compared with numpy's sums."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from promises.subject import pictures
from striate.explaining import Units, top_patches

SIZE = (9, 7)


def looked_at(model: nn.Module, images: torch.Tensor, place: str) -> Units:
    parts = zip(torch.arange(len(images)).split(5), images.split(5), strict=True)
    return top_patches(model, parts, [place])[0].units


def test_dead_closed_and_redundant_units_are_named() -> None:
    convolution = nn.Conv2d(1, 6, 1)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([1.0, 3.0, -1.0, 0.0, -2.0, 0.0]).view(6, 1, 1, 1))
        convolution.bias.copy_(torch.tensor([0.0, 0.5, 0.7, 0.2, -0.1, -1.0]))  # pyright: ignore[reportOptionalMemberAccess]
    images = torch.rand(12, 1, *SIZE, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(convolution, nn.ReLU())
    given, rectified = (looked_at(model, images, place) for place in "01")
    assert rectified.dead() == (3, 4, 5)  # always 0.2, always 0, always 0
    assert rectified.closed() == (4, 5)
    assert given.dead() == (3, 5)
    assert given.closed() == (4, 5)
    assert [pair[:2] for pair in rectified.redundant()] == [(0, 1)]  # 3x + ½ says what x says
    assert sorted(pair[:2] for pair in given.redundant()) == [(0, 1), (2, 4)]
    assert abs(given.redundant()[0][2] - 1) < 1e-5
    np.testing.assert_allclose(rectified.largest[3:], [0.2, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(rectified.active[2], (images < 0.7).float().mean(), rtol=1e-6)


def test_the_sums_are_those_of_all_positions_of_all_images() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3)
    with torch.no_grad():
        convolution.bias.fill_(20)  # pyright: ignore[reportOptionalMemberAccess]  # a common value that costs digits
    model = nn.Sequential(convolution, nn.ReLU())
    images = pictures(12, SIZE)
    found = looked_at(model, images, "1")
    values = model(images).detach().double().transpose(0, 1).flatten(1).numpy()
    np.testing.assert_allclose(found.correlation, np.corrcoef(values), atol=1e-4)
    np.testing.assert_allclose(found.mean, values.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.smallest, values.min(1), rtol=1e-6)
    np.testing.assert_allclose(found.largest, values.max(1), rtol=1e-6)
    assert (found.active == 1).all()
