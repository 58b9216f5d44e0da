"""The default place is the last map that has the plan of the picture."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promises.subject import pictures, subject
from striate.explaining import grad_cam
from striate.explaining.places import last_map, last_operation
from striate.hooks import PlaceError, borrow
from striate.models import create_model

# As counted by hand: on the meta device a network is asked without being computed.
OF_THE_ZOO = {
    "highway11": "relu:10",  # of a convolution behind the last highway, of which no gate is a ReLU
    "lenet5_1998": "mul:10",  # the second factor of the scaled tanh behind the second pooling
    "mobilenet_v2_035": "relu6:35",  # 17 blocks with two, less the first's expansion; stem and top
    "nin": "relu:9",  # one map for each class
    "resnet18": "relu:17",  # 8 blocks with two, and the stem
    "squeezenet1_1": "relu:26",  # 8 modules with three, the stem, and one map for each class
    "vgg11": "relu:8",  # before the pooling, as in the paper of Grad-CAM
}


@pytest.mark.parametrize("name", list(OF_THE_ZOO))
def test_the_last_map_of_a_network_of_the_zoo(name: str) -> None:
    network = subject(name).sketch
    with borrow(network):
        assert last_operation(network, torch.empty(1, *network.card.input, device="meta")) == OF_THE_ZOO[name]


@pytest.mark.parametrize(
    ("name", "size", "place"),
    [("resnet20", (32, 24), "stage3"), ("tiny_vgg", (32, 40), "stage2"), ("highway11", (32, 32), "relu:10")],
)
def test_it_has_its_declared_name_where_it_is_declared(name: str, size: tuple[int, int], place: str) -> None:
    assert grad_cam(create_model(name, classes=3, size=size, seed=1), pictures(1, size)).at == place


def test_a_declared_map_of_one_value_has_no_plan() -> None:
    """Behind five strides of two, a picture of 32 pixels is one: stage 4 of a ResNet-18 says nothing of where."""
    network, images = create_model("resnet18", classes=3, size=(32, 32), seed=1), pictures(1, (32, 32))
    found = grad_cam(network, images)
    assert found.at == "relu:13"  # the stem and three stages of four
    assert found.values.shape == (1, 2, 2)


class Ending(nn.Module):
    """One convolution, and then whatever is written here."""

    def __init__(self, end: str) -> None:
        super().__init__()
        self.conv, self.head, self.end = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 2), end

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        if self.end == "pooled twice":
            x = F.adaptive_avg_pool2d(F.max_pool2d(x, 2), (3, 3))
        elif self.end == "gated":
            x = x * torch.sigmoid(x.mean((2, 3), keepdim=True))
        elif self.end == "channels last":
            return self.head(F.layer_norm(x.permute(0, 2, 3, 1), (6,)).mean((1, 2)))
        elif self.end == "normalized after pooling":
            x = F.layer_norm(x.mean((2, 3), keepdim=True).permute(0, 2, 3, 1), (6,)).permute(0, 3, 1, 2)
        elif self.end == "dropped":
            x = F.dropout2d(x, 0.5, self.training)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize(
    ("end", "place"),
    [
        ("pooled twice", "relu:1"),
        ("gated", "mul:1"),
        ("channels last", "relu:1"),
        ("normalized after pooling", "relu:1"),
        ("dropped", "relu:1"),
    ],
)
def test_what_is_no_map_of_its_own_is_passed_over(end: str, place: str) -> None:
    assert grad_cam(Ending(end), pictures(2, (24, 16))).at == place


def test_a_network_is_searched_once_for_a_size_of_pictures() -> None:
    passes: list[int] = []
    model = Ending("gated").eval()
    model.conv.register_forward_hook(lambda *_: passes.append(1))
    grad_cam(model, pictures(4, (24, 16)))
    assert len(passes) == 2
    grad_cam(model, pictures(2, (24, 16), seed=5))
    assert len(passes) == 3
    assert last_map(model, pictures(1, (8, 8))) == "mul:1"
    assert len(passes) == 4


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("head", "gives \\(2, 2\\), and a map"),
        ("mean:1", "gives \\(2, 6\\), and a map"),
        ("relu:2", "did not run"),
        ("sigmoid:1", "does not depend"),
        ("nowhere", "received 'nowhere'"),
    ],
)
def test_a_place_that_cannot_be_read_is_refused(at: str, said: str) -> None:
    class Idle(Ending):
        def forward(self, x: Tensor) -> Tensor:
            torch.sigmoid(x)
            return super().forward(x)

    with pytest.raises(PlaceError, match=said):
        grad_cam(Idle("plain"), pictures(2, (24, 16)), at=at)
