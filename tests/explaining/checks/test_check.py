"""The whole check: on maps of which is known what they are worth."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining import METHODS, Attribution, grad_cam, guided_backpropagation, integrated_gradients, saliency
from striate.explaining.checks import Check, RandomisationTest, Row, WithChance
from striate.explaining.checks.checking import NOISE_NETWORKS, ORDERS
from striate.explaining.checks.reference_maps import edges
from striate.explaining.checks.weights import Cascade
from striate.explaining.invocation import Invocation, InvocationError

SIDE, PLACES = 16, ((3, 4), (8, 2))  # of an object of 5 × 5 pixels, in each image
MUCH = "30min"  # of time: no clock decides a test


class Planted(nn.Module):
    """Answers by the brightness of the brightest square of 5 × 5 pixels, which its weights know how to find."""

    def __init__(self) -> None:
        super().__init__()
        self.find = nn.Conv2d(1, 2, 5, bias=False)
        with torch.no_grad():
            self.find.weight[0], self.find.weight[1] = 0.2, -0.2

    def forward(self, x: Tensor) -> Tensor:
        return self.find(x).amax((2, 3))


def _pictures() -> Tensor:
    images = 0.1 * torch.randn(len(PLACES), 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for image, (row, column) in zip(images, PLACES, strict=True):
        image[:, row : row + 5, column : column + 5] += 1
    return images


def _objects() -> np.ndarray:
    return (_pictures()[:, 0] > 0.6).numpy().astype(np.float32)


Drawn = Callable[[nn.Module, Tensor], np.ndarray]


def _explained(model: nn.Module, images: Tensor, draw: Drawn, seen: list[Any] | None = None) -> Attribution:
    """An explanation by a method that is not registered."""

    def function(model: nn.Module, images: Tensor, target: Any = None, *, task: Any = None) -> Attribution:
        if seen is not None:
            seen.append(target)
        logits = model(images)
        classes = tuple(logits.argmax(1).tolist()) if target is None else tuple(target)
        call = Invocation.of(function, model, images, target, {})
        size = (images.shape[2], images.shape[3])
        scores = logits.detach().numpy().max(1)
        values = draw(model, images).astype(np.float32)
        return Attribution(
            replace(METHODS["saliency"], name="drawn"), values, classes, scores, size, None, (), None, call
        )

    return function(model, images)


def _lot(model: nn.Module, images: Tensor) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(images), SIDE, SIDE))


def test_a_map_of_what_the_network_uses_is_distinguished_from_chance() -> None:
    model = Planted()
    check = _explained(model, _pictures(), lambda model, images: _objects()).check(MUCH)
    assert check.deletions is not None
    assert check.deletions.deletion.verdict == "below"
    assert check.deletions.insertion.verdict == "above"
    assert len(check.deletions.deletion.chance) == ORDERS
    assert check.skipped == ()


@pytest.fixture(scope="module")
def by_lot() -> Check:
    """The check of a map that is drawn at random."""
    model = Planted()
    return _explained(model, _pictures(), _lot).check(MUCH)


def test_a_map_drawn_at_random_is_within_chance(by_lot: Check) -> None:
    check = by_lot
    assert check.deletions is not None
    assert (check.deletions.deletion.verdict, check.deletions.insertion.verdict) == ("within", "within")


def test_a_map_independent_of_the_weights_is_as_similar_to_noise_as_possible(by_lot: Check) -> None:
    check = by_lot
    assert check.randomisation is not None
    assert check.randomisation.rank.value == pytest.approx(1)
    assert check.randomisation.rank.chance == pytest.approx((1.0,) * 6)
    assert check.randomisation.structure.value == pytest.approx(1)
    assert [depth.rank for depth in check.depths] == pytest.approx([1.0] * len(check.depths))
    assert _row(check, "randomisation").passed is False
    assert check.verdict.trust is False
    assert "draws edges" not in _row(check, "edges").said


@pytest.mark.usefixtures("few_orders")
def test_a_map_of_weights_alone_is_no_more_similar_to_noise_than_noise() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 4))
    check = saliency(model, _pictures()).check(MUCH)
    assert check.randomisation is not None
    for beside in (check.randomisation.rank, check.randomisation.structure):
        assert abs(beside.value - np.mean(beside.chance)) < 0.1
    assert check.randomisation.rank.value == pytest.approx(0, abs=0.15)


def _row(check: Check, name: str) -> Row:
    (row,) = (row for row in check.rows if row.name == name)
    return row


@pytest.mark.usefixtures("few_orders")
def test_it_is_said_that_a_method_draws_edges_with_random_weights_too() -> None:
    model = Planted()
    check = _explained(model, _pictures(), lambda model, images: edges(images)).check(MUCH)
    assert "draws edges" in _row(check, "edges").said
    assert _row(check, "edges").value == pytest.approx(1)


@pytest.mark.parametrize(("follows", "said"), [(0.1, False), (0.4, True)])
def test_edges_are_remarked_on_only_from_a_least_effect_size(follows: float, said: bool) -> None:
    """A correlation above all of chance's may still be next to nothing."""
    noise = RandomisationTest(*[WithChance(follows, (-0.01, 0.01))] * 4)
    model = Planted()
    check = replace(_explained(model, _pictures(), _lot).check("0.000001s"), randomisation=noise)
    assert ("draws edges" in _row(check, "edges").said) == said


def _net(seed: int) -> nn.Sequential:
    """Filters of which some detect edges, as trained ones do, followed by noise."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    )
    return model.eval()


@pytest.mark.usefixtures("few_orders")
def test_it_finds_the_class_that_was_explained_in_networks_of_noise_too() -> None:
    seen: list[Any] = []
    model = _net(0)
    explained = _explained(model, _pictures(), _lot, seen)
    explained.check(MUCH)
    assert seen[0] is None
    assert len(seen) > 4
    own = list(explained.target or ())
    repeated, *rest = seen[1:]
    assert list(repeated) == own[::-1]  # the images come in reverse order
    assert all(list(target) in (own, *([each] for each in own)) for target in rest)


@pytest.fixture(scope="module")
def of_saliency() -> Check:
    model = _net(0)
    return saliency(model, _pictures()).check(MUCH)


def test_the_depths_go_down_to_the_last_layer(of_saliency: Check) -> None:
    assert [depth.layers for depth in of_saliency.depths] == [1, 2, 3, 4]
    assert of_saliency.randomisation is not None


@pytest.mark.usefixtures("few_orders")
def test_an_additive_method_tells_what_it_misses() -> None:
    model = _net(0)
    explained = integrated_gradients(model, _pictures(), most_steps=16)
    assert explained.residue is not None
    check = explained.check(MUCH)
    assert check.residue == pytest.approx(float(explained.residue.mean()))
    assert _row(check, "completeness").value == check.residue
    assert saliency(model, _pictures()).check("1s").residue is None


@pytest.mark.usefixtures("few_orders")
@pytest.mark.parametrize("target", [2, [1, 3], lambda logits: logits[:, 0] - logits[:, 1]], ids=["one", "each", "own"])
def test_every_kind_of_target_is_checked(target: int | Sequence[int] | Callable[[Tensor], Tensor]) -> None:
    model = _net(0)
    assert saliency(model, _pictures(), target).check(MUCH).deletions is not None


@pytest.mark.usefixtures("few_orders")
def test_the_score_of_deletion_is_the_probability_of_the_class() -> None:
    """For a network that does not depend on pixels, the area is that probability."""
    model = _net(0)
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    model.load_state_dict(model.state_dict() | {"9.weight": torch.zeros(4, 8), "9.bias": logits})
    check = saliency(model, _pictures(), 1).check(MUCH)
    expected = F.softmax(logits, 0)[1].item()
    assert check.deletions is not None
    assert (check.deletions.deletion.value, check.deletions.insertion.value) == pytest.approx((expected, expected))


def test_steps_beyond_the_budget_are_named() -> None:
    model = _net(0)
    check = saliency(model, _pictures()).check("0.000001s")
    assert check.randomisation is None
    assert check.deletions is None
    assert check.depths == ()
    assert check.road is None
    assert check.skipped == (
        *("repetition", "random networks", "map of another image", "random weights of the class", "hidden halves"),
        *("cascade", "deletion and insertion", "ROAD"),
    )
    assert check.rows == ()
    assert check.verdict.trust is None
    assert "was not measured within 0.000001s" in str(check)


def test_a_check_is_one_line_and_a_table_that_goes_into_json(of_saliency: Check) -> None:
    check = of_saliency
    assert "\n" not in str(check)
    document = json.loads(json.dumps(check.as_dict()))
    names = ["repetition", "randomisation", "cascade", "other image", "class weights", "hidden half"]
    names += ["deletion", "insertion", "ROAD", "edges"]
    assert [row["name"] for row in document["rows"]] == names
    assert document["verdict"] == str(check)
    low, high = _row(check, "ROAD").chance or (1, 0)
    assert low <= high


def test_a_network_that_has_changed_or_gone_is_refused() -> None:
    model = _net(0)
    explained = saliency(model, _pictures())
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.raises(InvocationError, match="has changed"):
        explained.check()
    explained = saliency(model, _pictures())
    gone = weakref.ref(model)
    del model
    assert gone() is None
    with pytest.raises(InvocationError, match="deleted"):
        explained.check()


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: model[0].weight.detach().numpy().__setitem__((0, 0, 1, 1), 9.0),
        lambda model: model.__setitem__(1, nn.GELU()),
        lambda model: setattr(model[0], "stride", (2, 2)),
        lambda model: setattr(model[0], "padding_mode", "reflect"),
        lambda model: model.load_state_dict({key: value / 2 for key, value in model.state_dict().items()}, assign=True),
    ],
)
def test_every_edit_of_a_small_network_is_noticed(edit: Callable[[nn.Sequential], object]) -> None:
    body = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    model = nn.Sequential(*body)
    explained = saliency(model, torch.rand(1, 3, 8, 8))
    edit(model)
    with pytest.raises(InvocationError, match="has changed"):
        explained.check()


def test_a_budget_without_a_time_is_refused() -> None:
    model = _net(0)
    with pytest.raises(ConfigError, match="'30s'"):
        saliency(model, _pictures()).check("3ep")


@pytest.mark.usefixtures("few_orders")
def test_the_network_and_the_random_state_are_as_they_were() -> None:
    model = _net(0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explained = guided_backpropagation(model, _pictures())
    state = torch.get_rng_state()
    one, again = explained.check(MUCH), explained.check(MUCH)
    assert one == again
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.usefixtures("few_orders")
def test_maps_of_noise_that_are_empty_are_counted_and_not_compared() -> None:
    """One map, and a weight for each class: Grad-CAM is empty where noise has made that of the class negative."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    model[4].weight.data = torch.tensor([[1.0], [-1.0]])  # the noise is of mean 0, and falls to either side
    check = grad_cam(model, _pictures()[:1], 1).check(MUCH)
    noises = [Cascade(model, _pictures()[:1], seed).down_to(2) for seed in range(NOISE_NETWORKS)]
    negative = sum(bool(noise.get_parameter("4.weight")[1] < 0) for noise in noises)
    assert 0 < negative < NOISE_NETWORKS
    assert check.empty_maps == negative
    assert (check.randomisation is None) == (NOISE_NETWORKS - negative < 2)
