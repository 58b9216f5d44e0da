"""What every kind of source promises, shown on one small data set that each of them stores in its own way."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import DataError
from striate.data.dataset import SPLITS, Dataset, Split
from striate.data.sources.named_registry import DATASETS
from striate.data.sources.opening import open_data
from striate.data.sources.registry import SOURCES

# Twelve images, 32×32 RGB (the size that the strictest of them, CIFAR's layout, prescribes), each of one colour that
# tells its class (red) and its number (green): eight for training, four for testing, classes 0 to 9 with gaps.
Labels = dict[Split, list[int]]
LABELS: Labels = {"train": [10, 2, 2, 0, 10, 0, 2, 10], "test": [0, 2, 10, 2]}
CLASSES = ("0", "2", "10")


def picture(label: int, number: int) -> np.ndarray:
    return np.full((32, 32, 3), (20 * label, 10 * number, 7), dtype=np.uint8)


def pictures(labels: list[int]) -> np.ndarray:
    return np.stack([picture(label, number) for number, label in enumerate(labels)])


def folder(root: Path, all_labels: Labels) -> Path:
    for split, labels in all_labels.items():
        for number, label in enumerate(labels):
            path = root / split / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(label, number)).save(path)
    return root


def manifest(root: Path, all_labels: Labels) -> Path:
    rows = ["path,label,split"]
    for path in sorted(folder(root / "somewhere", all_labels).rglob("*.png")):
        rows.append(f"{path.relative_to(root).as_posix()},{path.parent.name},{path.parent.parent.name}")
    (root / "pictures.csv").write_text("\n".join(rows) + "\n")
    return root / "pictures.csv"


def idx(root: Path, all_labels: Labels) -> Path:
    root.mkdir()
    for split, labels in all_labels.items():
        prefix = {"train": "train", "test": "t10k"}[split]
        grey = pictures(labels)[..., 0]
        header = struct.pack(">BBBBLLL", 0, 0, 8, 3, *grey.shape)
        (root / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + grey.tobytes()))
        values = bytes(labels)
        (root / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">BBBBL", 0, 0, 8, 1, len(values)) + values)
    return root


def cifar(root: Path, all_labels: Labels) -> Path:
    """The layout of CIFAR-100, whose superclass byte must not be taken for the class."""
    inner = root / "cifar-100-binary"
    inner.mkdir(parents=True)
    for split, labels in all_labels.items():
        planes = pictures(labels).transpose(0, 3, 1, 2).reshape(-1, 3072)
        heads = np.array([[99, label] for label in labels], dtype=np.uint8)
        np.concatenate([heads, planes], axis=1).tofile(inner / f"{split}.bin")
    (inner / "fine_label_names.txt").write_text("\n".join(map(str, range(11))) + "\n")
    return root


def npz(root: Path, all_labels: Labels) -> Path:
    root.mkdir()
    arrays = {f"x_{split}": pictures(labels) for split, labels in reversed(all_labels.items())}
    arrays |= {f"y_{split}": np.array(labels)[:, None] for split, labels in all_labels.items()}
    np.savez(root / "pictures.npz", **arrays)  # pyright: ignore[reportArgumentType]
    return root / "pictures.npz"


def shards(root: Path, all_labels: Labels) -> Path:
    root.mkdir()
    for split, labels in all_labels.items():
        with tarfile.open(root / f"pictures-{split}-000000.tar", "w") as archive:
            for number, label in enumerate(labels):
                encoded = io.BytesIO()
                Image.fromarray(picture(label, number)).save(encoded, "PNG")
                for suffix, data in (("png", encoded.getvalue()), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{number:04d}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    return root


SAMPLES: dict[str, Callable[[Path, Labels], Path]] = {
    "folder": folder,
    "csv": manifest,
    "idx": idx,
    "cifar": cifar,
    "npz": npz,
    "shards": shards,
}


@pytest.fixture(params=sorted(SOURCES))
def kind(request: pytest.FixtureRequest) -> str:
    assert request.param in SAMPLES, "a newly registered source needs a sample here"
    return request.param


@pytest.fixture
def path(kind: str, tmp_path: Path) -> Path:
    return SAMPLES[kind](tmp_path / "sample", LABELS)


@pytest.fixture
def dataset(path: Path) -> Dataset:
    return open_data(path)


def test_its_path_is_recognised_by_it_and_by_no_other(kind: str, path: Path) -> None:
    assert [name for name, source in SOURCES.items() if source.recognises(path)] == [kind]


def test_no_source_recognises_what_is_not_there_or_of_another_kind(kind: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    for path in (tmp_path / "notes.txt", tmp_path / "absent", tmp_path / "absent.csv", tmp_path / "absent.npz"):
        assert not SOURCES[kind].recognises(path)


def test_every_image_comes_with_its_own_label_and_split(kind: str, dataset: Dataset) -> None:
    """The image's colours are the truth: index, target, name and split must agree with them."""
    split_of: dict[int, Split] = {int(index): split for split, indices in dataset.splits.items() for index in indices}
    seen = set()
    for index in range(len(dataset)):
        pixels = dataset.store.read(index).pixels
        label = int(pixels[0, 0, 0]) // 20
        assert dataset.classes[dataset.targets[index]] == str(label)
        number = None if kind == "idx" else int(pixels[0, 0, 1]) // 10
        if number is not None:
            assert LABELS[split_of[index]][number] == label
        seen.add((split_of[index], number if number is not None else index))
    assert len(seen) == len(dataset) == 12
    assert {split: len(indices) for split, indices in dataset.splits.items()} == {"train": 8, "test": 4}


def test_the_classes_are_in_natural_order(kind: str, dataset: Dataset) -> None:
    assert dataset.classes == (tuple(map(str, range(11))) if kind in ("idx", "cifar") else CLASSES)


def test_the_splits_that_the_data_bring_are_kept_disjoint_and_in_order(dataset: Dataset) -> None:
    assert list(dataset.splits) == [split for split in SPLITS if split in dataset.splits]
    indices = np.concatenate(list(dataset.splits.values()))
    assert np.array_equal(np.sort(indices), np.arange(12))
    assert all(part.dtype == np.int64 for part in (*dataset.splits.values(), dataset.targets))


def test_every_image_has_a_name_of_its_own(dataset: Dataset) -> None:
    names = [dataset.store.name(index) for index in range(len(dataset))]
    assert len(set(names)) == len(names) == len(dataset.store)
    assert names == list(dataset.store.names)


def test_opening_twice_gives_the_same(dataset: Dataset, path: Path) -> None:
    again = open_data(str(path))
    assert (again.classes, list(again.store.names)) == (dataset.classes, list(dataset.store.names))
    assert np.array_equal(again.targets, dataset.targets)
    assert again.source == str(path)


def test_reading_gives_pixels_with_named_channels(kind: str, dataset: Dataset) -> None:
    read = dataset.store.read(3)
    assert read.pixels.dtype == np.uint8
    assert read.original == (32, 32)
    assert read.channels == (("grey",) if kind == "idx" else ("red", "green", "blue"))


def test_a_source_of_one_class_is_refused_for_training_and_welcome_for_judging(kind: str, tmp_path: Path) -> None:
    path = SAMPLES[kind](tmp_path / "one class", {split: [2] * len(labels) for split, labels in LABELS.items()})
    if kind in ("idx", "cifar"):  # their classes are known beforehand, whether they occur or not
        assert len(open_data(path).classes) > 1
        return
    with pytest.raises(DataError, match="one class only, '2'; a classifier needs at least two"):
        open_data(path)
    assert open_data(path, minimum_classes=1).classes == ("2",)


def test_every_named_data_set_has_a_title() -> None:
    assert {"digits", "shapes", "mnist", "fashion-mnist", "cifar10", "cifar100"} <= set(DATASETS)
    assert all(entry.title for entry in DATASETS.values())
