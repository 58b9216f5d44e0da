"""The named data sets as they really are, held against what their authors publish about them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from striate.core.download import Remote
from striate.data.sources import named
from striate.data.sources.opening import open_data

RealData = Callable[[str], Path]


@pytest.mark.parametrize(
    ("name", "remotes"),
    [("mnist", named.MNIST_FILES), ("fashion-mnist", named.FASHION_FILES)],
    ids=["mnist", "fashion"],
)
def test_the_published_files_have_the_digests_and_sizes_that_downloads_are_held_against(
    real_data: RealData, name: str, remotes: tuple[Remote, ...]
) -> None:
    folder = real_data(name)
    for remote in remotes:
        content = (folder / remote.name).read_bytes()
        kind, _, digest = remote.digest.partition(":")
        assert (len(content), hashlib.new(kind, content).hexdigest()) == (remote.size, digest)
        assert all(address.endswith(f"/{remote.name}") for address in remote.addresses)


def test_mnist_is_mnist(real_data: RealData, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ten training labels, the counts per class and the mean 0.1307 are in every textbook."""
    monkeypatch.setenv("STRIATE_DATA", str(real_data("mnist").parent))
    dataset = open_data("mnist")
    assert dataset.classes == tuple("0123456789")
    assert {split: (indices[0], len(indices)) for split, indices in dataset.splits.items()} == {
        "train": (0, 60000), "test": (60000, 10000),
    }  # fmt: skip
    assert dataset.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    train = dataset.targets[dataset.splits["train"]]
    assert np.bincount(train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    pixels = np.stack([dataset.store.read(index).pixels for index in range(2000)])
    assert pixels.shape == (2000, 28, 28, 1)
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=0.003)
    assert (dataset.store.name(59999), dataset.store.name(60000)) == ("train 59999", "test 00000")


def test_fashion_mnist_keeps_the_order_of_its_authors(real_data: RealData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_DATA", str(real_data("fashion-mnist").parent))
    dataset = open_data("fashion-mnist")
    assert dataset.classes[dataset.targets[0]] == "Ankle boot"
    assert dataset.classes[dataset.targets[1]] == "T-shirt/top"
    assert np.bincount(dataset.targets).tolist() == [7000] * 10


def test_cifar10_is_found_in_its_official_layout(
    real_data: RealData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unpacked from lossless strips, so not of the archive's digest: what lies on the disk is not checked."""
    script = real_data("cifar10").parent / "unpack_cifar10.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / "cifar10")], check=True)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path))
    dataset = open_data("cifar10")
    assert dataset.classes == (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    assert {split: len(indices) for split, indices in dataset.splits.items()} == {"train": 50000, "test": 10000}
    assert all(
        np.bincount(dataset.targets[indices]).tolist() == [len(indices) // 10] * 10
        for indices in dataset.splits.values()
    )
    # the first images are a frog and two trucks; the first of the test set is a cat
    assert [dataset.classes[dataset.targets[index]] for index in (0, 1, 2, 50000)] == ["frog", "truck", "truck", "cat"]
    first = dataset.store.read(0)
    assert first.channels == ("red", "green", "blue")
    assert first.pixels[0, 0].tolist() == [59, 62, 63]


def test_opening_data_does_not_load_torch() -> None:
    code = "import sys, striate.data.sources.opening; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
