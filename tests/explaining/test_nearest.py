"""Nearest images: exact, in a stable order, by the features that the last layer is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.errors import ConfigError
from striate.explaining import NotFiniteError, nearest_images
from striate.explaining.model_input import ImageError
from striate.hooks import PlaceError


def images_of(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def batches_of(images: Tensor, size: int = 4, offset: int = 100) -> list[Batch]:
    index = torch.arange(offset, offset + len(images))
    return [
        Batch(images[start : start + size], index[start : start + size] * 0, index[start : start + size])
        for start in range(0, len(images), size)
    ]


def network() -> nn.Sequential:
    torch.manual_seed(3)
    body = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout())
    return nn.Sequential(*body, nn.Linear(6, 4)).train()


def slow(features: np.ndarray, wanted: np.ndarray, count: int) -> tuple[list[list[int]], list[list[float]]]:
    """The nearest by one cosine after another."""
    order, similarities = [], []
    for one in wanted.astype(np.float64):
        cosines = [float(one @ other / np.sqrt(one @ one) / np.sqrt(other @ other)) for other in features.astype(float)]
        best = sorted(range(len(cosines)), key=lambda number: -cosines[number])[:count]
        order.append([100 + number for number in best])
        similarities.append([cosines[number] for number in best])
    return order, similarities


def test_the_features_are_what_the_last_dense_layer_is_given() -> None:
    model, many, few = network(), images_of(11), images_of(2, seed=9)
    found = nearest_images(model, few, batches_of(many), count=5)
    body = model[:6].eval()
    with torch.no_grad():
        order, similarities = slow(body(many).numpy(), body(few).numpy(), 5)
    assert found.index.tolist() == order
    np.testing.assert_allclose(found.similarity, similarities, atol=1e-5)
    assert found.place == "6"
    assert repr(found) == "Nearest(place='6', index=<int64 (2, 5)>, similarity=<float32 (2, 5)>)"


@pytest.mark.parametrize("at", ["2", "relu:1"])
def test_the_maps_of_a_place_are_averaged_over_their_positions(at: str) -> None:
    model, many, few = network().eval(), images_of(6), images_of(2, seed=9)
    found = nearest_images(model, few, batches_of(many), at=at, count=3)
    with torch.no_grad():
        values = [model[:3](images).numpy().reshape(len(images), 6, 36) for images in (many, few)]
    means = [np.array([[sum(unit) / 36 for unit in one] for one in value.astype(np.float64)]) for value in values]
    order, similarities = slow(means[0], means[1], 3)
    assert found.index.tolist() == order
    np.testing.assert_allclose(found.similarity, similarities, atol=1e-5)
    assert found.place == at
    by_module = nearest_images(model, few, batches_of(many), at=model[2], count=3)
    assert by_module.index.tolist() == order


def test_a_last_convolution_is_a_last_layer_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = nearest_images(model, images_of(2, seed=9), batches_of(images_of(5)), count=5)
    same = nearest_images(model, images_of(2, seed=9), batches_of(images_of(5)), at="1", count=5)
    assert found.index.tolist() == same.index.tolist()
    np.testing.assert_array_equal(found.similarity, same.similarity)


def test_a_dense_layer_over_tokens_gives_their_mean() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut, self.head = nn.Conv2d(3, 5, 2, 2), nn.Linear(5, 4)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.cut(images).flatten(2).transpose(1, 2)).mean(1)

    model = Tokens()
    found = nearest_images(model, images_of(1, seed=9), batches_of(images_of(5)), count=5)
    same = nearest_images(model, images_of(1, seed=9), batches_of(images_of(5)), at="cut", count=5)
    assert found.index.tolist() == same.index.tolist()
    np.testing.assert_allclose(found.similarity, same.similarity, atol=1e-6)


def test_an_image_among_those_searched_is_its_own_nearest_at_similarity_1() -> None:
    many = images_of(9)
    found = nearest_images(network(), many, batches_of(many), count=2)
    assert found.index[:, 0].tolist() == list(range(100, 109))
    np.testing.assert_allclose(found.similarity[:, 0], 1, atol=1e-6)
    assert (found.similarity <= 1).all()
    assert (found.similarity[:, 1] < 1).all()


@pytest.mark.parametrize("size", [1, 3, 12])
def test_among_equal_ones_the_first_comes_first_for_any_batches(size: int) -> None:
    class Colour(nn.Module):
        """Features without rounding: which of three colours the image has."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images[:, :, 0, 0])

    colours = torch.eye(3)[torch.arange(12) % 3][:, :, None, None].expand(12, 3, 8, 8)
    found = nearest_images(Colour(), colours[1:2], batches_of(colours, size), count=6)
    assert found.index.tolist() == [[101, 104, 107, 110, 100, 102]]
    assert found.similarity.tolist() == [[1, 1, 1, 1, 0, 0]]


def test_a_count_larger_than_the_set_gives_the_whole_set() -> None:
    found = nearest_images(network(), images_of(2, seed=9), batches_of(images_of(5)), count=50)
    assert [sorted(row) for row in found.index.tolist()] == [list(range(100, 105))] * 2
    assert (np.diff(found.similarity, axis=1) <= 0).all()


def test_features_that_are_all_0_are_near_nothing() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    found = nearest_images(model, torch.zeros(1, 3, 8, 8), batches_of(images_of(3)))
    assert found.index.tolist() == [[100, 101, 102]]
    assert found.similarity.tolist() == [[0, 0, 0]]


def test_tiny_and_huge_features_have_a_direction() -> None:
    model, many = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), images_of(3).double()
    model.double()
    for factor in (1e-200, 1e200):
        found = nearest_images(model, many[1:2] * factor, batches_of(many), count=1)
        assert (found.index.item(), found.similarity.item()) == (101, pytest.approx(1))


def test_the_model_is_returned_as_found() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nearest_images(model, images_of(2), batches_of(images_of(5)))
    with pytest.raises(ImageError):
        nearest_images(model, images_of(2), batches_of(images_of(5)[:, :, :6]))
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_searches_without_features_are_refused() -> None:
    model, few, many = network(), images_of(1), batches_of(images_of(3))
    with pytest.raises(ConfigError, match="count=0"):
        nearest_images(model, few, many, count=0)
    with pytest.raises(ImageError, match="received none"):
        nearest_images(model, few, [])
    with pytest.raises(PlaceError, match="stage9"):
        nearest_images(model, few, many, at="stage9")
    with pytest.raises(PlaceError, match="name the place"):
        nearest_images(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), few, many)
    with pytest.raises(NotFiniteError):
        nearest_images(model, few, batches_of(torch.full((1, 3, 8, 8), torch.nan)))
