"""What can be excited, by hand: the algebra of objectives, their values, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate.explaining.visualize import (
    Objective,
    ObjectiveError,
    channel,
    class_logit,
    content,
    direction,
    diversity,
    layer,
    style,
    unit,
)
from striate.explaining.visualize.model_view import Activations
from striate.explaining.visualize.similarity import gram

# Two images; two channels of 1 × 2 positions.
MAPS = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]], [[[0.0, -1.0]], [[4.0, 2.0]]]])
LOOK = Activations(
    {"maps": MAPS, "vectors": MAPS[:, :, 0, 0], "tokens": MAPS[:, 0]}, torch.tensor([[0.5, 1.5], [2.5, -1.0]])
)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (unit("maps", 1), [5.0, 2.0]),  # the middle of 1 × 2 is position (0, 1)
        (unit("maps", 1, at=(0, 0)), [3.0, 4.0]),
        (unit("vectors", 0), [1.0, 0.0]),
        (channel("maps", 0), [1.5, -0.5]),
        (channel("vectors", 1), [3.0, 4.0]),
        (class_logit(1), [1.5, -1.0]),
        (direction("maps", np.array([3.0, 4.0])), [(3 / 5 * 1.5) + (4 / 5 * 4), (3 / 5 * -0.5) + (4 / 5 * 3)]),
        (layer("maps"), [(1 + 4 + 9 + 25) / 4, (0 + 1 + 16 + 4) / 4]),
        (2 * channel("maps", 0) - unit("maps", 1) / 4, [3 - 1.25, -1 - 0.5]),
        (-(channel("maps", 0) + class_logit(0) * 2), [-2.5, -4.5]),
        (sum([channel("maps", 0), channel("maps", 1)]), [5.5, 2.5]),
    ],
    ids=str,
)
def test_objectives_have_the_value_worked_by_hand(objective: Objective, expected: list[float]) -> None:
    assert objective(LOOK).tolist() == pytest.approx(expected)


def test_an_objective_is_its_own_caption_and_names_its_places_once() -> None:
    objective = channel("stage3", 12) - 0.1 * diversity("stage3") + 2 * -unit("stem", 1, at=(0, 4)) / 4
    assert str(objective) == "channel('stage3', 12) - 0.1 * diversity('stage3') - 0.5 * unit('stem', 1, at=(0, 4))"
    assert objective.places == ("stage3", "stem")
    assert str(-class_logit(7)) == "-class_logit(7)"


@pytest.mark.parametrize(
    "combine", [lambda one: one + 1, lambda one: one * one, lambda one: 1 - one, lambda one: 1 / one]
)
def test_undefined_operations_of_the_algebra_are_type_errors(combine: object) -> None:
    with pytest.raises(TypeError):
        combine(class_logit(0))  # type: ignore[operator]


def test_the_gram_matrix_is_the_mean_of_products_over_positions() -> None:
    expected = [[(1 + 4) / 2, (3 + 10) / 2], [(3 + 10) / 2, (9 + 25) / 2]]
    assert gram(MAPS)[0].tolist() == expected
    assert gram(MAPS)[1].tolist() == [[0.5, -1.0], [-1.0, 10.0]]


def test_style_and_content_are_shares_of_what_is_wanted() -> None:
    wanted = torch.tensor([[[0.5, -1.0], [-1.0, 8.0]]])
    size = 0.25 + 1 + 1 + 64
    found = style({"maps": wanted})(LOOK).tolist()
    assert found[1] == pytest.approx(-4 / size)
    assert found[0] == pytest.approx(-(2**2 + 2 * 7.5**2 + 9**2) / size)
    assert content({"maps": MAPS[1:]})(LOOK).tolist() == pytest.approx([-(1 + 9 + 1 + 9) / 21, 0])
    two = style({"maps": wanted, "vectors": 2 * gram(MAPS[:1, :, :, :1])})
    assert two(LOOK)[0].item() == pytest.approx((found[0] - 0.25) / 2)


def test_diversity_is_the_mean_likeness_to_the_others() -> None:
    flat = gram(MAPS).flatten(1).tolist()
    dot = sum(one * other for one, other in zip(*flat, strict=True))
    lengths = [sum(value * value for value in values) ** 0.5 for values in flat]
    alike = dot / lengths[0] / lengths[1]
    assert diversity("maps")(LOOK).tolist() == pytest.approx([alike, alike])
    three = Activations({"maps": torch.cat([MAPS, MAPS[:1]])}, None)
    assert diversity("maps")(three).tolist() == pytest.approx([(alike + 1) / 2, alike, (alike + 1) / 2])
    alone = Activations({"maps": MAPS[:1]}, None)
    assert diversity("maps")(alone).tolist() == [0]


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        (channel("maps", 2), "Place 'maps' has 2 channels, 0 to 1; received channel 2."),
        (unit("maps", -1), "Place 'maps' has 2 channels, 0 to 1; received channel -1."),
        (unit("maps", 0, at=(1, 0)), "The map at place 'maps' is 1×2; received position (1, 0)."),
        (class_logit(2), "The network has 2 classes, 0 to 1; received class 2."),
        (direction("maps", np.ones(3)), "Place 'maps' has 2 channels; received a direction of 3 numbers."),
        (layer("tokens"), "An objective reads maps (n, c, h, w) or vectors (n, c); place 'tokens' gives (2, 1, 2)."),
    ],
)
def test_a_wrong_place_or_channel_is_one_sentence(objective: Objective, sentence: str) -> None:
    with pytest.raises(ObjectiveError) as error:
        objective(LOOK)
    assert str(error.value) == sentence


def test_further_impossible_requests_are_refused() -> None:
    with pytest.raises(ObjectiveError, match=r"vector of float numbers, not all zero; received torch\.float64 \(2,\)"):
        direction("maps", np.zeros(2))
    with pytest.raises(ObjectiveError, match=r"rows of logits .* returns dict"):
        class_logit(0)(Activations({}, {"logits": 1}))
    with pytest.raises(ObjectiveError, match="both images must be of one size"):
        content({"maps": torch.ones(1, 2, 3, 3)})(LOOK)
    with pytest.raises(ObjectiveError, match="style compares at least one place"):
        style({})


def test_activations_of_half_precision_are_compared_in_single() -> None:
    half = Activations({"maps": MAPS.bfloat16()}, None)
    assert layer("maps")(half).dtype == torch.float32


@pytest.mark.parametrize(
    "objective",
    [
        layer("maps"),
        diversity("maps"),
        direction("maps", np.array([1.0, -2.0])),
        content({"maps": MAPS[1:].double()}) + 3 * style({"maps": gram(MAPS[1:].double())}),
    ],
    ids=str,
)
def test_gradients_are_those_of_finite_differences(objective: Objective) -> None:
    maps = (MAPS + 0.25).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: objective(Activations({"maps": given}, None)), maps)
