"""Layers are found by what runs, however the network is written."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from promises.strangers import WRITTEN, Modular, stranger
from promises.subject import pictures
from striate.explaining import activation_maps, layers
from striate.hooks import PlaceError
from striate.models import create_model


def test_a_layer_ends_after_its_activation_and_has_the_name_of_its_module() -> None:
    network = create_model("tiny_vgg", channels=3, size=(20, 16), classes=3)
    convolutions = ("features.relu1_1", "features.relu1_2", "features.relu2_1", "features.relu2_2")
    assert layers(network, pictures(1, (20, 16))) == (*convolutions, "fc")


def test_an_operation_without_a_module_has_the_name_of_the_operation() -> None:
    images = pictures(1, (16, 12))
    assert layers(stranger(Modular), images) == ("relu1", "conv2", "relu3", "head")  # behind conv2 comes a sum
    assert layers(stranger(WRITTEN["shared"]), images) == ("relu:1", "conv2", "relu:3", "head")
    assert layers(stranger(WRITTEN["functional"]), images) == ("relu:1", "conv2", "relu:3", "linear:1")


def test_a_following_operation_belongs_to_a_layer_only_if_it_finishes_it() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Dropout(), nn.GroupNorm(2, 4), nn.GELU(), nn.MaxPool2d(3, 1, 1), nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 3), nn.Flatten(), nn.Linear(2 * 8 * 8, 3),
    )  # fmt: skip
    assert layers(network, pictures(1, (8, 8))) == ("3", "6", "8")


@pytest.mark.parametrize("written", list(WRITTEN))
def test_activation_maps_are_those_of_the_network_written_in_modules(written: str) -> None:
    images, network = pictures(3, (16, 12)), stranger()
    found = activation_maps(stranger(WRITTEN[written]), images, layers(stranger(WRITTEN[written]), images))
    x = images - 0.25
    first = network.norm(network.conv1(x)).relu()
    second = network.conv2(first)
    third = network.conv3(nn.functional.max_pool2d((second + first).relu(), 2)).relu()
    answer = network.head(third.mean((2, 3)))[:, :, None, None]
    for maps, expected in zip(found, (first, second, third, answer), strict=True):
        torch.testing.assert_close(torch.from_numpy(maps.values), expected.detach())


def test_a_value_that_is_no_map_of_units_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.Linear(12, 2), nn.Flatten(), nn.Linear(6, 2))
    with pytest.raises(PlaceError, match=r"place '1' gives \(1, 3, 2\)"):
        activation_maps(network, torch.rand(1, 3, 4, 3), ["1"])
