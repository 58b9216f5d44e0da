"""The default place is the last map that has the plan of the image."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promises.subject import pictures, subject
from striate.core.errors import ConfigError
from striate.explaining import activation_maps, grad_cam, invariance, receptive_fields, top_patches
from striate.explaining.places import NoMapError, candidates
from striate.hooks import PlaceError, borrow, operations
from striate.models import create_model

# As counted by hand. On the meta device nothing is computed.
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
    image = torch.empty(1, *network.card.input, device="meta")
    with borrow(network):
        *_, (last, _) = candidates(operations(network, image), image)
    assert last.name == OF_THE_ZOO[name]


@pytest.mark.parametrize(
    ("name", "size", "place"),
    [("resnet20", (32, 24), "stage3"), ("tiny_vgg", (32, 40), "stage2"), ("highway11", (32, 32), "relu:10")],
)
def test_it_has_its_declared_name_where_it_is_declared(name: str, size: tuple[int, int], place: str) -> None:
    assert grad_cam(create_model(name, classes=3, size=size, seed=1), pictures(1, size)).at == place


def test_a_declared_map_of_one_value_has_no_plan() -> None:
    """Behind five strides of two, an image of 32 pixels is one: stage 4 of a ResNet-18 says nothing of where."""
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
        ("channels last", "layer_norm:1"),
        ("normalized after pooling", "relu:1"),
        ("dropped", "relu:1"),
    ],
)
def test_values_that_are_no_maps_of_their_own_are_skipped(end: str, place: str) -> None:
    assert grad_cam(Ending(end), pictures(2, (24, 16))).at == place


def test_a_network_is_searched_once_for_a_size_of_images() -> None:
    passes: list[int] = []
    model = Ending("gated").eval()
    model.conv.register_forward_hook(lambda *_: passes.append(1))
    found = grad_cam(model, pictures(1, (24, 16)))
    assert len(passes) > 1
    for images in (pictures(1, (24, 16), seed=5), pictures(1, (24, 16), seed=6)):
        passes.clear()
        assert grad_cam(model, images).at == found.at
        assert len(passes) == 1
    passes.clear()
    assert grad_cam(model, pictures(1, (8, 8))).at == "mul:1"
    assert len(passes) > 1


def _block() -> list[nn.Module]:
    return [nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()]


def _bent(x: Tensor) -> Tensor:
    return F.relu(x).tanh()


@pytest.mark.parametrize("change", ["appended", "removed", "replaced", "replaced by another size", "patched", "a flag"])
def test_the_place_is_that_of_the_network_as_it_is_now(change: str) -> None:
    body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), *_block(), *_block())
    ending = Ending("plain")
    ending.conv = nn.Conv2d(6, 6, 1)
    model = nn.Sequential(body, ending).eval()
    images = pictures(2, (24, 16))
    grad_cam(model, images, 1)
    match change:
        case "appended":
            body.extend(_block())
        case "removed":
            del body[4:]
        case "replaced":
            body[4], body[5] = nn.Conv2d(6, 6, 3, padding=1), nn.Tanh()
        case "replaced by another size":
            body[4] = nn.Conv2d(6, 6, 3, stride=2, padding=1)
        case "patched":
            ending.forward = lambda x: F.adaptive_avg_pool2d(_bent(x), 1).flatten(1)[:, :2]
        case _:
            ending.end = "gated"
    found, expected = grad_cam(model, images, 1), grad_cam(copy.deepcopy(model), images, 1)
    assert found.at == expected.at
    np.testing.assert_array_equal(found.values, expected.values)
    if change in ("patched", "a flag"):
        assert found.at == {"patched": "tanh:1", "a flag": "mul:1"}[change]


class Table(nn.Module):
    """A bias that is laid out like a map and joins the logits of attention between the positions of one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 9, 4, stride=4), nn.Linear(9, 2)
        self.bias = nn.Parameter(torch.randn(1, 1, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        tokens = F.relu(self.conv(x)).flatten(2)
        logits = torch.einsum("nct,ncs->nts", tokens, tokens)[:, None] + self.bias * 1.0
        return self.head((logits.sigmoid()[:, 0] @ tokens.transpose(1, 2)).mean(1))


def test_values_equal_for_every_image_or_comparing_positions_are_no_maps() -> None:
    torch.manual_seed(0)
    found = grad_cam(Table(), pictures(2, (16, 16)), 1)
    assert found.at == "relu:1"
    assert not np.allclose(found.values[0], found.values[1])


class Unlaid(nn.Module):
    """Tokens that make no grid: seven read-outs of the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.norm, self.head = nn.Linear(192, 70), nn.LayerNorm(10), nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.read(x.flatten(1)).unflatten(1, (7, 10))).mean(1))


def test_where_no_place_is_laid_out_tokens_are_named_as_the_reason_and_the_remedy() -> None:
    with pytest.raises(NoMapError, match=r"works on tokens .* \(1, 7, 10\) at 'layer_norm:1'.*tokens=\(rows"):
        grad_cam(Unlaid(), pictures(1, (8, 8)), 1)
    with pytest.raises(NoMapError, match="no map that is laid out over the image"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), pictures(1, (8, 8)), 1)


def test_a_stated_grid_lays_tokens_out() -> None:
    """Rows of tokens, worked by hand: 2 × 3 of them on an image of other proportions, after one that is left out."""

    class Tokens(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            tokens = F.adaptive_avg_pool2d(x, (2, 3)).flatten(2).transpose(1, 2)
            tokens = torch.cat([tokens.new_zeros(len(x), 1, 3), tokens], 1) * 1.0
            return (tokens * torch.arange(1.0, 4)).sum(1)

    images = pictures(2, (12, 12))
    found = grad_cam(Tokens(), images, 2, at="mul:1", tokens=(2, 3))
    expected = (F.adaptive_avg_pool2d(images, (2, 3))[:, 2] * 3).clamp(min=0)
    np.testing.assert_allclose(found.values, expected.numpy(), rtol=1e-5)
    assert found.notes == ("Place 'mul:1' gives tokens: 6 laid out as 2 × 3; the 1 before them left out.",)
    with pytest.raises(PlaceError, match=r"maps or tokens of 5 × 5 is needed"):
        grad_cam(Tokens(), images, 2, at="mul:1", tokens=(5, 5))
    with pytest.raises(ConfigError, match=r"grid of tokens is \(rows, columns\)"):
        grad_cam(Tokens(), images, 2, at="mul:1", tokens=(0, 3))


def test_a_place_can_be_given_as_the_module_itself() -> None:
    model, images = Ending("gated"), pictures(2, (24, 16))
    found = grad_cam(model, images, 1, at=model.conv)
    assert found.at == found.settings["at"] == "conv"
    np.testing.assert_array_equal(found.values, grad_cam(model, images, 1, at="conv").values)
    with pytest.raises(PlaceError, match="received a Conv2d that is not"):
        grad_cam(model, images, 1, at=nn.Conv2d(1, 1, 1))
    with pytest.raises(PlaceError, match="received 3"):
        grad_cam(model, images, 1, at=3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("places", ["conv", ["conv"], ("conv", "conv")])
def test_one_place_may_stand_alone(places: Any) -> None:
    model, images = Ending("gated"), pictures(2, (24, 16))
    expected = activation_maps(model, images, ["conv"])
    for given in (places, model.conv):
        (found,) = activation_maps(model, images, given)
        assert found.place == "conv"
        np.testing.assert_array_equal(found.values, expected[0].values)
        assert [top.place for top in top_patches(model, [([0, 1], images)], given)] == ["conv"]
        assert [field.place for field in receptive_fields(model, images, given)] == ["conv"]
        assert invariance(model, images, places=given, amounts=[0]).places == ("conv",)
    with pytest.raises(PlaceError, match="received none"):
        activation_maps(model, images, [])


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("head", "gives \\(2, 2\\) for 2 images of 24 × 16, and a map"),
        ("mean:1", "gives \\(2, 6\\) for 2 images of 24 × 16, and a map"),
        ("relu:2", "did not run"),
        ("sigmoid:1", "No gradient of the score reaches"),
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
