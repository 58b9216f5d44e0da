"""Real data sets go down the road: a short training on a part of each, judged on a part of its official test set.

The bounds are far below what a whole training reaches and far above what a broken road could: a label lost or an image
prepared wrongly brings each of them down to chance. `test_named.py` asks whether the whole sets are there;
`benchmarks/mnist_to_99.py` and `benchmarks/zoo_train.py` train on all of MNIST and CIFAR-10.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import striate
from reference.parts import first_images

TRAIN, TEST = 6_000, 2_000


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def _verdict(data: Path, recipe: str, epochs: str) -> tuple[float, int]:
    run = striate.train(data, recipe=recipe, epochs=epochs, precision="float32", set=["evaluate_every=1000ep"])
    scores = striate.evaluate(run.path).scores
    assert run.report_file.exists()
    return scores.top1.value or 0.0, scores.count


def test_mnist(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    part = first_images(real_data("mnist"), tmp_path / "mnist", TRAIN, TEST)
    accuracy, count = _verdict(part, "mnist", "100st")
    assert count == TEST
    assert accuracy > 0.9


def test_fashion_mnist(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    part = first_images(real_data("fashion-mnist"), tmp_path / "fashion", TRAIN, TEST)
    accuracy, count = _verdict(part, "mnist", "100st")
    assert count == TEST
    assert accuracy > 0.65


def test_cifar10(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real_data("cifar10")
    spec = importlib.util.spec_from_file_location("unpack_cifar10", folder.parent / "unpack_cifar10.py")
    assert spec
    assert spec.loader
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    official = tmp_path / "official" / "cifar-10-batches-bin"
    official.mkdir(parents=True)
    train, test = unpack.rows("data_batch_1"), unpack.rows("test_batch")
    for number in range(1, 6):  # the official files, of a fifth of their first
        train[number - 1 : TRAIN : 5].tofile(official / f"data_batch_{number}.bin")
    test[:TEST].tofile(official / "test_batch.bin")
    shutil.copy(folder / "batches.meta.txt", official)
    accuracy, count = _verdict(official.parent, "cifar", "100st")
    assert count == TEST
    assert accuracy > 0.3


def test_photos_of_dogs_and_cats(real_data: Callable[[str], Path]) -> None:
    accuracy, count = _verdict(real_data("photos-dog-cat"), "photos", "4ep")
    assert count == 80
    assert accuracy > 0.4
