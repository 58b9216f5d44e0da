"""What every registered augmentation promises. A new one needs a reference of its name and a strength to test it at."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch

from reference import augmentation as reference
from reference import policies
from striate.core.config import from_json, to_json
from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.core.spec import GREY, RGB, InputSpec, channel_names
from striate.data.augmentation.augment import augment, augmentations_in_effect, check_list, default_augmentations
from striate.data.augmentation.augmentations import (
    AUGMENTATIONS,
    Augmentation,
    Brightness,
    Flip,
    FromData,
    Geometric,
    Photometric,
    Rotation,
    Scale,
    Shift,
)
from striate.data.augmentation.geometric import AlternatingFlip
from striate.data.augmentation.policies import _RAND, Policy, _operated

STRENGTHS = {
    "flip": 0.5,
    "shift": 0.15,
    "rotation": 25.0,
    "scale": 0.3,
    "brightness": 0.5,
    "contrast": 0.9,
    "cutout": 0.4,
    "random_resized_crop": 0.8,
    "shear": 20.0,
    "perspective": 0.5,
    "exposure": 1.0,
    "saturation": 0.9,
    "hue": 0.4,
    "colour_cast": 0.5,
    "grey": 0.5,
    "blur": 1.2,
    "noise": 0.1,
    "erasing": 0.7,
    "sharpness": 0.9,
    "posterize": 0.7,
    "solarize": 0.7,
    "autocontrast": 0.7,
    "equalize": 0.7,
    "elastic": 30.0,
    "jpeg": 0.8,
    "alternating_flip": 0.8,
    "trivialaugment": 0.9,
    "augmix": 3.0,
    "randaugment": 2,
}
WHOLLY = ["flip", "alternating_flip", "cutout", "grey", "erasing", "posterize", "solarize", "autocontrast", "equalize"]
WHOLLY += ["jpeg", "randaugment", "trivialaugment", "augmix"]
"""Augmentations that change an image wholly or not at all, or in a smallest part, and so have no small form."""
DEFAULTS = ["flip", "shift", "rotation", "scale", "brightness", "contrast", "cutout"]
CHANGES = [name for name in AUGMENTATIONS if name not in ("from_data", "mixup", "cutmix")]
SHAPES = [(1, 28, 28), (3, 13, 20), (5, 9, 6)]
SEED, EPOCH = 3, 7
EPOCHS = {"alternating_flip": 0}  # it has the draws of the first epoch in all
STREAMS = {"rotation": "augment.rotation_degrees"}  # as in the first version

every_augmentation = pytest.mark.parametrize("name", CHANGES)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def pictures(count: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def changed(images: torch.Tensor, index: np.ndarray, *used: Augmentation, epoch: int = EPOCH) -> torch.Tensor:
    blank = [0.1 * channel for channel in range(images.shape[1])]
    names = channel_names(images.shape[1])
    return augment(images, index, epoch=epoch, seed=SEED, augmentations=used, blank=blank, channels=names)


def alone(name: str, strength: float | None = None) -> Augmentation:
    """Return an augmentation of a strength, which is its first option."""
    member = AUGMENTATIONS[name]
    wanted = STRENGTHS[name] if strength is None else type(STRENGTHS[name])(strength)
    return member(**{dataclasses.fields(member)[0].name: wanted})


EVERYTHING = tuple(alone(name) for name in STRENGTHS)


def test_each_augmentation_has_a_strength_to_test_it_at_and_is_geometric_or_photometric():
    assert set(CHANGES) == set(STRENGTHS)
    assert all(isinstance(each, (Geometric, Photometric)) for each in EVERYTHING)


@every_augmentation
@every_shape
def test_equals_its_slow_reference(name, shape):
    images, index = pictures(40, shape), np.arange(100, 140)
    draws = Stream(SEED, STREAMS.get(name, f"augment.{name}")).uniform(
        epoch=EPOCHS.get(name, EPOCH), index=index, draws=AUGMENTATIONS[name].draws
    )
    blank = np.array([0.1 * channel for channel in range(shape[0])], np.float32)
    received = changed(images, index, alone(name)).numpy()
    for row in range(40):
        slow = getattr(reference, name, None) or getattr(policies, name)
        expected = slow(images[row].numpy(), draws[row], float(STRENGTHS[name]), blank)
        # Of the policies, a value that a move puts between two levels may be rounded to the other one.
        wrong = np.abs(received[row] - expected) > 2e-5
        assert wrong.mean() <= (0.01 if issubclass(AUGMENTATIONS[name], Policy) else 0), f"{name}, picture {row}"


@every_augmentation
def test_does_something_and_leaves_what_it_was_given(name):
    images = pictures(8, (3, 16, 16))
    before = images.clone()
    assert not torch.equal(changed(images, np.arange(8), alone(name)), before)
    assert torch.equal(images, before)


@every_augmentation
def test_a_batch_of_one_image_is_changed_as_others_are_even_if_none_is_chosen(name):
    images, index = pictures(8, (3, 9, 10)), np.arange(8)
    together = changed(images, index, alone(name))
    for row in range(8):
        assert torch.equal(changed(images[[row]], index[[row]], alone(name)), together[[row]])


@every_augmentation
def test_is_nothing_at_strength_zero(name):
    images = pictures(8, (3, 16, 16))
    used = augmentations_in_effect((alone(name, 0.0),), spec(RGB), ["cat"])
    assert used == ()
    assert torch.equal(changed(images, np.arange(8), *used), images)


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in WHOLLY])
def test_is_nearly_nothing_at_a_very_small_strength(name):
    images = pictures(8, (3, 16, 16))
    assert torch.allclose(changed(images, np.arange(8), alone(name, 1e-4)), images, atol=2e-3)


@pytest.mark.parametrize("name", [*CHANGES, "everything"])
@every_shape
def test_an_image_gets_the_same_bits_in_any_batch(name, shape):
    used = EVERYTHING if name == "everything" else (alone(name),)
    images, index = pictures(33, shape), np.random.default_rng(1).permutation(1000)[:33]
    together = changed(images, index, *used)
    for rows in ([0], [32], [5, 4], list(range(7, 20)), [1, 1, 31]):
        assert torch.equal(changed(images[rows], index[rows], *used), together[rows])


@every_augmentation
def test_epochs_seeds_and_samples_differ(name):
    images = pictures(1, (3, 16, 16)).expand(32, -1, -1, -1)
    first = changed(images, np.arange(32), alone(name))
    assert not torch.equal(first, changed(images, np.arange(32), alone(name), epoch=EPOCH + 1))
    assert not torch.equal(first, changed(images, np.arange(32) + 32, alone(name)))
    assert not all(torch.equal(one, first[0]) for one in first)


@pytest.mark.parametrize("name", [*CHANGES, "everything"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 3.0)])
def test_values_stay_in_range(name, low, high):
    images = pictures(64, (3, 12, 12)) * (high - low) + low
    used = EVERYTHING if name == "everything" else (alone(name),)
    result = changed(images, np.arange(64), *used)
    assert result.min() >= low - 1e-6
    assert result.max() <= high + 1e-6


def test_moves_compose_into_the_moves_one_after_the_other():
    """One resampling of all is close to three in a row, on an image smooth enough to survive three."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 48), torch.linspace(0, 2, 40), indexing="ij")
    images = (torch.sin(x + y) * torch.cos(x) / 2 + 0.5).expand(16, 1, 48, 40)
    index = np.arange(16)
    moves = Flip(), Rotation(degrees=10.0), Scale(fraction=0.1)
    once = changed(images, index, *moves)
    stepwise = images
    for move in moves:
        stepwise = changed(stepwise, index, move)
    centre = (..., slice(8, 40), slice(8, 32))
    assert torch.allclose(once[centre], stepwise[centre], atol=5e-3)


def test_a_perspective_composes_with_affine_moves():
    y, x = torch.meshgrid(torch.linspace(0, 3, 48), torch.linspace(0, 2, 40), indexing="ij")
    images, index = (torch.sin(x + y) * torch.cos(x) / 2 + 0.5).expand(16, 1, 48, 40), np.arange(16)
    moves = Rotation(degrees=10.0), alone("perspective", 0.2), Flip()
    stepwise = images
    for move in moves:
        stepwise = changed(stepwise, index, move)
    centre = (..., slice(12, 36), slice(12, 28))
    assert torch.allclose(changed(images, index, *moves)[centre], stepwise[centre], atol=5e-3)


@pytest.mark.parametrize("name", ["saturation", "hue", "colour_cast", "grey"])
def test_colours_are_found_in_any_order_of_channels(name):
    images, index, used = pictures(6, (3, 8, 8)), np.arange(6), (alone(name),)
    known: dict[str, Any] = {"epoch": EPOCH, "seed": SEED, "augmentations": used}
    expected = augment(images, index, **known, blank=(0.1, 0.2, 0.3), channels=RGB)
    turned = augment(images.flip(1), index, **known, blank=(0.3, 0.2, 0.1), channels=RGB[::-1])
    assert torch.equal(turned.flip(1), expected)
    with pytest.raises(ConfigError, match=f"{name} changes colours, and the images have the channels grey"):
        augmentations_in_effect(used, spec(GREY), ["cat"])


def test_shifts_reach_every_pixel_of_their_range_and_none_beyond():
    images = torch.zeros(4000, 1, 20, 20)
    images[:, :, 10, 10] = 1
    where = changed(images, np.arange(4000), Shift(fraction=0.1)).flatten(1).argmax(dim=1)
    reached = {(int(at) // 20 - 10, int(at) % 20 - 10) for at in where}
    assert reached == set(itertools.product(range(-2, 3), repeat=2))


def test_an_alternating_flip_shows_both_forms_in_any_two_epochs_and_half_of_the_images_mirrored_first():
    images, index = pictures(400, (1, 4, 6)), np.arange(400)
    shown = [changed(images, index, AlternatingFlip(), epoch=epoch) for epoch in range(4)]
    assert torch.equal(shown[0], shown[2])
    assert torch.equal(shown[0].flip(3), shown[1])
    assert torch.equal(shown[1], shown[3])
    assert 160 < int((shown[0] == images).all(dim=(1, 2, 3)).sum()) < 240


def test_the_operations_of_a_policy_are_equally_likely():
    draws = np.arange(14)[:, None] / 14 + 1e-9
    images = pictures(1, (3, 12, 12)).expand(14, -1, -1, -1)
    magnitudes = np.full(14, 0.5)
    results = _operated(images, _RAND, draws[:, 0], magnitudes, np.zeros(14), RGB)
    assert len({result.numpy().tobytes() for result in results}) == 14
    assert torch.equal(results[0], images[0])


def test_augmentations_are_applied_in_the_order_of_the_list():
    images, index = pictures(16, (3, 12, 12)), np.arange(16)
    first, second = Shift(fraction=0.3), Brightness(fraction=0.9)
    for used in ((first, second), (second, first)):
        one_by_one = changed(changed(images, index, used[0]), index, used[1])
        assert torch.equal(changed(images, index, *used), one_by_one)
    moved, cut = alone("shift"), alone("cutout")
    assert not torch.equal(changed(images, index, moved, cut), changed(images, index, cut, moved))


def test_geometric_augmentations_that_a_photometric_one_divides_are_two_resamplings():
    images, index = pictures(4, (3, 12, 12)), np.arange(4)
    used = Rotation(degrees=10.0), Brightness(fraction=0.5), Scale(fraction=0.3)
    one_by_one = images
    for each in used:
        one_by_one = changed(one_by_one, index, each)
    assert torch.equal(changed(images, index, *used), one_by_one)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shift", -0.1),
        ("shift", 0.6),
        ("cutout", 1.5),
        ("rotation", 200.0),
        ("flip", 1.5),
        ("scale", -1.0),
        ("perspective", 0.7),
    ],
)
def test_impossible_strengths_are_refused(name, value):
    with pytest.raises(ConfigError, match=r"must be at least 0 and at most .*; received"):
        alone(name, value)


@every_augmentation
def test_settings_go_through_json(name):
    assert from_json(Augmentation, to_json(alone(name))) == alone(name)
    assert from_json(Augmentation, name) == AUGMENTATIONS[name]()


def test_an_augmentation_after_from_data_replaces_the_one_of_its_name_in_place():
    usual = augmentations_in_effect((FromData(),), spec(RGB), ["cat", "dog"])
    names = ["flip", "shift", "scale", "brightness", "contrast"]
    assert [each.name for each in usual] == names
    listed = (FromData(), Scale(fraction=0.3), Flip(probability=0.0), Rotation(degrees=4.0))
    used = augmentations_in_effect(listed, spec(RGB), ["cat", "dog"])
    assert [each.name for each in used] == ["shift", "rotation", "scale", "brightness", "contrast"]
    assert Scale(fraction=0.3) in used
    assert augmentations_in_effect((Scale(fraction=0.3),), spec(RGB), ["cat", "dog"]) == (Scale(fraction=0.3),)


def test_an_alternating_flip_takes_the_place_of_the_flip_of_from_data_and_not_of_one_that_is_listed():
    used = augmentations_in_effect((FromData(), AlternatingFlip()), spec(RGB), ["cat", "dog"])
    assert [each.name for each in used] == ["alternating_flip", "shift", "scale", "brightness", "contrast"]
    both = augmentations_in_effect((FromData(), Flip(), AlternatingFlip()), spec(RGB), ["cat", "dog"])
    assert {"flip", "alternating_flip"} <= {each.name for each in both}


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ((Shift(), Shift(fraction=0.2)), "augmentation must hold each augmentation once; received shift, shift"),
        ((Shift(), FromData()), "augmentation must hold from_data first or not at all; received shift, from_data"),
    ],
)
def test_a_list_in_which_an_entry_would_have_no_effect_is_refused(listed, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check_list(listed)


def spec(channels):
    count = len(channels)
    return InputSpec(channels=channels, height=8, width=8, mean=(0.5,) * count, std=(0.5,) * count)


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
def test_default_augmentations_follow_from_the_data(channels, classes, flipped):
    chosen = default_augmentations(spec(channels), classes)
    assert [each.name for each in chosen] == DEFAULTS
    assert chosen[0].active == flipped
    assert any(each.active for each in chosen)
