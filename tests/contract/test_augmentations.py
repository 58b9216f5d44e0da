"""What every registered augmentation promises. A new one needs a reference of its name and a strength to test it at."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from reference import augmentation as reference
from striate.core import config
from striate.core.config import override
from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.augmentation.augment import AUGMENTATIONS, Augmentation, augment, default_augmentation

STRENGTHS = {
    "flip": True,
    "shift": 0.15,
    "rotation_degrees": 25.0,
    "scale": 0.3,
    "brightness": 0.5,
    "contrast": 0.9,
    "cutout": 0.4,
}
EVERYTHING = Augmentation(**STRENGTHS)
SHAPES = [(1, 28, 28), (3, 13, 20), (5, 9, 6)]
SEED, EPOCH = 3, 7

every_augmentation = pytest.mark.parametrize("name", list(AUGMENTATIONS))
every_shape = pytest.mark.parametrize("shape", SHAPES)


def pictures(count: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def changed(images: torch.Tensor, index: np.ndarray, settings: Augmentation, epoch: int = EPOCH) -> torch.Tensor:
    blank = [0.1 * channel for channel in range(images.shape[1])]
    return augment(images, index, epoch=epoch, seed=SEED, augmentation=settings, blank=blank)


def alone(name: str) -> Augmentation:
    return Augmentation(**{name: STRENGTHS[name]})


def test_settings_and_registry_name_the_same_things():
    assert {field.name for field in dataclasses.fields(Augmentation)} == set(AUGMENTATIONS) == set(STRENGTHS)


@every_augmentation
@every_shape
def test_equals_its_slow_reference(name, shape):
    images, index = pictures(40, shape), np.arange(100, 140)
    draws = Stream(SEED, f"augment.{name}").uniform(epoch=EPOCH, index=index, draws=AUGMENTATIONS[name].draws)
    blank = np.array([0.1 * channel for channel in range(shape[0])], np.float32)
    received = changed(images, index, alone(name)).numpy()
    for row in range(40):
        expected = getattr(reference, name)(images[row].numpy(), draws[row], float(STRENGTHS[name]), blank)
        np.testing.assert_allclose(received[row], expected, atol=2e-5, err_msg=f"{name}, picture {row}")


@every_augmentation
def test_does_something_and_leaves_what_it_was_given(name):
    images = pictures(8, (3, 16, 16))
    before = images.clone()
    assert not torch.equal(changed(images, np.arange(8), alone(name)), before)
    assert torch.equal(images, before)


@every_augmentation
def test_is_nothing_at_strength_zero(name):
    images = pictures(8, (3, 16, 16))
    off = Augmentation(**{name: type(STRENGTHS[name])(0)})
    assert off.active == ()
    assert torch.equal(changed(images, np.arange(8), off), images)


@every_augmentation
def test_is_nearly_nothing_at_a_very_small_strength(name):
    if name in ("flip", "cutout"):
        pytest.skip("a mirror has no small form, and a cut has a pixel at least")
    images = pictures(8, (3, 16, 16))
    small = override(Augmentation(), {name: 1e-4})
    assert torch.allclose(changed(images, np.arange(8), small), images, atol=2e-3)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "everything"])
@every_shape
def test_a_picture_gets_the_same_bits_in_any_batch(name, shape):
    settings = EVERYTHING if name == "everything" else alone(name)
    images, index = pictures(33, shape), np.random.default_rng(1).permutation(1000)[:33]
    together = changed(images, index, settings)
    for rows in ([0], [32], [5, 4], list(range(7, 20)), [1, 1, 31]):
        assert torch.equal(changed(images[rows], index[rows], settings), together[rows])


@every_augmentation
def test_epochs_seeds_and_samples_differ(name):
    images = pictures(1, (3, 16, 16)).expand(32, -1, -1, -1)
    first = changed(images, np.arange(32), alone(name))
    assert not torch.equal(first, changed(images, np.arange(32), alone(name), epoch=EPOCH + 1))
    assert not torch.equal(first, changed(images, np.arange(32) + 32, alone(name)))
    assert not all(torch.equal(one, first[0]) for one in first)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "everything"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 3.0)])
def test_values_stay_in_range(name, low, high):
    images = pictures(64, (3, 12, 12)) * (high - low) + low
    settings = EVERYTHING if name == "everything" else alone(name)
    result = changed(images, np.arange(64), settings)
    assert result.min() >= low - 1e-6
    assert result.max() <= high + 1e-6


def test_moves_compose_into_the_moves_one_after_the_other():
    """One resampling of all is close to three in a row, on a picture smooth enough to survive three."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 48), torch.linspace(0, 2, 40), indexing="ij")
    images = (torch.sin(x + y) * torch.cos(x) / 2 + 0.5).expand(16, 1, 48, 40)
    index = np.arange(16)
    once = changed(images, index, Augmentation(flip=True, rotation_degrees=10.0, scale=0.1))
    stepwise = images
    for settings in (Augmentation(flip=True), Augmentation(rotation_degrees=10.0), Augmentation(scale=0.1)):
        stepwise = changed(stepwise, index, settings)
    centre = (..., slice(8, 40), slice(8, 32))
    assert torch.allclose(once[centre], stepwise[centre], atol=5e-3)


def test_shifts_reach_every_pixel_of_their_range_and_none_beyond():
    images = torch.zeros(4000, 1, 20, 20)
    images[:, :, 10, 10] = 1
    where = changed(images, np.arange(4000), Augmentation(shift=0.1)).flatten(1).argmax(dim=1)
    reached = {(int(at) // 20 - 10, int(at) % 20 - 10) for at in where}
    assert reached == set(itertools.product(range(-2, 3), repeat=2))


@pytest.mark.parametrize(
    ("name", "value"), [("shift", -0.1), ("shift", 0.6), ("cutout", 1.5), ("rotation_degrees", 200.0)]
)
def test_impossible_strengths_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"{name} is from 0 to"):
        Augmentation(**{name: value})


def test_settings_go_through_json_and_overrides():
    assert config.from_json(Augmentation, config.to_json(EVERYTHING)) == EVERYTHING
    assert override(Augmentation(), ["flip=yes", "shift=0.2"]) == Augmentation(flip=True, shift=0.2)


@pytest.mark.parametrize(
    ("channels", "classes", "flipped"),
    [
        (GREY, ["0", "1"], False),
        (GREY, ["cat", "dog"], False),
        (RGB, ["cat", "dog"], True),
        (RGB, ["0", "1"], False),
        (RGB, ["hand_left", "hand_right"], False),
        (RGB, ["bright", "dark"], True),
        (("channel1", "channel2"), ["a1", "b1"], False),
    ],
)
def test_what_is_on_by_default_follows_from_the_data(channels, classes, flipped):
    count = len(channels)
    spec = InputSpec(channels=channels, height=8, width=8, mean=(0.5,) * count, std=(0.5,) * count)
    chosen = default_augmentation(spec, classes)
    assert chosen.flip == flipped
    assert chosen.active
