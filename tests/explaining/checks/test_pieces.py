"""What a check is made of: time in pieces, networks of noise, areas under the score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining.checks.areas import STEPS, Rounds
from striate.explaining.checks.budget import Budget
from striate.explaining.checks.reference_maps import edges, moved, turned
from striate.explaining.checks.unseen import HALVES, Half, hide, spreads
from striate.explaining.checks.weights import Cascade, copied


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("length", "done"), [("10s", 2), ("14s", 3), ("0.25min", 3), ("1s", 1)])
def test_a_piece_is_begun_where_the_longest_so_far_would_fit(length: str, done: int) -> None:
    clock, seen = Clock(), []
    for piece in Budget(length, clock).spend([3.0, 5.0, 2.0, 1.0]):
        seen.append(piece)
        clock.seconds += piece
    assert len(seen) == done


def test_a_budget_that_is_spent_gives_out_nothing() -> None:
    clock = Clock()
    budget = Budget("2s", clock)
    clock.seconds = 2.0
    assert list(budget.spend([1])) == []


@pytest.mark.parametrize("length", ["30ep", "soon"])
def test_a_budget_is_a_time(length: str) -> None:
    with pytest.raises(ConfigError, match=r"30s|10min"):
        Budget(length)


class Spelled(nn.Module):
    """Defined in another order than it runs in; one layer's weights are used without calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.functional = nn.Conv2d(6, 6, 3, bias=False)
        self.stem = nn.Conv2d(2, 6, 3)
        self.register_buffer("steady", torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        return self.head(F.conv2d(x, self.functional.weight).amax((2, 3)))


def _spelled() -> tuple[Spelled, Tensor]:
    torch.manual_seed(0)
    model = Spelled().eval()
    model.norm.running_mean = torch.randn(6)
    return model, torch.randn(4, 2, 9, 8)


def test_noise_comes_from_the_top_down_and_leaves_the_rest_and_the_original() -> None:
    model, images = _spelled()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cascade = Cascade(model, images, 0)
    changed: list[set[str]] = []
    for depth in range(1, len(cascade) + 1):
        now = cascade.down_to(depth).state_dict()
        changed.append({name.split(".")[0] for name, value in now.items() if not torch.equal(value, before[name])})
    assert changed == [{"head"}, {"head", "functional"}, {"head", "functional", "norm"}, _layers(before)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def _layers(state: dict[str, Tensor]) -> set[str]:
    return {name.split(".")[0] for name in state} - {"steady"}


def test_noise_has_the_mean_and_spread_of_the_weights() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 64, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1, bias=False))
    with torch.no_grad():
        next(model.parameters()).mul_(3).add_(0.5)
    weight = next(model.parameters()).detach()
    noise = next(Cascade(model, torch.randn(1, 8, 5, 5), 0).down_to(2).parameters()).detach()
    assert noise.mean().item() == pytest.approx(weight.mean().item(), abs=0.02)
    assert noise.std().item() == pytest.approx(weight.std().item(), rel=0.02)
    assert abs(torch.corrcoef(torch.stack([weight.flatten(), noise.flatten()]))[0, 1].item()) < 0.05


def test_statistics_are_estimated_where_what_comes_in_has_changed() -> None:
    model, images = _spelled()
    cascade = Cascade(model, images, 0)
    before, of_two = model.state_dict(), cascade.down_to(2).state_dict()
    assert torch.equal(of_two["norm.running_mean"], before["norm.running_mean"])
    of_all = cascade.down_to(4).state_dict()
    given = F.conv2d(images, of_all["stem.weight"], of_all["stem.bias"]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(of_all["norm.running_mean"], given.mean(1))
    torch.testing.assert_close(of_all["norm.running_var"], given.var(1, correction=0))


def test_one_value_for_each_channel_leaves_statistics_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    network = Cascade(model, torch.randn(1, 1, 2, 2), 0).down_to(2)
    assert torch.equal(network.state_dict()["2.running_var"], torch.ones(3))


def test_other_seeds_are_other_noise_and_the_same_is_the_same() -> None:
    model, images = _spelled()
    one, again, other = (Cascade(model, images, seed).down_to(4)(images) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_images_are_not_changed_by_a_network_that_overwrites_what_it_is_given() -> None:
    model, images = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), torch.randn(2, 2, 5, 5)
    before = images.clone()
    Cascade(model.eval(), images, 0).down_to(2)
    assert torch.equal(images, before)


def test_of_a_compiled_network_the_python_is_copied() -> None:
    model, images = _spelled()
    compiled = torch.compile(model, backend="eager")
    assert isinstance(compiled, nn.Module)
    cascade = Cascade(compiled, images, 0)
    assert type(cascade.network) is Spelled
    assert torch.equal(cascade.down_to(4)(images), Cascade(model, images, 0).down_to(4)(images))


def test_areas_are_those_of_a_loop_over_pixels() -> None:
    lots = np.random.default_rng(0)
    images = torch.from_numpy(lots.normal(size=(2, 3, 6, 10)))
    maps = lots.normal(size=(2, 6, 10)).astype(np.float32)
    weights = torch.from_numpy(lots.normal(size=(1, 3 * 6 * 10)))
    model = nn.Sequential(nn.Flatten(), nn.Linear(180, 1, bias=False, dtype=torch.float64))
    model[1].weight.data = weights
    found = Rounds(model, images, lambda logits, pictures: logits[:, 0]).areas(maps, 0)

    def area(before: np.ndarray, after: np.ndarray, values: np.ndarray) -> float:
        now, scores = before.copy(), []
        order = sorted(((row, column) for row in range(6) for column in range(10)), key=lambda at: -values[at])
        for step in range(STEPS + 1):
            for row, column in order[: step * 60 // STEPS]:
                now[:, row, column] = after[:, row, column]
            scores.append(float(now.reshape(-1) @ weights[0].numpy()))
        return float(np.trapezoid(scores, dx=1 / STEPS))

    deletions, insertions = [], []
    for image, values in zip(images.numpy(), maps, strict=True):
        grey = np.broadcast_to(image.mean((1, 2), keepdims=True), image.shape)
        blurred = np.stack([gaussian_filter(channel, 6 / 16, mode="mirror", truncate=3) for channel in image])
        deletions.append(area(image, grey, values))
        insertions.append(area(blurred, image, values))
    assert found.deletion == pytest.approx(np.mean(deletions), rel=1e-5)
    assert found.insertion == pytest.approx(np.mean(insertions), rel=1e-5)


def test_a_moved_map_has_the_same_grain_elsewhere() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 8, 12)).astype(np.float32)
    there = moved(maps, 0)
    for one, other in zip(maps, there, strict=True):
        assert not np.array_equal(one, other)
        mirrored = [one[::down, ::across] for down in (1, -1) for across in (1, -1)]
        shifted = (np.roll(each, (y, x), (0, 1)) for each in mirrored for y in range(8) for x in range(12))
        assert any(np.array_equal(each, other) for each in shifted)
    assert not np.array_equal(there, moved(maps, 1))


@pytest.mark.parametrize(("size", "ways"), [((5, 5), 7), ((5, 7), 3)])
def test_a_map_is_turned_in_place_in_all_ways(size: tuple[int, int], ways: int) -> None:
    maps = np.random.default_rng(0).random((2, *size))
    found = turned(maps)
    assert len({each.tobytes() for each in (maps, *found)}) == 1 + ways
    assert all(each.shape == maps.shape for each in found)
    assert all(np.array_equal(np.sort(each.reshape(2, -1)), np.sort(maps.reshape(2, -1))) for each in found)


@pytest.mark.parametrize("half", HALVES)
def test_a_hidden_half_leaves_a_gradient_flat_there_and_only_there(half: Half) -> None:
    axis, second = half
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(8 * 12, 1)), torch.randn(2, 1, 8, 12)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(hide(copied(model), images.detach(), half)(images).sum(), images)
    first, last = gradient.chunk(2, axis)
    hidden, seen = (last, first) if second else (first, last)
    assert not hidden.any()
    assert seen.all()
    found = spreads({half: gradient[:, 0].numpy()})
    assert found.value == 0
    assert len(found.chance) == 3
    assert max(found.chance) > 0.3


def test_the_weights_of_one_class_alone_become_random() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), nn.Softmax(1))
    images = torch.randn(2, 1, 2, 3)
    other = Cascade(model, images, 0).of_class(1, classes=3)
    assert other is not None
    before, after = model.get_parameter("3.weight"), other.get_parameter("3.weight")
    assert (before != after).any(1).tolist() == [False, True, False]
    assert torch.equal(model.get_parameter("1.weight"), other.get_parameter("1.weight"))
    assert Cascade(model, images, 0).of_class(1, classes=7) is None


def test_edges_are_where_brightness_changes() -> None:
    images = torch.zeros(1, 3, 6, 8)
    images[..., 4:] = 1
    assert np.argwhere(edges(images)[0].sum(0) > 0).ravel().tolist() == [3, 4]
    assert edges(torch.randn(1, 2, 1, 1)).tolist() == [[[0.0]]]
