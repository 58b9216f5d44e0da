"""Indices that are never renumbered, and data sets that cannot contradict themselves."""

from __future__ import annotations

import numpy as np
import pytest

from striate.data.dataset import ArrayStore, Dataset, Split, numbered

PIXELS = np.arange(4 * 2 * 3, dtype=np.uint16).reshape(4, 2, 3, 1)
STORE = ArrayStore(PIXELS, numbered("train", 4))
TARGETS = np.array([0, 1, 1, 0])


def test_a_row_of_an_array_is_an_image_without_a_copy() -> None:
    picture = STORE.read(2)
    assert np.shares_memory(picture.pixels, PIXELS)
    assert (picture.channels, picture.original, picture.maximum) == (("grey",), (2, 3), 65535)
    assert (len(STORE), STORE.name(2)) == (4, "train 00002")


def test_numbers_are_as_wide_as_the_largest_needs() -> None:
    assert numbered("test", 3) == ["test 00000", "test 00001", "test 00002"]
    assert numbered("all", 100_001)[0] == "all 000000"


@pytest.mark.parametrize(
    ("targets", "splits"),
    [
        ([0, 1, 1], {}),
        ([0, 1, 1, 2], {}),
        ([0, 1, 1, -1], {}),
        ([0, 1, 1, 0], {"train": [0, 1], "test": [1, 2]}),
        ([0, 1, 1, 0], {"train": [0, 0]}),
        ([0, 1, 1, 0], {"val": [4]}),
        ([0, 1, 1, 0], {"val": [-1]}),
    ],
)
def test_a_data_set_that_contradicts_itself_is_a_defect(targets: list[int], splits: dict[Split, list[int]]) -> None:
    parts: dict[Split, np.ndarray] = {split: np.array(indices) for split, indices in splits.items()}
    with pytest.raises(ValueError, match="four"):
        Dataset("four", STORE, ("a", "b"), np.array(targets), parts)


def test_images_may_be_in_no_split() -> None:
    dataset = Dataset("four", STORE, ("a", "b"), TARGETS, {"test": np.array([3])})
    assert len(dataset) == 4


def test_names_and_channels_must_fit_the_array() -> None:
    with pytest.raises(ValueError, match="3 names"):
        ArrayStore(PIXELS, numbered("train", 3))
    with pytest.raises(ValueError, match="2 channels"):
        ArrayStore(PIXELS, numbered("train", 4), ("near", "far"))
