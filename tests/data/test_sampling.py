"""Balanced sampling shows each class equally often, each image of it in turn, and repeats it with other changes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from reference.sampling import balanced_epochs
from striate.core.config import override
from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.core.spec import RGB, InputSpec
from striate.data.augmentation.augmentations import Brightness
from striate.data.dataset import ArrayStore, Dataset
from striate.data.loading.loader import Loader, Randomization
from striate.data.loading.sampling import SAMPLINGS, Balanced, Shuffled, repetitions
from striate.runs.recipes import RECIPES

TARGETS = np.repeat([0, 2, 3], [12, 5, 2])  # of class 1 there is no image


def test_an_epoch_is_the_same_as_drawing_one_image_after_the_other() -> None:
    for epoch, expected in enumerate(balanced_epochs(TARGETS, seed=3, epochs=7)):
        order = Stream(3, "order").permutation(len(TARGETS), epoch=epoch)
        found = Balanced().places(TARGETS, seed=3, epoch=epoch)
        assert found.tolist() == np.array(expected)[order].tolist()


def test_classes_and_the_images_of_each_occur_equally_often() -> None:
    epochs = [Balanced().places(TARGETS, seed=0, epoch=epoch) for epoch in range(9)]
    for places in epochs:
        counts = np.unique(TARGETS[places], return_counts=True)[1]
        assert len(counts) == 3
        assert counts.max() - counts.min() <= 1
    shown = np.bincount(np.concatenate(epochs))
    assert all(np.ptp(shown[places]) <= 1 for places in (slice(12), slice(12, 17), slice(17, 19)))
    assert all((one != other).any() for one, other in pairwise(epochs))


@pytest.mark.parametrize("name", list(SAMPLINGS))
def test_every_sampling_shows_as_many_images_as_there_are(name: str) -> None:
    places = SAMPLINGS[name]().places(TARGETS, seed=1, epoch=4)
    assert len(places) == len(TARGETS)
    assert 0 <= places.min() <= places.max() < len(TARGETS)


def test_repetitions_are_counted() -> None:
    assert repetitions(np.array([4, 2, 4, 4, 2, 7])).tolist() == [0, 0, 1, 2, 1, 0]


def _loader(sampling: Shuffled | Balanced) -> Loader:
    pixels = np.full((len(TARGETS), 4, 4, 3), 100, np.uint8)
    store = ArrayStore(pixels, [str(number) for number in range(len(TARGETS))], RGB)
    dataset = Dataset("grey", store, ("a", "b", "c", "d"), TARGETS)
    spec = InputSpec(channels=RGB, height=4, width=4, mean=(0.0,) * 3, std=(1.0,) * 3)
    random = Randomization(seed=2, augmentations=(Brightness(fraction=0.5),), sampling=sampling)
    return Loader(dataset, np.arange(len(TARGETS)), spec, batch_size=4, randomization=random, threads=0)


def _shown(sampling: Shuffled | Balanced) -> list[tuple[int, float]]:
    """Return the index and the value of each image of an epoch, in order."""
    batches = list(_loader(sampling).epoch(1))
    return [(int(i), float(v)) for b in batches for i, v in zip(b.index, b.images[:, 0, 0, 0], strict=True)]


def test_an_image_that_an_epoch_repeats_is_changed_anew_and_its_first_showing_as_ever() -> None:
    usual, shown = dict(_shown(Shuffled())), _shown(Balanced())
    rare = [value for number, value in shown if number >= 17]
    assert len(set(rare)) == len(rare) >= 6
    first = dict(reversed(shown))
    assert first == {number: usual[number] for number in first}


def test_an_epoch_may_be_entered_anywhere() -> None:
    whole, rest = list(_loader(Balanced()).epoch(2)), list(_loader(Balanced()).epoch(2, start=3))
    assert all(torch.equal(one.images, other.images) for one, other in zip(whole[3:], rest, strict=True))
    assert all(torch.equal(one.index, other.index) for one, other in zip(whole[3:], rest, strict=True))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["task.name=multilabel", "loss.name=focal"], "not exactly one. Weight the classes instead"),
        (["loss.class_balance=0.9"], "both raise the weight of rare classes"),
        (["transfer=features", "weights=w.safetensors", "model=resnet18"], "has no effect, because transfer features"),
    ],
)
def test_balanced_sampling_is_refused_where_it_cannot_work(settings: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(RECIPES["photos"](), ["sampling=balanced", *settings])
    assert sentence in str(caught.value)
