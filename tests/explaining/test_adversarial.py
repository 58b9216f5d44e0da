"""Attacks against numbers worked by hand: FGSM, PGD and what each of their steps is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.core.spec import GREY, RGB, InputSpec
from striate.data.preparation.arrays import scale
from striate.explaining.adversarial import ATTACKS, Adversarial, AttackError, OneLabel, Targeted, Untargeted, fgsm, pgd
from striate.explaining.adversarial.attacked import AttackedModel
from striate.explaining.adversarial.goal import ResolvedGoal
from striate.explaining.adversarial.norms import NORMS
from striate.explaining.adversarial.pixels import OnGrid, to_levels
from striate.explaining.target import TargetError

CPU = torch.device("cpu")


class Linear(nn.Module):
    """Logits W x + b, with W in units of the network's input."""

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.layer = nn.Linear(weights[0].numel(), len(weights))
        self.layer.weight = nn.Parameter(weights.flatten(1))
        self.layer.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))


def grey(height: int, width: int, **changes: Any) -> InputSpec:
    return replace(InputSpec(channels=GREY, height=height, width=width, mean=(0.0,), std=(1.0,)), **changes)


def row_of(*values: int, dtype: str = "uint8") -> np.ndarray:
    return np.array(values, dtype).reshape(1, 1, -1, 1)


@pytest.fixture
def line() -> tuple[nn.Module, InputSpec]:
    """Four pixels, two classes: z₀ - z₁ = (2 x₀ - x₁ + 0 x₂ + 1 x₃) / 255 - 1/255."""
    weights = torch.tensor([[1.0, -0.5, 0.0, 0.5], [-1.0, 0.5, 0.0, -0.5]]).view(2, 1, 1, 4)
    return Linear(weights, torch.tensor([-0.5, 0.5]) / 255), grey(1, 4)


def test_fgsm_moves_each_pixel_by_epsilon_against_its_weight_and_stops_at_the_range(
    line: tuple[nn.Module, InputSpec],
) -> None:
    model, spec = line
    result = fgsm(model, spec, row_of(10, 254, 100, 240), epsilon=3)
    # 20 - 254 + 240 - 1 = 5 > 0: class 0. Down with 0 and 3, up with 1 (only to 255), and pixel 2 has no weight.
    assert result.adversarial.tolist() == row_of(7, 255, 100, 237).tolist()  # 14 - 255 + 237 - 1 = -5: class 1
    assert result.change.reshape(-1).tolist() == [-3, 1, 0, -3]
    assert (result.before.classes.tolist(), result.after.classes.tolist()) == ([0], [1])
    assert result.fooled.tolist() == [True]
    assert result.linf.tolist() == [3.0]
    assert result.l2.tolist() == [math.sqrt(19)]
    assert result.after.confidences().item() == pytest.approx(1 / (1 + math.exp(-5 / 255)), abs=1e-6)
    assert result.before.confidences(0.5).item() == pytest.approx(1 / (1 + math.exp(-10 / 255)), abs=1e-6)


def test_fgsm_towards_a_target_goes_the_other_way_and_leaves_what_is_there_already(
    line: tuple[nn.Module, InputSpec],
) -> None:
    model, spec = line
    pixels = np.concatenate([row_of(10, 254, 100, 240), row_of(10, 254, 100, 200)])
    result = fgsm(model, spec, pixels, Targeted(0), epsilon=40)
    assert result.already.tolist() == [True, False]
    assert result.fooled.tolist() == [False, True]
    assert np.array_equal(result.adversarial[0], pixels[0])
    assert result.adversarial[1].reshape(-1).tolist() == [50, 214, 100, 240]


def test_not_fooled_within_epsilon_is_a_result(line: tuple[nn.Module, InputSpec]) -> None:
    model, spec = line
    result = fgsm(model, spec, row_of(200, 0, 100, 200), epsilon=1)
    assert result.fooled.tolist() == [False]
    assert result.linf.tolist() == [1.0]


def random_net(channels: int = 3) -> nn.Module:
    generator = torch.Generator().manual_seed(4)
    net = nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return net


def noise(spec: InputSpec, count: int = 3, dtype: str = "uint8") -> np.ndarray:
    draw = np.random.default_rng(2)
    shape = (count, *spec.size, len(spec.channels))
    return draw.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


COLOUR = InputSpec(channels=RGB, height=10, width=8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.mark.parametrize("name", [name for name in ATTACKS if ATTACKS[name].bounded])
@pytest.mark.parametrize("goal", [Untargeted(), Untargeted(2), Untargeted([0, 1, 2]), Targeted(3)])
def test_within_epsilon_zero_nothing_changes(name: str, goal: Untargeted | Targeted) -> None:
    pixels = noise(COLOUR)
    result = ATTACKS[name].function(random_net(), COLOUR, pixels, goal, epsilon=0)
    assert np.array_equal(result.adversarial, pixels)
    assert not result.fooled.any()
    assert result.linf.tolist() == result.l2.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("attack", "size"),
    [
        (lambda *given, **more: fgsm(*given, epsilon=5, **more), "linf"),
        (lambda *given, **more: pgd(*given, epsilon=5, steps=6, **more), "linf"),
        (lambda *given, **more: pgd(*given, epsilon=5, norm="l2", steps=6, **more), "l2"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_no_change_leaves_the_ball_or_the_range_and_the_loss_rises(
    attack: Callable[..., Adversarial], size: str, dtype: str
) -> None:
    maximum = float(np.iinfo(dtype).max)
    spec = replace(COLOUR, maximum=maximum)
    pixels = noise(spec, 4, dtype)
    model = random_net()
    result = attack(model, spec, pixels)
    assert result.adversarial.dtype == pixels.dtype
    assert 0 < getattr(result, size).max() <= 5  # in units of 0–255, whatever the depth
    chosen = np.arange(4), result.classes
    before, after = (side.probabilities()[chosen] for side in (result.before, result.after))
    assert (after < before).all()
    with torch.no_grad():
        logits = model.eval()(scale(torch.from_numpy(result.adversarial.transpose(0, 3, 1, 2).copy()), spec))
    assert np.allclose(logits.numpy(), result.after.logits, rtol=1e-5, atol=1e-5)
    assert np.array_equal(logits.argmax(1).numpy() != result.before.classes, result.fooled)


def test_the_scale_is_that_of_preparation_bit_for_bit() -> None:
    pixels = noise(COLOUR)
    seen: list[Tensor] = []
    model = random_net()
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    AttackedModel(model, OnGrid(COLOUR)).answers(to_levels(pixels, CPU))
    assert torch.equal(torch.cat(seen), scale(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()), COLOUR))


def test_projection_by_hand() -> None:
    change = torch.tensor([[3.0, -4.0], [0.3, 0.4]]).view(2, 1, 1, 2)
    assert NORMS["linf"].project(change, 3.0).flatten().tolist() == pytest.approx([3, -3, 0.3, 0.4])
    assert NORMS["l2"].project(change, 2.5).flatten().tolist() == pytest.approx([1.5, -2.0, 0.3, 0.4])
    assert NORMS["l2"].project(change, 0.0).abs().max() == 0


def test_the_steepest_step_has_size_one_even_where_gradients_are_faint() -> None:
    gradient = torch.tensor([[3e-30, -4e-30], [0.0, 0.0]]).view(2, 1, 1, 2)
    assert NORMS["linf"].steepest(gradient).flatten().tolist() == [1, -1, 0, 0]
    assert NORMS["l2"].steepest(gradient).flatten().tolist() == pytest.approx([0.6, -0.8, 0, 0])


def test_rounding_in_l2_spends_what_cutting_saves_on_the_largest_rests() -> None:
    # Cut to (2, 0, -1, 0); 2.9² + 0.6² + 1.2² + 0.5² - 5 = 5.46 is saved: 5 for 2 → 3, then 0 → 1 would take one more.
    change = torch.tensor([2.9, 0.6, -1.2, 0.5]).view(1, 1, 1, 4)
    assert NORMS["l2"].rounded(change).flatten().tolist() == [3, 0, -1, 0]
    # Faint everywhere: 25 × 0.2² = 1, so one value of the 25 is changed by one, and not none.
    faint = torch.full((1, 1, 5, 5), -0.2000001)
    assert NORMS["l2"].rounded(faint).sum() == -1


@pytest.mark.parametrize("scale_of", [0.3, 2.0, 40.0])
def test_rounding_in_l2_never_lengthens(scale_of: float) -> None:
    change = torch.randn(5, 3, 9, 7, generator=torch.Generator().manual_seed(0)) * scale_of
    rounded = NORMS["l2"].rounded(change)
    assert torch.equal(rounded, rounded.round())
    assert ((rounded - change).abs() < 1).all()
    unspent = change.double().square().sum((1, 2, 3)) - rounded.double().square().sum((1, 2, 3))
    assert (unspent >= 0).all()
    assert (unspent < 2 * change.abs().amax((1, 2, 3)) + 1).all()  # less than what the dearest step of one level costs


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball(norm: str) -> None:
    generator = torch.Generator().manual_seed(0)
    starts = torch.stack([NORMS[norm].start(torch.Size((1, 1, 2)), 10.0, generator) for _ in range(2000)])
    sizes = NORMS[norm].size(starts)
    assert sizes.max() <= 10
    # In two dimensions the ball of half the radius holds a quarter of the whole, in both norms.
    assert (sizes < 5).float().mean() == pytest.approx(0.25, abs=0.03)
    assert starts.mean((0, 1, 2)).abs().max() < 0.4


def test_pgd_on_a_linear_net_ends_in_the_corner_of_the_ball(line: tuple[nn.Module, InputSpec]) -> None:
    model, spec = line
    pixels = row_of(200, 50, 100, 200)  # far from being fooled within 8: all steps are made
    result = pgd(model, spec, pixels, epsilon=8, steps=20, seed=1)
    assert result.change.reshape(-1)[[0, 1, 3]].tolist() == [-8, 8, -8]
    assert abs(int(result.change.reshape(-1)[2])) <= 8  # without weight it stays where the random start put it
    # The best change of length 40 is -40 w/‖w‖ with w = (2, -1, 0, 1), which takes 40 ‖w‖ = 98 from the score.
    along = pgd(model, spec, pixels, epsilon=40, norm="l2", steps=60, seed=1).change.reshape(-1)
    assert 0.95 * 98 < 2 * -along[0] + along[1] - along[3] <= 98


def test_pgd_repeats_by_its_seed_and_no_image_feels_its_neighbours() -> None:
    pixels, model = noise(COLOUR), random_net()
    first, again, other = (pgd(model, COLOUR, pixels, epsilon=4, steps=3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.adversarial, again.adversarial)
    assert not np.array_equal(first.adversarial, other.adversarial)
    alone = pgd(model, COLOUR, pixels[:1], epsilon=4, steps=3, seed=1)
    assert np.array_equal(alone.adversarial[0], first.adversarial[0])
    # Of an image that is already as it should be nothing is left to do, and the next one does not move up.
    elsewhere = [(int(first.classes[0]) + 1) % 4, *first.classes[1:].tolist()]
    others = pgd(model, COLOUR, pixels, Untargeted(elsewhere), epsilon=4, steps=3, seed=1)
    assert others.already.tolist() == [True, False, False]
    assert np.array_equal(others.adversarial[1:], first.adversarial[1:])


def test_progress_is_a_rising_function_of_cross_entropy_and_its_gradient_does_not_vanish() -> None:
    logits = torch.tensor([[10.0, 0.0, -3.0], [1.0, 2.0, 0.5]], requires_grad=True)
    chase = ResolvedGoal.of(Untargeted(0), logits.detach())
    entropy = nn.functional.cross_entropy(logits.double(), chase.classes, reduction="none")
    assert torch.allclose(torch.nn.functional.softplus(chase.progress(logits)), entropy, atol=0, rtol=1e-9)
    (gradient,) = torch.autograd.grad(chase.progress(logits).sum(), logits)
    assert gradient[0, 0] == -1  # softmax - 1, which cross-entropy would have, is -5e-5
    towards = ResolvedGoal.of(Targeted(1), logits.detach())
    assert towards.progress(logits)[1] == -ResolvedGoal.of(Untargeted(1), logits.detach()).progress(logits)[1]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"pixels": np.zeros((1, 10, 8, 1), np.uint8)}, r"uint8 of shape \(n, 10, 8, 3\); received uint8 \(1, 10"),
        ({"pixels": np.zeros((1, 10, 8, 3), np.float32)}, r"whole pixels, uint8 .* received float32"),
        ({"pixels": [1]}, "received list"),
        ({"epsilon": 2.5}, r"whole number of levels.*received 2\.5, which is 2\.5 levels"),
        ({"epsilon": -1}, r"not negative; received -1"),
        ({"goal": Targeted(9)}, "4 classes, 0 to 3; received target 9"),
        ({"goal": Untargeted([1])}, "There are 2 images and 1 targets"),
        ({"spec": replace(COLOUR, maximum=1.0)}, "8 or 16 bits; this network takes values up to 1"),
        ({"norm": "l3"}, "There is no norm 'l3'"),
        ({"steps": 0}, "at least one step; received steps 0"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_in_a_sentence(given: dict[str, Any], sentence: str) -> None:
    call: dict[str, Any] = {"model": random_net(), "spec": COLOUR, "pixels": noise(COLOUR, 2)} | given
    with pytest.raises((AttackError, TargetError), match=sentence):
        pgd(**call)


def test_half_a_unit_is_a_whole_level_of_no_sixteen_bits_but_a_257th_is() -> None:
    spec = replace(COLOUR, maximum=65535.0)
    result = fgsm(random_net(), spec, noise(spec, 1, "uint16"), epsilon=1 / 257)
    assert np.abs(result.change).max() == 1
    with pytest.raises(AttackError, match=r"128\.5 levels"):
        fgsm(random_net(), spec, noise(spec, 1, "uint16"), epsilon=0.5)


class Detached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach().flatten(1)[:, :2]


class Undefined(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2] * torch.nan


@pytest.mark.parametrize(
    ("network", "sentence"),
    [(Detached(), "No gradient of the outputs reaches the image"), (Undefined(), "are infinite or undefined")],
)
def test_a_network_without_gradients_or_numbers_is_refused(network: nn.Module, sentence: str) -> None:
    for attack in (fgsm, pgd):
        with pytest.raises(AttackError, match=sentence):
            attack(network, grey(1, 4), row_of(1, 2, 3, 4))


@pytest.mark.parametrize(("goal", "pixels"), [(Untargeted(0), (200, 50, 100, 200)), (Targeted(0), (200, 50, 100, 244))])
def test_one_label_of_several_is_attacked_alone(goal: Any, pixels: tuple[int, ...]) -> None:
    """The logit is 20 (x₀ - x₁ + x₂ - x₃) / 255: 3.92 and 0.47; the label's limit is 2 log(0.75 / 0.25) = 2.197.

    ε changes it by 80 ε / 255: 6 is needed to lose 1.73, and also to gain as much. Both other labels stay far ahead.
    """
    others = torch.full((2, 1, 1, 4), 100.0)
    weights = torch.cat([torch.tensor([20.0, -20, 20, -20]).view(1, 1, 1, 4), others])
    one = OneLabel(Linear(weights, torch.zeros(3)), 0, threshold=0.75, temperature=2.0)
    spec, row = grey(1, 4), row_of(*pixels)
    assert not fgsm(one, spec, row, goal, epsilon=5).fooled[0]
    found = fgsm(one, spec, row, goal, epsilon=6)
    assert found.fooled[0]
    assert np.abs(found.change).tolist() == [[[[6], [6], [6], [6]]]]
