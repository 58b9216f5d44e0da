"""The three maps of Zeiler and Fergus's figure 7, on a network whose outputs can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.explaining import TargetError, occlusion_maps
from striate.hooks import PlaceError


class Corners(nn.Module):
    """Two feature maps, of which the first shows the image and the second half of it; logits are the brightness of
    the upper left quarter and of the lower right one."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1, bias=False)
        self.maps.weight.data[:] = torch.tensor([1.0, 0.5])[:, None, None, None]

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.maps(x))
        return torch.stack([y[:, 0, :4, :4].sum((1, 2)), y[:, 0, 4:, 4:].sum((1, 2))], 1)


@pytest.fixture
def image() -> Tensor:
    """Bright in the upper left quarter, dimmer in the lower right one."""
    picture = torch.zeros(1, 1, 8, 8)
    picture[..., :4, :4], picture[..., 4:, 4:] = 0.2, 0.1
    return picture


def test_the_three_maps_by_hand(image: Tensor) -> None:
    found = occlusion_maps(Corners(), image, at="maps", patch=4)
    assert (found.target, found.unit, found.clean_answer) == ((0,), (0,), (0,))
    assert found.places.grid == (3, 3)
    bright, dim = 16 * 0.2, 16 * 0.1
    covered = np.array([[1, 0.5, 0], [0.5, 0.25, 0], [0, 0, 0]])  # the share of the bright quarter under the patch
    logits = np.stack([bright * (1 - covered), dim * (1 - covered[::-1, ::-1])])
    np.testing.assert_allclose(found.probability[0], 1 / (1 + np.exp(logits[1] - logits[0])), rtol=1e-5)
    np.testing.assert_allclose(found.activation[0], logits.sum(0), rtol=1e-5)
    np.testing.assert_array_equal(found.answer[0], logits[1] > logits[0])
    np.testing.assert_allclose(found.clean_activation, [bright + dim], rtol=1e-6)
    np.testing.assert_allclose(found.clean_probability, [1 / (1 + np.exp(dim - bright))], rtol=1e-5)
    rows, columns = found.centres
    assert (rows.tolist(), columns.tolist()) == ([2, 4, 6], [2, 4, 6])


def test_each_image_has_its_own_class_and_unit(image: Tensor) -> None:
    model = Corners()
    both = occlusion_maps(model, torch.cat([image, image.flip(2, 3)]), patch=4)
    assert both.target == (0, 1)
    named = occlusion_maps(model, image.flip(2, 3), [1], patch=4)
    np.testing.assert_array_equal(both.probability[1], named.probability[0])
    assert both.activation.shape == (2, 3, 3)


def test_a_mistake_is_refused_in_a_sentence(image: Tensor) -> None:
    model = nn.Sequential(Corners(), nn.Linear(2, 3))
    with pytest.raises(TargetError, match="received a function: give the number of a class"):
        occlusion_maps(model, image, lambda logits: logits[:, 0])
    with pytest.raises(TargetError, match="received target 7"):
        occlusion_maps(model, image, 7)
    with pytest.raises(PlaceError, match=r"height, width.* is needed"):
        occlusion_maps(model, image, at="0")
