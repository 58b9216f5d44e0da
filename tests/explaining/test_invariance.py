"""How far features move, compared with moves by slicing and rotating, and with a softmax written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from promises.found import state
from promises.strangers import WRITTEN, stranger
from promises.subject import pictures
from striate.core.errors import ConfigError
from striate.explaining import TargetError, invariance


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5)).eval()


def down(images: Tensor, by: int) -> Tensor:
    moved = torch.zeros_like(images)
    height = images.shape[2]
    moved[:, :, max(by, 0) : height + min(by, 0)] = images[:, :, max(-by, 0) : height - max(by, 0)]
    return moved


def turned(images: Tensor, degrees: int) -> Tensor:
    return torch.rot90(images, degrees // 90, (2, 3))


@pytest.mark.parametrize(
    ("change", "amounts", "moved"), [("shift", [-3, 0, 2], down), ("rotation", [0, 90, 270], turned)]
)
def test_distances_and_probabilities_are_those_of_images_moved_by_hand(
    change: str, amounts: list[int], moved: Callable[[Tensor, int], Tensor]
) -> None:
    model, images = network(), pictures(3, (8, 8))
    found = invariance(model, images, change, amounts=amounts, places=["1", "3"])
    was, classes = model[:2](images), model(images).argmax(1)
    assert found.target == tuple(classes.tolist())
    assert found.amounts.tolist() == amounts
    np.testing.assert_allclose(found.norms[0], was.flatten(1).norm(dim=1).detach(), rtol=1e-5)
    for number, amount in enumerate(amounts):
        changed = moved(images, amount)
        distance = (model[:2](changed) - was).flatten(1).norm(dim=1).detach()
        np.testing.assert_allclose(found.distances[0, number], distance, rtol=1e-4, atol=1e-5)
        answers = (model(changed) - model(images)).norm(dim=1).detach()
        np.testing.assert_allclose(found.distances[1, number], answers, rtol=1e-4, atol=1e-5)
        exponents = model(changed).detach().exp()
        probability = exponents[range(3), classes] / exponents.sum(1)
        np.testing.assert_allclose(found.probability[number], probability, rtol=1e-4)
    np.testing.assert_allclose(found.relative()[0, 1], found.distances[0, 1] / found.norms[0])


def test_a_scale_enlarges_about_the_centre() -> None:
    # On a ramp, bilinear reading is exact: twice as large, it is half as steep about its middle.
    ramp = torch.arange(16.0).sub(7.5).repeat(1, 1, 8, 1)
    found = invariance(nn.Sequential(nn.Identity(), nn.Flatten()), ramp, "scale", amounts=[1, 2], places=["0"])
    assert found.distances[0, 0] == 0
    np.testing.assert_allclose(found.distances[0, 1], (ramp / 2).norm(), rtol=1e-6)


def test_images_that_are_not_square_rotate_without_distortion() -> None:
    images = torch.zeros(1, 1, 7, 11)
    images[0, 0, 3, 7] = 1  # two pixels right of the centre; turned by 90° counterclockwise, two above it
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(77, 77, bias=False))
    with torch.no_grad():
        model[2].weight.copy_(100 * torch.eye(77))  # pyright: ignore[reportCallIssue]
    found = invariance(model, images, "rotation", amounts=[90], target=1 * 11 + 5, places=["0"])
    assert found.probability[0, 0] > 0.999


@pytest.mark.parametrize("written", list(WRITTEN))
def test_the_curves_do_not_depend_on_how_the_network_is_written(written: str) -> None:
    images, names = pictures(2, (16, 12)), ["conv2"]
    expected = invariance(stranger(), images, "scale", places=names)
    found = invariance(stranger(WRITTEN[written]), images, "scale", places=names)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-4)
    assert found.distances.shape == (1, 9, 2)


def test_without_amounts_a_shift_goes_a_quarter_of_the_height_both_ways_and_angles_all_round() -> None:
    images = pictures(1, (64, 20))
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert invariance(model, images, places=["0"]).amounts.tolist() == list(range(-16, 17, 2))
    assert invariance(model, images, "rotation", places=["0"]).amounts.tolist() == list(range(0, 360, 15))
    assert invariance(model, pictures(1, (10, 10)), places=["0"]).amounts.tolist() == [-2, -1, 0, 1, 2]


def test_a_mistake_is_a_sentence_and_leaves_the_network_as_found() -> None:
    model, images = stranger().train(), pictures(2, (16, 12))
    before = state(model)
    with pytest.raises(ConfigError, match="received 'turn'"):
        invariance(model, images, "turn")
    with pytest.raises(ConfigError, match=r"above 0.*received -1"):
        invariance(model, images, "scale", amounts=[1, -1])
    with pytest.raises(TargetError):
        invariance(model, images, target=4)
    assert state(model) == before
    invariance(model, images)
    assert state(model) == before
