"""Occlusion that computes only what a patch reaches gives the logits of the whole network, at every position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.explaining import occlusion
from striate.explaining.occluding.incremental import Incremental, UntraceableError
from striate.explaining.occluding.incremental.boxes import Boxes, outputs_of
from striate.explaining.occluding.incremental.model import boxes
from striate.explaining.occluding.incremental.program import Program
from striate.explaining.occluding.incremental.replay import reach
from striate.explaining.occluding.occlusion import exact
from striate.explaining.occluding.patch_grid import Positions, positions
from striate.tracing import Window

SIZE = (27, 22)
_CLASSES = 4


class Written(nn.Module):
    """Layers by name, and what is done with them."""

    def __init__(self, forward: Callable[[Written, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.written = forward
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.head = nn.LazyLinear(_CLASSES)

    def __getitem__(self, name: str) -> nn.Module:
        return self.get_submodule(name)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.written(self, x).flatten(1))


def _chain(*layers: nn.Module) -> Written:
    return Written(lambda net, x: net["layers"](x), layers=nn.Sequential(*layers))


def _residual(net: Written, x: Tensor) -> Tensor:
    x = F.relu(net["first"](x))
    y = net["norm"](net["second"](F.relu_(net["norm"](net["first_inner"](x)))))
    y = F.relu_(y + F.avg_pool2d(net["shortcut"](x), 2, ceil_mode=True))
    return y.mean((2, 3))


def _parts(net: Written, x: Tensor) -> Tensor:
    x = net["first"](x).relu_()
    branches = [net["narrow"](x), F.leaky_relu(net["wide"](x), 0.1), F.max_pool2d(x, 3, 1, padding=1)]
    x = torch.cat(branches, 1)
    x = F.pad(x, (1, 0, 2, 1, 1, 2), value=0.3)[:, :, 1:, ::2]
    return F.adaptive_avg_pool2d(x * 0.5 - net.state_dict()["narrow.bias"].mean(), 1)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    # a network, and how many of its values depend on more than boxes (the logits are always one)
    "strided, padded, dilated": (
        lambda: _chain(
            nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        ),
        3,
    ),
    "grouped, depthwise, pointwise, uneven": (
        lambda: _chain(
            nn.Conv2d(3, 12, (3, 5), padding=(0, 3), bias=False), nn.BatchNorm2d(12), nn.ReLU6(),
            nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.Conv2d(12, 8, 1, stride=2), nn.SiLU(),
            nn.Conv2d(8, 8, 3, stride=(1, 2), groups=4), nn.AdaptiveAvgPool2d(1),
        ),
        3,
    ),
    "pools that overlap, round up, and know their borders": (
        lambda: _chain(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), nn.Conv2d(6, 6, 3, padding=1),
            nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False), nn.Conv2d(6, 6, 2),
            nn.AvgPool2d((2, 3), 1, padding=(1, 1)), nn.MaxPool2d(2, 1, dilation=2), nn.AdaptiveAvgPool2d(1),
        ),
        3,
    ),
    "a sum with a shortcut, one norm used twice": (
        lambda: Written(
            _residual, first=nn.Conv2d(3, 6, 3, padding=1), first_inner=nn.Conv2d(6, 6, 3, 2, padding=1),
            second=nn.Conv2d(6, 6, 3, padding=1), norm=nn.BatchNorm2d(6), shortcut=nn.Conv2d(6, 6, 1),
        ),
        2,
    ),
    "concatenation, padding and slices": (
        lambda: Written(
            _parts, first=nn.Conv2d(3, 4, 3, padding=1), narrow=nn.Conv2d(4, 3, 1), wide=nn.Conv2d(4, 5, 5, padding=2),
        ),
        3,
    ),
    "a head over all pixels": (lambda: _chain(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)), 2),
}  # fmt: skip


def _ready(build: Callable[[], nn.Module], dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor, Tensor]:
    """A network whose norms have seen images, an image, and what its patches show."""
    torch.manual_seed(2)
    model, images = build(), torch.randn(4, 3, *SIZE)
    model(images)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model.eval().to(dtype), images[:1].to(dtype), torch.rand(1, 3, *SIZE).to(dtype)


def _equal(model: nn.Module, image: Tensor, cover: Tensor, places: Positions, within: float = 1e-5) -> None:
    with torch.no_grad():
        expected = torch.cat([logits for _, logits in exact(model, image, cover, places)])
    found = torch.full_like(expected, torch.nan)
    for numbers, logits in Incremental.of(model, image).logits(image, cover, places):
        found[numbers] = logits
    assert (expected - expected[:1]).abs().max() > 1e-3 * expected.abs().max()  # the patches matter at all
    assert (found - expected).abs().max() <= within * expected.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("patch", "stride"), [(6, 4), ((5, 3), (3, 2)), (1, 1)])
def test_every_logit_is_that_of_the_whole_network(
    name: str, patch: int | tuple[int, int], stride: int | tuple[int, int]
) -> None:
    build, _ = NETWORKS[name]
    _equal(*_ready(build), positions(SIZE, patch, stride))


@pytest.mark.parametrize("name", NETWORKS)
def test_double_precision_agrees_to_its_last_digits(name: str) -> None:
    _equal(*_ready(NETWORKS[name][0], torch.float64), positions(SIZE, 5, 5), within=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_but_the_head_is_confined_to_what_the_patch_reaches(name: str) -> None:
    build, whole = NETWORKS[name]
    model, image, _ = _ready(build)
    program = Incremental.of(model, image).program
    reached = reach(program, boxes(positions(SIZE, 5, 5)))
    assert len(program.instructions) + 1 - len(reached) == whole


def test_boxes_hold_exactly_the_changed_values() -> None:
    """The boxes hold every changed value, and each of their edges has one: they are no larger than needed."""
    torch.manual_seed(1)
    places = positions((30, 30), 4, 3)
    for kernel, stride, dilation, padding in [(3, 1, 1, 1), (3, 2, 1, 0), (5, 1, 1, 2), (2, 2, 1, 0), (3, 2, 2, 3)]:
        weights = torch.rand(1, 1, kernel, kernel) + 0.1
        window = Window((30, 30), (kernel, kernel), (stride, stride), (padding, padding), (dilation, dilation))
        clean = F.conv2d(torch.zeros(1, 1, 30, 30), weights, None, stride, padding, dilation)
        reached = outputs_of(boxes(places), window, (clean.shape[2], clean.shape[3]))
        for number in range(len(places)):
            picture = torch.zeros(1, 1, 30, 30)
            picture[(0, 0, *places.box(number))] = 1
            rows, columns = F.conv2d(picture, weights, None, stride, padding, dilation)[0, 0].nonzero().numpy().T
            if len(rows):  # else no output reads the patch, and a box of one stands for none
                found = reached.at(np.array([number]))
                assert (found.tops[0], found.bottoms[0] - 1) == (rows.min(), rows.max())
                assert (found.lefts[0], found.rights[0] - 1) == (columns.min(), columns.max())


class Gated(nn.Module):
    """A squeeze-and-excitation gate in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.gate, self.head = nn.Conv2d(6, 6, 1), nn.Linear(6, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        return self.head(self.second(x).relu().mean((2, 3)))


class Normalized(nn.Module):
    """A norm over all pixels, weights that are computed, and a view of two dimensions in one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.GroupNorm(2, 6)
        self.weight, self.head = nn.Parameter(torch.randn(6, 6, 3, 3)), nn.Linear(6, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x)).relu()
        x = F.conv2d(x, self.weight / self.weight.norm())
        return self.head(x.view(x.size(0), 6, -1).amax(2))


@pytest.mark.parametrize("build", [Gated, Normalized])
def test_where_an_operation_sees_the_whole_map_the_rest_is_computed_whole(build: Callable[[], nn.Module]) -> None:
    _equal(*_ready(build), positions(SIZE, 6, 4))


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)
        return x if x.mean() > 0.1 else -x


class Overwriting(Deciding):
    def forward(self, x: Tensor) -> Tensor:
        x = self.layers[0](x)
        x[:, :2].relu_()
        return x.mean((2, 3))


class Drawing(Deciding):
    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x * (1 + 0 * torch.rand_like(x)))


@pytest.mark.parametrize("build", [Deciding, Overwriting, Drawing])
def test_networks_that_cannot_be_recorded_run_whole(build: Callable[[], nn.Module]) -> None:
    model, image, cover = _ready(build)
    with pytest.raises(UntraceableError):
        Incremental.of(model, image)
    places = positions(SIZE, 6, 4)
    with torch.no_grad():
        logits = torch.cat([found for _, found in exact(model, image, cover, places)])
        drops = (model(image)[:, 1] - logits[:, 1]).numpy()
    found = occlusion(model, image, 1, patch=6, stride=4, fill=cover[0])
    np.testing.assert_allclose(found.values[0, 0, 0], drops[0], rtol=1e-5, atol=1e-7)
    assert found.notes[0].startswith("The whole network ran for each patch: ")


def test_operations_that_do_not_give_the_logits_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_its_last_relu(program: Program) -> Program:
        place = max(number for number, one in enumerate(program.instructions) if one.name == "relu")
        silent = replace(program.instructions[place], function=torch.ops.aten.neg.default)
        return replace(
            program, instructions=(*program.instructions[:place], silent, *program.instructions[place + 1 :])
        )

    model, image, _ = _ready(NETWORKS["strided, padded, dilated"][0])
    monkeypatch.setattr("striate.explaining.occluding.incremental.model.in_place", without_its_last_relu)
    with pytest.raises(UntraceableError, match="same logits"):
        Incremental.of(model, image)


def test_the_method_uses_it_and_gives_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image, _ = _ready(NETWORKS["concatenation, padding and slices"][0])
    images = torch.cat([image, image.flip(3)])
    used: list[int] = []
    original = Incremental.logits

    def noting(self: Incremental, *args: Tensor) -> object:
        used.append(1)
        return original(self, *args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Incremental, "logits", noting)
    found = occlusion(model, images, [0, 1], patch=5, stride=3)
    assert len(used) == 2
    monkeypatch.setattr(Incremental, "saved", lambda *_: 1.0)
    whole = occlusion(model, images, [0, 1], patch=5, stride=3)
    assert len(used) == 2
    np.testing.assert_allclose(found.values, whole.values, rtol=0, atol=1e-5 * float(np.abs(whole.score).max()))


def test_boxes_are_joined_and_grouped_by_size() -> None:
    some = Boxes(*(np.array(edge) for edge in ([0, 2, 4], [3, 5, 8], [0, 0, 0], [2, 2, 2])))
    other = Boxes(*(np.array(edge) for edge in ([1, 2, 3], [2, 6, 5], [0, 0, 0], [2, 2, 1])))
    joined = some.joined(other)
    assert (joined.tops.tolist(), joined.bottoms.tolist()) == ([0, 2, 3], [3, 6, 8])
    assert [group.tolist() for group in some.by_size()] == [[0, 1], [2]]
    assert some.area() == 6 + 6 + 8


def _everywhere(model: nn.Module, image: Tensor, cover: Tensor, places: Positions) -> Tensor:
    with torch.no_grad():
        return torch.cat([logits for _, logits in exact(model, image, cover, places)])


class Mixing(nn.Module):
    """Normalized by the statistics of whatever it is given, written in three ways."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Linear(4, _CLASSES)
        self.norm = nn.InstanceNorm2d(4) if written == "instance" else nn.BatchNorm2d(4, track_running_stats=False)
        self.written = written

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = F.batch_norm(x, None, None, training=True) if self.written == "functional" else self.norm(x)
        return self.head(self.second(x.relu()).mean((2, 3)))


@pytest.mark.parametrize("written", ["module", "functional", "instance"])
def test_after_a_norm_over_the_whole_map_a_patch_changes_all(written: str) -> None:
    torch.manual_seed(1)
    model, images = Mixing(written).eval(), torch.rand(2, 3, 16, 12)
    found = occlusion(model, images, 1, patch=4, stride=4)
    for number, image in enumerate(images):
        for y, x in np.ndindex(4, 3):
            hidden = image.clone()
            hidden[:, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] = 0
            with torch.no_grad():
                drop = model(image[None])[0, 1] - model(hidden[None])[0, 1]
            assert found.values[number, 4 * y, 4 * x] == pytest.approx(float(drop), rel=1e-3, abs=1e-6)
    assert bool(found.notes) is (written != "instance")
