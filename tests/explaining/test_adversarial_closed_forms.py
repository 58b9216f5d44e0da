"""L-BFGS and x + αw where the right answer is known in closed form, and the curve where it can be counted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.core.spec import RGB, InputSpec
from striate.explaining.adversarial import (
    AttackError,
    Targeted,
    Untargeted,
    accuracy_curve,
    lbfgs,
    linear_closed_form,
    pgd,
)

DEEP = InputSpec(channels=RGB, height=6, width=5, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), maximum=65535.0)
SHALLOW = replace(DEEP, maximum=255.0)
COUNT = 6 * 5 * 3


def linear(classes: int, seed: int = 0) -> tuple[nn.Module, np.ndarray]:
    """A linear net, and its weights (k, h, w, c) in logits for each pixel unit of 0–255."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(COUNT, classes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    weights: Tensor = net[1].weight.detach().double().view(classes, 3, 6, 5)  # type: ignore[union-attr]
    std = torch.tensor(SHALLOW.std).double().view(1, 3, 1, 1)
    return net, (weights / (255 * std)).permute(0, 2, 3, 1).numpy()


def noise(spec: InputSpec, count: int, low: float = 0.3, high: float = 0.7) -> np.ndarray:
    dtype = np.uint16 if spec.maximum > 255 else np.uint8
    bounds = int(low * spec.maximum), int(high * spec.maximum)
    return np.random.default_rng(5).integers(*bounds, (count, 6, 5, 3), dtype)


def test_lbfgs_finds_the_smallest_change_of_a_linear_net() -> None:
    # The way to the border z₀ = z₁ is |z₀ - z₁| / ‖w₀ - w₁‖ long; 16 bits, so that rounding hardly counts.
    net, weights = linear(2)
    with torch.no_grad():
        net[1].bias[0] += 2  # type: ignore[index]
    result = lbfgs(net, DEEP, noise(DEEP, 2), searches=14)
    assert result.fooled.all()
    ahead = np.abs(result.before.logits[:, 0] - result.before.logits[:, 1])
    assert result.l2 == pytest.approx(ahead / np.linalg.norm(weights[0] - weights[1]), rel=0.003)
    along = (weights[1] - weights[0]) * np.where(result.classes == 0, 1, -1)[:, None, None, None]
    cosine = (result.change * along).sum((1, 2, 3)) / np.linalg.norm(along[0]) / (result.l2 * 257)
    assert (cosine > 0.999).all()


def shortest_in_box(picture: np.ndarray, direction: np.ndarray, missing: float) -> float:
    """The length of the smallest r with direction · r = missing and 0 ≤ image + r ≤ 255: r = clip(λ · direction), by
    bisection for λ (the condition of Karush, Kuhn and Tucker)."""
    low, high = 0.0, 1e9
    change = np.zeros_like(direction)
    for _ in range(200):
        middle = (low + high) / 2
        change = np.clip(middle * direction, -picture, 255 - picture)
        low, high = (middle, high) if (direction * change).sum() < missing else (low, middle)
    return float(np.linalg.norm(change))


def test_lbfgs_keeps_to_the_box_and_is_still_the_smallest() -> None:
    net, weights = linear(2)
    with torch.no_grad():
        net[1].bias[0] += 20  # type: ignore[index]
    pixels = noise(DEEP, 2, 0.0, 1.0)
    result = lbfgs(net, DEEP, pixels, searches=12)
    assert result.fooled.all()
    for row, label in enumerate(result.classes):
        ahead = abs(float(result.before.logits[row, 0] - result.before.logits[row, 1]))
        direction = (weights[1 - label] - weights[label]).astype(np.float64)
        right = shortest_in_box(pixels[row] / 257, direction, ahead)
        assert right > 1.05 * ahead / np.linalg.norm(direction)  # the box is felt
        assert result.l2[row] == pytest.approx(right, rel=0.01)


def test_lbfgs_keeps_the_shortest_of_all_it_has_found_and_reaches_a_target() -> None:
    net, _ = linear(4)
    pixels = noise(SHALLOW, 3)
    few, many = (lbfgs(net, SHALLOW, pixels, Targeted(2), searches=searches) for searches in (2, 6))
    wanted = ~many.already
    assert wanted.any()
    assert (many.after.classes == 2).all()
    assert (many.l2 <= few.l2).all()
    assert np.isfinite(many.found["price"][wanted]).all()
    assert np.isnan(many.found["price"][~wanted]).all()


def test_lbfgs_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    net, _ = linear(2)
    with pytest.raises(AttackError, match=r"pip install 'striate\[explain\]'"):
        lbfgs(net, DEEP, noise(DEEP, 1))


def alpha_by_search(logits: np.ndarray, weights: np.ndarray, label: int, targeted: bool) -> float:
    """The smallest α by trying: logits move by α (W w), with w the weights of the class, taken away or added."""
    flat = weights.reshape(len(weights), -1)
    slopes = flat @ flat[label] * (1 if targeted else -1)
    for alpha in range(20_000):
        if bool(np.argmax(logits + alpha * slopes) == label) is targeted:
            return float(alpha)
    return math.inf


@pytest.mark.parametrize("targeted", [True, False])
def test_the_alpha_of_own_weights_is_where_the_answer_turns(targeted: bool) -> None:
    net, weights = linear(4)
    pixels = noise(DEEP, 3)
    result = linear_closed_form(net, DEEP, pixels, Targeted(1) if targeted else Untargeted())
    for row in np.flatnonzero(~result.already):
        label = int(result.classes[row])
        alpha = result.found["alpha"][row]
        assert alpha == pytest.approx(alpha_by_search(result.before.logits[row], weights, label, targeted), rel=2e-3)
        used = result.found["alpha_used"][row]
        assert alpha <= used < 1.2 * alpha
        added = used * weights[label] * (1 if targeted else -1)
        assert np.abs(result.change[row] / 257 - added).max() < 1 / 257
    assert result.fooled.sum() == (~result.already).sum() > 0


def test_two_classes_give_the_alpha_of_the_textbook() -> None:
    # z = (w · x + b, 0), so x - αw turns at α = (w · x + b) / ‖w‖².
    net, weights = linear(2)
    with torch.no_grad():
        net[1].weight[1], net[1].bias[1] = 0, 0  # type: ignore[index]
        net[1].bias[0] = 3.0  # type: ignore[index]
    result = linear_closed_form(net, DEEP, noise(DEEP, 2), Untargeted(0))
    score = result.before.logits[:, 0]
    assert (score > 0).all()
    assert result.found["alpha"] == pytest.approx(score / np.square(weights[0]).sum(), rel=1e-3)


def test_weights_that_lead_nowhere_do_not_fool() -> None:
    # The weights of class 1 are twice those of class 0: whatever is added of class 0, class 1 gains more.
    net, _ = linear(2)
    with torch.no_grad():
        net[1].weight[1] = 2 * net[1].weight[0]  # type: ignore[index]
        net[1].bias[1] = 50.0  # type: ignore[index]
    pixels = noise(SHALLOW, 2)
    result = linear_closed_form(net, SHALLOW, pixels, Targeted(0))
    assert np.isinf(result.found["alpha"]).all()
    assert not result.fooled.any()
    assert np.array_equal(result.adversarial, pixels)


def test_a_net_that_is_not_linear_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(COUNT, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(AttackError, match="linear classifier; the weights of this network differ"):
        linear_closed_form(net, SHALLOW, noise(SHALLOW, 2))


def test_the_curve_counts_what_pgd_turns_and_has_intervals() -> None:
    # On a linear net of two classes the largest change within ε takes ε ‖w₀ - w₁‖₁ from the lead: it can be counted.
    net, weights = linear(2)
    pixels = noise(SHALLOW, 12)
    labels = (np.arange(12) % 3 == 0).astype(np.int64)
    logits = pgd(net, SHALLOW, pixels, epsilon=0).before.logits
    lead = (logits[np.arange(12), labels] - logits[np.arange(12), 1 - labels]) / np.abs(weights[0] - weights[1]).sum()
    epsilons = (0, 1, 3, 6, 100)
    curve = accuracy_curve(net, SHALLOW, pixels, labels, epsilons=epsilons, steps=15)
    assert [one.correct for one in curve.accuracies] == [int((lead > epsilon).sum()) for epsilon in epsilons]
    assert len({one.correct for one in curve.accuracies}) >= 4
    assert all(one.count == 12 and one.interval is not None for one in curve.accuracies)
    assert (curve.smallest[lead < 0] == 0).all()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"attack": "lbfgs"}, "takes no epsilon"),
        ({"attack": "pdg"}, "Did you mean 'pgd'"),
        ({"epsilons": ()}, "at least one epsilon"),
        ({"labels": [0]}, "There are 2 images and 1 labels"),
    ],
)
def test_mistakes_with_the_curve_are_refused(given: dict[str, Any], sentence: str) -> None:
    net, _ = linear(2)
    call: dict[str, Any] = {"labels": [0, 1]} | given
    with pytest.raises(AttackError, match=sentence):
        accuracy_curve(net, SHALLOW, noise(SHALLOW, 2), **call)
