"""A folded network gives what the network gives, and what cannot be proved equal is not touched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm
from torch.nn.utils.prune import l1_unstructured

from judges.parity import Undrawn, calibrating, randomise
from striate.layers import Add, Conv2dSame
from striate.models import create_model
from striate.tracing import FoldPlan, fold, plan_fold

SHAPE = (3, 24, 20)


def _pictures(count: int = 3, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(2))


def _settled(network: nn.Module, shape: tuple[int, int, int] = SHAPE) -> nn.Module:
    """With random weights and norms that know what arrives."""
    randomise(network, seed=3)
    network.eval()
    with torch.no_grad(), calibrating(network, seed=4):
        network(_pictures(4, shape))
    return network


def _same(network: nn.Module, folded: nn.Module, shape: tuple[int, int, int] = SHAPE) -> None:
    for layout in (torch.contiguous_format, torch.channels_last):
        pictures = _pictures(shape=shape).to(memory_format=layout)
        with torch.no_grad():
            expected = network(pictures)
            found = folded(pictures.clone(memory_format=torch.preserve_format))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("name", "norms", "activations", "sums"),
    [
        ("resnet18", 20, 17, 8),  # every norm, every ReLU, every sum
        ("densenet121", 59, 121, 0),  # of 121 norms, those that stand before their convolutions cannot be folded
        ("mobilenet_v2", 52, 35, 0),  # the shortcut, which is read elsewhere too, stands first in its sums
        ("efficientnet_b0", 49, 49, 9),  # of the 49 SiLUs, 33 behind norms and 16 in gates
        ("efficientnet_v2_b0", 59, 55, 15),
        ("convnext_tiny", 18, 0, 18),  # its scales; GELU has no form in place
        ("vgg11", 0, 10, 0),
        ("tiny_vgg", 0, 4, 0),
    ],
)
def test_a_folded_network_gives_what_the_network_gives(name: str, norms: int, activations: int, sums: int) -> None:
    shape = (3, 64, 48)
    with Undrawn():
        network = create_model(name, classes=5, size=shape[1:])
    _settled(network, shape)
    changes = plan_fold(network, shape)
    assert (len(changes.folded), len(changes.in_place), len(changes.summed)) == (norms, activations, sums)
    _same(network, fold(network, shape), shape)


class Plain(nn.Module):
    """A convolution, a norm and a ReLU; the others below change one thing each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x)))


class Unusual(Plain):
    """The norm stands before the convolution in the list of modules, has no factors, and the convolution has groups."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(6, affine=False)
        self.conv = Conv2dSame(3, 6, 3, stride=2, groups=3, bias=False)


class ReadTwice(Plain):
    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        return self.norm(maps) + maps


class ReadByFunction(Plain):
    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        return self.norm(F.relu_(maps))


class Given(Plain):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        maps = self.conv(x)
        return self.norm(maps), maps


class ConvolvedTwice(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.conv(x)))


class NormedTwice(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.norm(self.conv(x)))


class Viewed(Plain):
    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        return self.norm(maps.flatten(2).unflatten(2, maps.shape[2:]))


class OfTheBatch(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)


class Halving(nn.Conv2d):
    """Does something to its weights that only it knows."""

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight / 2, None, padding=1)


class OwnKind(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Halving(3, 4, 3)


class ComputesItsWeights(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Conv2d(3, 4, 3)
        del self.conv._parameters["weight"]

    def forward(self, x: Tensor) -> Tensor:
        vars(self.conv)["weight"] = self.source.weight / 2
        return super().forward(x)


class NeedsData(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if float(x.sum()) < 1e9 else x


@pytest.mark.parametrize("kind", [Plain, Unusual])
def test_a_norm_directly_after_its_convolution_is_folded(kind: Callable[[], Plain]) -> None:
    network = _settled(kind())
    assert plan_fold(network, SHAPE) == FoldPlan((("conv", "norm"),), ("relu",))
    _same(network, fold(network, SHAPE))


@pytest.mark.parametrize(
    "kind",
    [
        ReadTwice, ReadByFunction, Given, ConvolvedTwice, NormedTwice, Viewed, OfTheBatch, OwnKind,
        ComputesItsWeights, NeedsData,
    ],
)  # fmt: skip
def test_norms_not_proved_to_follow_a_convolution_alone_are_left(kind: Callable[[], Plain]) -> None:
    network = kind().eval()
    network(_pictures())
    assert plan_fold(network, SHAPE).folded == ()


class Aliased(Plain):
    """The norm goes by two names, and the pass uses the second."""

    def __init__(self) -> None:
        super().__init__()
        self.other_name = self.norm
        self.unregistered = [self.norm]

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.unregistered[0](self.conv(x)))


def test_a_norm_that_goes_by_several_names_is_folded_under_all_of_them() -> None:
    network = _settled(Aliased())
    assert plan_fold(network, SHAPE).folded == (("conv", "norm"),)
    _same(network, fold(network, SHAPE))


class SeesItsInputLater(nn.Module):
    """A ReLU whose input is needed again, one on a view, one on the image, one on what is no copy in every layout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        shifted = self.relus[0](maps) + maps
        viewed = self.relus[1](shifted.flatten(2)).sum(2, keepdim=True)[..., None]
        turned = self.relus[2](shifted.permute(0, 2, 3, 1).contiguous()).sum((1, 2))[..., None, None]
        return shifted + viewed + turned + self.relus[3](x).sum((1, 2, 3), keepdim=True)


def test_an_activation_does_not_work_in_place_where_its_input_is_seen_elsewhere() -> None:
    network = SeesItsInputLater().eval()
    network(_pictures())
    assert plan_fold(network, SHAPE) == FoldPlan()
    assert fold(network, SHAPE) is network


class Sums(nn.Module):
    """Sums of which none may be made in place: of a value with itself twice, and of one that is read later."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 4, 3, padding=1) for _ in range(2))
        self.adds = nn.ModuleList(Add() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        thrice, later = (conv(x) for conv in self.convs)
        return self.adds[1](later, self.adds[0](thrice, thrice, thrice)) - later


def test_a_sum_is_not_made_in_place_where_that_would_be_another_sum() -> None:
    network = Sums().eval()
    network(_pictures())
    assert plan_fold(network, SHAPE) == FoldPlan()


def test_the_network_is_left_as_it_is_and_shares_what_is_not_folded() -> None:
    network = _settled(create_model("resnet18", classes=5, size=SHAPE[1:]))
    before, modes = copy.deepcopy(network.state_dict()), [module.training for module in network.modules()]
    folded = fold(network.train(), SHAPE)
    assert all(torch.equal(value, before[name]) for name, value in network.eval().state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert not any(getattr(module, "inplace", False) for module in network.modules())
    assert folded.get_parameter("fc.weight") is network.get_parameter("fc.weight")


def test_double_precision_stays_double() -> None:
    network = _settled(Plain()).double()
    folded = fold(network, SHAPE)
    pictures = _pictures().double()
    with torch.no_grad():
        torch.testing.assert_close(folded(pictures), network(pictures), rtol=1e-12, atol=1e-12)


class ReadsItsWeights(Plain):
    """The convolution's weights are read by a function too, as a tied decoder does."""

    def forward(self, x: Tensor) -> Tensor:
        maps = self.norm(self.conv(x))
        return F.conv_transpose2d(maps, self.conv.get_parameter("weight"), padding=1)


class ReadsThemThroughData(ReadsItsWeights):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.conv.get_parameter("weight").data.sum()


@pytest.mark.parametrize("kind", [ReadsItsWeights, ReadsThemThroughData])
def test_a_convolution_whose_weights_something_else_reads_is_not_folded(kind: type[Plain]) -> None:
    network = _settled(kind())
    assert plan_fold(network, SHAPE).folded == ()
    _same(network, fold(network, SHAPE))


def test_a_convolution_with_a_forward_of_its_own_is_not_folded() -> None:
    network = _settled(Plain())
    convolution = network.get_submodule("conv")
    convolution.forward = lambda x: F.conv2d(x, convolution.get_parameter("weight").abs(), padding=1)
    assert plan_fold(network, SHAPE).folded == ()


def _doubled(layer: nn.Conv2d) -> None:
    layer.register_forward_hook(lambda module, images, maps: torch.mul(cast(Tensor, maps), 2))


def _halved(layer: nn.Conv2d) -> None:
    layer.register_forward_pre_hook(lambda module, images: images[0] / 2)


def _pruned(layer: nn.Conv2d) -> None:
    l1_unstructured(layer, "weight", 0.5)


@pytest.mark.parametrize("change", [_doubled, _halved, _pruned, spectral_norm])
def test_a_network_with_forward_hooks_is_left_as_it_is(change: Callable[[nn.Conv2d], object]) -> None:
    network = Plain()
    change(cast(nn.Conv2d, network.conv))
    _settled(network)
    assert plan_fold(network, SHAPE) == FoldPlan(reason="a module has a forward hook")
    _same(network, fold(network, SHAPE))


def test_a_tensor_that_is_no_parameter_is_shared() -> None:
    class Scaled(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.ones(4, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.scale

    network = _settled(Scaled())
    folded = fold(network, SHAPE)
    assert folded is not network
    vars(network)["scale"].mul_(3)
    _same(network, folded)
