"""The embedded digits, held against scikit-learn's copy of the same data."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
from sklearn.datasets import load_digits

from striate.data.sources.digits import digits
from striate.data.sources.named_registry import open_named


def test_pixels_and_labels_are_those_of_the_original() -> None:
    truth, labels = load_digits(return_X_y=True)
    dataset = digits()
    pixels = np.stack([dataset.store.read(index).pixels for index in range(len(dataset))])
    assert pixels.shape == (1797, 8, 8, 1)
    assert pixels.dtype == np.uint8
    assert (np.round(pixels[..., 0] * (16 / 255)) == truth.reshape(-1, 8, 8)).all()  # each count of ink can be had back
    assert (dataset.targets == labels).all()
    assert pixels.max() == 255  # full ink is full intensity
    assert pixels.min() == 0


def test_parts_are_disjoint_whole_and_stratified() -> None:
    dataset = digits()
    together = np.sort(np.concatenate(list(dataset.splits.values())))
    assert (together == np.arange(len(dataset))).all()
    for label in range(10):
        count = np.count_nonzero(dataset.targets == label)
        for part in ("val", "test"):
            assert np.count_nonzero(dataset.targets[dataset.splits[part]] == label) == round(0.2 * count)


def test_parts_stay_what_they_were() -> None:
    dataset = digits()
    parts = [dataset.splits[part].astype("<i8").tobytes() for part in ("train", "val", "test")]
    digest = hashlib.sha256(b"|".join(parts)).hexdigest()
    assert digest == "0726016abf567e3b39a637093e52cf4b9fdb0c54494be29ae403b30ecdfac6a1"


def test_licence_is_next_to_the_data() -> None:
    text = (files("striate.data.sources") / "digits.txt").read_text("utf-8")
    assert "CC BY 4.0" in text
    assert "10.24432/C50P49" in text


def test_digits_are_known_by_name() -> None:
    assert len(open_named("digits")) == 1797
