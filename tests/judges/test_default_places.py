"""The default place in networks of other libraries, which declare nothing: on the meta device, as counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import nn

from striate.explaining.places import candidates
from striate.hooks import borrow, operations


@pytest.mark.parametrize(
    ("build", "place"),
    [
        (torchvision.models.resnet18, "relu:17"),  # 8 blocks with two, and the stem
        (torchvision.models.convnext_tiny, "add:18"),  # blocks; the norm comes after the pooling
        (torchvision.models.squeezenet1_1, "relu:26"),  # 8 modules with three, the stem, one map for each class
        (torchvision.models.vgg11, "relu:8"),  # before both poolings
        (torchvision.models.mobilenet_v2, "relu6:35"),  # 17 blocks with two, less the first's expansion; both ends
        (lambda: timm.create_model("resnet18"), "relu:17"),
        (lambda: timm.create_model("convnext_tiny"), "add:18"),
    ],
)
def test_the_last_map_of_a_stranger(build: Callable[[], nn.Module], place: str) -> None:
    with torch.device("meta"):
        network = build()
    image = torch.empty(1, 3, 224, 160, device="meta")
    with borrow(network):
        *_, (last, _) = candidates(operations(network, image), image)
    assert last.name == place
