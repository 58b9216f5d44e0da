"""Filters are the weights, and as images they have the stated scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate.explaining import FilterError, filters


def test_every_convolution_gives_its_filters_in_order() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 6, (3, 2), groups=2), nn.Linear(6, 2))
    found = filters(network.to(torch.bfloat16))
    assert [(one.layer, one.weights.shape) for one in found] == [("0", (4, 3, 5, 5)), ("2", (6, 2, 3, 2))]
    assert found[1].weights.tolist() == network[2].weight.tolist()  # pyright: ignore[reportCallIssue]
    network[0].weight.data.zero_()  # pyright: ignore[reportCallIssue]
    assert found[0].weights.any()


def test_an_image_is_half_plus_half_the_weight_over_the_largest_of_its_filter() -> None:
    convolution = nn.Conv2d(3, 2, (1, 2))
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0] = torch.tensor([[[4.0, 0]], [[-2, 0]], [[1, 0]]])
    (found,) = filters(convolution)
    pictures = found.images()
    assert pictures.shape == (2, 1, 2, 3)
    assert pictures[0, 0].tolist() == [[1, 0.25, 0.625], [0.5, 0.5, 0.5]]
    assert (pictures[1] == 0.5).all()  # a filter without weights
    assert found.strength.tolist() == [4, 0]
    assert found.slices()[0].tolist() == [[[1, 0]], [[-0.5, 0]], [[0.25, 0]]]


def test_grey_filters_are_images_and_those_over_other_maps_are_not() -> None:
    grey, deep = filters(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)))
    assert grey.images().shape == (2, 3, 3, 1)
    with pytest.raises(FilterError, match="those of '1' see 2"):
        deep.images()


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_filters_come_as_what_a_unit_takes_from_each_map(groups: int) -> None:
    transposed = nn.ConvTranspose2d(4, 6, 3, groups=groups, bias=False)
    (found,) = filters(transposed)
    assert found.weights.shape == (6, 4 // groups, 3, 3)
    maps = torch.randn(1, 4, 5, 5)
    turned = torch.from_numpy(np.ascontiguousarray(found.weights[:, :, ::-1, ::-1]))
    torch.testing.assert_close(F.conv2d(maps, turned, padding=2, groups=groups), transposed(maps).detach())


def test_a_network_without_convolutions_has_no_filters() -> None:
    with pytest.raises(FilterError, match="this one has none"):
        filters(nn.Linear(2, 2))
