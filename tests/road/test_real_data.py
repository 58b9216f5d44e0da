"""Real data sets go down the road: a short training on each, judged on its official test set where it has one.

The bounds are far below what a whole training reaches and far above what a broken road could: a label lost or a picture
prepared wrongly brings each of them down to chance.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import striate


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def _verdict(data: Path, recipe: str, epochs: str) -> tuple[float, int]:
    run = striate.train(data, recipe=recipe, epochs=epochs, precision="float32", set=["evaluate_every=1000ep"])
    scores = striate.evaluate(run.path).scores
    assert run.report_file.exists()
    return scores.top1.value or 0.0, scores.count


def test_mnist(real_data: Callable[[str], Path]) -> None:
    accuracy, count = _verdict(real_data("mnist"), "mnist", "200st")
    assert count == 10_000
    assert accuracy > 0.95


def test_fashion_mnist(real_data: Callable[[str], Path]) -> None:
    accuracy, count = _verdict(real_data("fashion-mnist"), "mnist", "200st")
    assert count == 10_000
    assert accuracy > 0.72


def test_cifar10(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real_data("cifar10")
    subprocess.run([sys.executable, folder.parent / "unpack_cifar10.py", tmp_path / "official"], check=True)
    accuracy, count = _verdict(tmp_path / "official", "cifar", "150st")
    assert count == 10_000
    assert accuracy > 0.3


def test_photos_of_dogs_and_cats(real_data: Callable[[str], Path]) -> None:
    accuracy, count = _verdict(real_data("photos-dog-cat"), "photos", "4ep")
    assert count == 80
    assert accuracy > 0.4
