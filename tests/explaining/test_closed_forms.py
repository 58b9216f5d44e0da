"""Explanations in closed form: on linear networks, and with pooling and a linear layer after the map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promises.subject import pictures
from striate.explaining import (
    METHODS,
    UnsupportedModelError,
    cam,
    grad_cam,
    grad_cam_plus_plus,
    guided_grad_cam,
    input_x_gradient,
    integrated_gradients,
    saliency,
    smoothgrad,
)

IMAGES = pictures(2, (6, 5), channels=2)


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(60, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))

    def weight(self, target: int) -> np.ndarray:
        return self.fc.weight[target].detach().reshape(2, 6, 5).numpy()


def test_on_a_linear_network_the_gradient_is_its_weights() -> None:
    model = Linear()
    found = saliency(model, IMAGES, [2, 0])
    np.testing.assert_array_equal(found.values, np.abs([model.weight(2), model.weight(0)]))
    np.testing.assert_array_equal(found.map(), found.values.max(1))
    smooth = smoothgrad(model, IMAGES, 2)
    np.testing.assert_allclose(smooth.values, [model.weight(2)] * 2, rtol=1e-5)
    np.testing.assert_array_equal(smooth.map(), np.abs(smooth.values).max(1))


def test_on_a_linear_network_what_a_value_adds_is_weight_times_value() -> None:
    model = Linear()
    expected = model.weight(1) * IMAGES.numpy()
    np.testing.assert_allclose(input_x_gradient(model, IMAGES, 1).values, expected, rtol=1e-6)
    integrated = integrated_gradients(model, IMAGES, 1)
    np.testing.assert_allclose(integrated.values, expected, rtol=1e-5)
    np.testing.assert_allclose(integrated.map(), expected.sum(1), rtol=1e-4, atol=1e-6)
    baseline = pictures(1, (6, 5), channels=2, seed=9)
    beside = integrated_gradients(model, IMAGES, 1, baseline=baseline)
    np.testing.assert_allclose(beside.values, model.weight(1) * (IMAGES - baseline).numpy(), rtol=1e-5, atol=1e-7)


class Pooled(nn.Module):
    """ReLU, global average pooling and a linear layer, spelled in one of three ways."""

    def __init__(self, spelled: str) -> None:
        super().__init__()
        self.conv, self.fc, self.spelled = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(4, 3), spelled

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        if self.spelled == "mean":
            return self.fc(x.mean((2, 3)))
        if self.spelled == "adaptive":
            return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return F.conv2d(x, self.fc.weight[:, :, None, None], self.fc.bias).mean((2, 3))


@pytest.mark.parametrize("spelled", ["mean", "adaptive"])
def test_before_pooling_and_a_linear_layer_cam_is_the_weighted_sum_and_grad_cam_its_positive_part(spelled: str) -> None:
    torch.manual_seed(0)
    model = Pooled(spelled)
    maps = F.relu(model.conv(IMAGES)).detach().double().numpy()
    expected = np.einsum("k,nkhw->nhw", model.fc.weight[1].detach().double().numpy(), maps)
    found = cam(model, IMAGES, 1)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    assert (found.values < 0).any()
    assert model.fc.bias is not None
    np.testing.assert_allclose(found.values.mean((1, 2)) + model.fc.bias[1].item(), found.score, rtol=1e-5)
    graded = grad_cam(model, IMAGES, 1)
    np.testing.assert_allclose(graded.values, np.maximum(expected, 0) / 30, rtol=1e-5, atol=1e-7)
    assert found.at == graded.at == "relu:1"


def test_where_maps_of_classes_are_pooled_cam_is_that_of_the_class() -> None:
    torch.manual_seed(0)
    model = Pooled("class by class")
    found = cam(model, IMAGES, 1)
    assert found.at == "conv2d:2"
    weight = model.fc.weight[:, :, None, None]
    of_classes = F.conv2d(F.relu(model.conv(IMAGES)), weight, model.fc.bias).detach()
    np.testing.assert_allclose(found.values, of_classes[:, 1].numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "end",
    [
        lambda model, x: model.fc(F.adaptive_max_pool2d(x, 1).flatten(1)),
        lambda model, x: model.fc(x.mean((2, 3))).tanh(),
        lambda model, x: model.fc(F.relu(x.mean((2, 3)) - 0.1)),
        lambda model, x: F.linear(x.flatten(1), torch.arange(360.0).view(3, 120) / 360),
    ],
    ids=["max-pooling", "not linear", "a ReLU between", "flattened"],
)
def test_cam_is_refused_where_its_sum_is_not_the_score(end: Callable[[Pooled, Tensor], Tensor]) -> None:
    class Other(Pooled):
        def forward(self, x: Tensor) -> Tensor:
            return end(self, F.relu(self.conv(x)))

    with pytest.raises(UnsupportedModelError, match="use grad_cam"):
        cam(Other("otherwise"), IMAGES)


class Weighed(nn.Module):
    """The image, rectified, each position with a weight of its own: every figure can be worked out by hand."""

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.tensor([[1.0, -1.0], [0.0, 0.5]])
        return (F.relu(x) * weight).sum((2, 3))


def test_grad_cam_and_grad_cam_plus_plus_by_hand() -> None:
    """A = (1 2 3 4), g = (1 -1 0 ½), ΣA = 10.

    Grad-CAM: α = (1 - 1 + 0 + ½) / 4 = 1/8. Grad-CAM++: α is 1/(2 + 10) where g = 1, ¼/(½ + 10/8) = 1/7 where g = ½,
    and the position where g < 0 is not counted: w = 1/12 + 1/14 = 13/84.
    """
    picture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    np.testing.assert_allclose(grad_cam(Weighed(), picture, at="relu:1").values, picture[0].numpy() / 8)
    found = grad_cam_plus_plus(Weighed(), picture, at="relu:1")
    np.testing.assert_allclose(found.values, picture[0].numpy() * 13 / 84, rtol=1e-6)


def test_grad_cam_plus_plus_where_maps_are_negative() -> None:
    """At a place before a rectifier, 2 + g ΣA can be nothing: g = 1, ΣA = -2. Such a position does not count."""
    picture = torch.tensor([[[[-1.0, -2.0], [0.5, 0.5]]]])

    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 1.0 * torch.tensor([[1.0, 0.0], [0.0, 0.0]])).sum((2, 3))

    found = grad_cam_plus_plus(Plain(), picture, at="mul:1")
    np.testing.assert_array_equal(found.values, np.zeros((1, 2, 2)))


def test_guided_grad_cam_is_the_product() -> None:
    torch.manual_seed(0)
    model = Pooled("mean")
    guided = METHODS["guided_backpropagation"].function(model, IMAGES, 1).values
    product = guided * grad_cam(model, IMAGES, 1).map()[:, None]
    np.testing.assert_allclose(guided_grad_cam(model, IMAGES, 1).values, product, rtol=1e-6)
