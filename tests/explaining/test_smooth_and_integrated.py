"""Averages over many images: of noise, and of the way from a baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from promises.explained import explain
from promises.strangers import stranger
from promises.subject import pictures
from striate.core.errors import ConfigError
from striate.explaining import NotFiniteError, expected_gradients, integrated_gradients, smoothgrad

IMAGES = pictures(2, (8, 7))


class Squares(nn.Module):
    """S = Σ x²/2, so that the gradient is the image, and that of a noisy one shows the noise."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * x / 2).flatten(1).sum(1, keepdim=True)


def test_smoothgrad_adds_noise_in_the_given_proportion() -> None:
    images = IMAGES * torch.tensor([1.0, 5.0])[:, None, None, None]
    noise = smoothgrad(Squares(), images, noise=0.2, samples=4).values - images.numpy()
    spread = images.amax((1, 2, 3)) - images.amin((1, 2, 3))
    expected = 0.2 * spread.numpy() / 2  # the mean of four
    np.testing.assert_allclose(noise.std((1, 2, 3)), expected, rtol=0.15)
    assert np.abs(noise.mean((1, 2, 3)) / expected).max() < 0.3


def test_smoothgrad_is_the_mean_of_the_gradient_not_of_its_size() -> None:
    """Where the gradient changes its sign with the noise, it cancels."""
    nothing = torch.zeros(1, 3, 8, 7)
    nothing[0, 0, 0, 0] = 1.0
    found = smoothgrad(Squares(), nothing, noise=1.0, samples=400).values
    assert np.abs(found).mean() < 0.1  # the mean size of such noise is 0.8


def test_smoothgrad_repeats_and_follows_its_seed() -> None:
    model = stranger()
    first = smoothgrad(model, IMAGES, samples=3).values
    torch.randn(5)
    assert smoothgrad(model, IMAGES, samples=3).values.tobytes() == first.tobytes()
    assert not np.allclose(smoothgrad(model, IMAGES, samples=3, seed=1).values, first)


@pytest.mark.parametrize("settings", [{"samples": 0}, {"noise": 0.0}, {"noise": float("nan")}])
def test_smoothgrad_without_noise_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="noise above 0"):
        smoothgrad(stranger(), IMAGES, **settings)


def _by_many_steps(model: nn.Module, image: Tensor, target: int, steps: int = 1000) -> np.ndarray:
    """The integral by the middles of so many steps, one after another, in float64."""
    model, image = model.double(), image.double()
    total = torch.zeros_like(image)
    for step in range(steps):
        at = (image * (step + 0.5) / steps).requires_grad_()
        (found,) = torch.autograd.grad(model(at[None])[0, target], at)
        total += found
    return (image * total / steps).numpy()


def test_integrated_gradients_are_the_integral() -> None:
    expected = _by_many_steps(stranger(), IMAGES[0], 1)
    found = integrated_gradients(stranger(), IMAGES[:1], 1, tolerance=1e-4)
    assert np.abs(found.values[0] - expected).max() < 0.01 * np.abs(expected).max()


class Late(nn.Module):
    """Flat, and then steep: by one value of the image from a tenth of the way on, by the other near its end."""

    def forward(self, x: Tensor) -> Tensor:
        late = torch.relu(x[:, 0, 0] - torch.tensor([0.1, 0.93])).sum(1)
        return torch.stack([late, -late], 1)


def test_steps_are_doubled_until_the_sum_is_near_enough_and_the_rest_is_reported() -> None:
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[:, None, None]
    found = integrated_gradients(Late(), images, 0)
    assert found.residue is not None
    assert (found.residue <= 0.01).all()
    assert [note[:24] for note in found.notes] == ["The number of steps was "]
    np.testing.assert_allclose(found.values.sum((1, 2, 3)), [0.9, 0.07], rtol=0.0101)
    rough = integrated_gradients(Late(), images, 0, most_steps=8)
    # Of eight steps the ends at 1/8 … 1 lie after 0.1, and only the last, which counts half, after 0.93.
    np.testing.assert_allclose(rough.values.sum((1, 2, 3)), [7.5 / 8, 0.5 / 8], rtol=1e-6)
    assert rough.residue is not None
    np.testing.assert_allclose(rough.residue, [0.0375 / 0.9, 0.0075 / 0.07], rtol=1e-4)
    assert [note[:9] for note in rough.notes[1:]] == ["Image 0: ", "Image 1: "]


def test_images_that_are_near_enough_are_not_computed_again() -> None:
    passes: list[int] = []
    model = stranger()
    model.register_forward_pre_hook(lambda module, given: passes.append(len(given[0])))
    integrated_gradients(model, IMAGES, tolerance=10.0)
    independent = 1 + 2  # whether the answer to an image is the same in a batch with another
    assert sum(passes) == independent + 2 * 2 + 2 * 9  # the ends alone for the scores; eight steps have nine ends


def test_an_image_that_is_its_baseline_has_nothing_to_tell() -> None:
    found = integrated_gradients(stranger(), IMAGES, baseline=IMAGES)
    assert not found.values.any()
    assert found.residue is not None
    assert not found.residue.any()


@pytest.mark.parametrize("settings", [{"tolerance": 0.0}, {"most_steps": 4}, {"baseline": torch.zeros(2, 2)}])
def test_integrated_gradients_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="received"):
        integrated_gradients(stranger(), IMAGES, **settings)


class Roots(nn.Module):
    """S = Σ √x: finite at 0, where its gradient is not."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sqrt().flatten(1).sum(1, keepdim=True)


def test_a_way_on_which_the_gradient_is_infinite_is_refused() -> None:
    bright = 1 + IMAGES.abs()
    with pytest.raises(NotFiniteError, match="try another baseline"):
        integrated_gradients(Roots(), bright)
    found = integrated_gradients(Roots(), bright, baseline=1.0)
    np.testing.assert_allclose(found.values.sum((1, 2, 3)), (bright.sqrt() - 1).sum((1, 2, 3)), rtol=0.01)


def test_nodes_bound_the_error_of_single_values_not_only_of_the_sum() -> None:
    """For a smooth network, compared with the mean of 4,000 midpoints in double precision."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 3)).double()
    images = 4 * pictures(2, (2, 2))
    along = ((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)[:, None, None, None]
    expected = []
    for image in images.double():
        way = (along * image).requires_grad_()
        (gradient,) = torch.autograd.grad(network(way)[:, 1].sum(), way)
        expected.append((image * gradient.mean(0)).numpy())
    scale = np.abs(expected).max()
    rough, fine = (integrated_gradients(network, images, 1, nodes=nodes) for nodes in (4, 32))
    assert np.abs(fine.values - expected).max() < 1e-5 * scale < np.abs(rough.values - expected).max()
    assert fine.residue is not None
    assert (fine.residue < 1e-4).all()
    assert not fine.notes
    summed = integrated_gradients(network, images, 1, tolerance=0.5)
    assert "single values may be off by more" in summed.notes[0]
    with pytest.raises(ConfigError, match="received nodes=0"):
        integrated_gradients(network, images, 1, nodes=0)


def test_expected_gradients_are_the_mean_of_integrated_gradients_over_the_background() -> None:
    network, background = stranger(), pictures(3, (8, 7), seed=3)
    found = expected_gradients(network, IMAGES[:1], 1, background=background, samples=600)
    each = [integrated_gradients(network, IMAGES[:1], 1, baseline=one, nodes=200).values for one in background]
    expected = np.mean(each, axis=0)
    assert np.abs(found.values - expected).max() < 0.05 * np.abs(expected).max()
    with pytest.raises(ConfigError, match=r"batch of prepared images \(b, 3, 8, 7\)"):
        expected_gradients(network, IMAGES[:1], 1, background=torch.zeros(2, 3, 4, 4))
    with pytest.raises(ConfigError, match="samples from 1 on"):
        expected_gradients(network, IMAGES[:1], 1, samples=0)


class Neighbourly(nn.Module):
    """The answer to an image is its difference from the mean of its batch, or a softmax over the batch."""

    def __init__(self, mixes: str) -> None:
        super().__init__()
        self.inner, self.mixes = stranger(), mixes

    def forward(self, x: Tensor) -> Tensor:
        if self.mixes == "the only one" and len(x) > 1:
            raise RuntimeError("one image at a time")
        if self.mixes == "mean":
            x = x - 0.5 * x.mean(0, keepdim=True)
        logits = self.inner(x)
        return logits * logits.softmax(0) if self.mixes == "softmax" else logits


@pytest.mark.parametrize("mixes", ["mean", "softmax", "the only one"])
@pytest.mark.parametrize("method", ["saliency", "grad_cam", "smoothgrad", "rise", "integrated_gradients", "occlusion"])
def test_a_network_that_mixes_a_batch_is_given_one_image_at_a_time(method: str, mixes: str) -> None:
    """By hand: what the network makes of a batch of one, for which the mean is the image and the softmax is 1."""

    class Alone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = stranger()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(0.5 * x if mixes == "mean" else x)

    found, expected = (
        explain(method, each.eval(), pictures(2, (16, 12)), [1, 2]) for each in (Neighbourly(mixes), Alone())
    )
    scale = np.abs(expected.values).max()
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-3, atol=1e-4 * scale)
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-4)
    assert any(note.startswith("The network mixes the images of a batch") for note in found.notes)
    assert not any("mixes" in note for note in expected.notes)


def test_a_background_of_as_many_images_belongs_to_every_image() -> None:
    mixing = nn.Sequential(
        nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), nn.Flatten(), nn.Linear(60, 2)
    )
    background = pictures(len(IMAGES), (8, 7), seed=3)
    found = expected_gradients(mixing, IMAGES, 1, background=background, samples=50)
    alone = expected_gradients(mixing, IMAGES[:1], 1, background=background, samples=50)
    np.testing.assert_allclose(found.values[:1], alone.values, atol=1e-6)
