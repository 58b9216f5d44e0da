"""Features at a place: equal to those of a plain forward pass, computed once, never wrong after an edit."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from striate.classifier import Classifier, pretrained_classifier
from striate.core.errors import ConfigError, DataError
from striate.core.spec import RGB, InputSpec
from striate.data.audit.index import index_images
from striate.data.dataset import Dataset
from striate.data.sources.opening import open_data
from striate.hooks import PlaceError
from striate.models import create_model
from striate.models.weights import pretrained
from striate.runs import feature_file, gallery, place_features
from striate.runs.feature_file import FeatureOrigin, is_features, read_features, read_rows, write_features
from striate.runs.gallery import Gallery, gallery_of, search

COUNT = 10
PLACES = [(None, "mean"), ("stage2", "mean"), ("stage2", "max"), ("conv1", "mean"), ("relu:2", "none")]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A ResNet-20 with random weights and batch norms that change what they are given."""
    path = tmp_path_factory.mktemp("weights") / "resnet20.safetensors"
    network = create_model("resnet20", classes=10, size=(32, 32), seed=3)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)  # pyright: ignore[reportOptionalMemberAccess]
                module.bias.uniform_(-0.3, 0.3)
    save_file(network.state_dict(), path)
    spec = InputSpec(channels=RGB, height=32, width=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2))
    return pretrained_classifier(replace(pretrained(str(path), "resnet20"), input=spec))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten small images of two classes, in blocks of four."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(place_features, "_BATCH", 2)
    monkeypatch.setattr(place_features, "_BLOCK", 4)
    draw = np.random.default_rng(0)
    for number in range(COUNT):
        folder = tmp_path / "photos" / ("a", "b")[number // 5]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def opened(photos: Path) -> Gallery:
    dataset = open_data(photos)
    return Gallery(dataset, np.arange(len(dataset)), index_images(dataset).digests)


def computed(classifier: Classifier, photos: Path, at: str | None = None, pooling: Any = "mean") -> np.ndarray:
    images = opened(photos)
    with place_features.place_features(classifier, at, pooling) as read:
        return np.concatenate([np.array(rows) for _, rows in images.blocks(read)])


def plain(classifier: Classifier, dataset: Dataset, at: str | None, pooling: str) -> np.ndarray:
    """The same by hooks of torch on the network itself, all images at once."""
    spec, model = classifier.input, classifier.model.eval()
    pixels = np.stack([dataset.store.read(number).pixels for number in range(len(dataset))])
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    images = (scaled - torch.tensor(spec.mean)[:, None, None]) / torch.tensor(spec.std)[:, None, None]
    kept: list[Any] = []
    paths: dict[str, str] = {"stage2": "stage2", "conv1": "conv1", "relu:2": "stage1.block1.relu1"}
    module = model.get_submodule(paths[at]) if at else model.get_submodule("fc")
    handle = module.register_forward_hook(lambda _, given, output: kept.append(output if at else given[0]))
    with torch.no_grad():
        model(images.float())
    handle.remove()
    value = kept[0]
    if at and pooling != "none":
        value = value.mean((2, 3)) if pooling == "mean" else value.amax((2, 3))
    return value.flatten(1).numpy()


@pytest.mark.parametrize(("at", "pooling"), PLACES)
def test_features_are_those_of_a_plain_forward_pass(
    classifier: Classifier, photos: Path, at: str | None, pooling: str
) -> None:
    found = computed(classifier, photos, at, pooling)
    np.testing.assert_allclose(found, plain(classifier, open_data(photos), at, pooling), atol=2e-4)


def test_an_interrupted_computation_continues_and_an_edit_computes_its_block_again(
    classifier: Classifier, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, passes = opened(photos), 0

    def counted(read: Any) -> None:
        inner = read._read

        def reading(batch: Tensor) -> Tensor:
            nonlocal passes
            passes += len(batch)
            return inner(batch)

        object.__setattr__(read, "_read", reading)

    with place_features.place_features(classifier) as read:
        counted(read)
        first = next(iter(images.blocks(read)))[1].copy()  # and the program ends
        assert passes == 4
        rows = np.concatenate([np.array(block) for _, block in images.blocks(read)])
        assert passes == COUNT
        np.testing.assert_array_equal(rows[:4], first)
        Image.new("RGB", (32, 32), (10, 10, 10)).save(photos / "b" / "6.png")
        edited = opened(photos)
        again = np.concatenate([np.array(block) for _, block in edited.blocks(read)])
        assert passes == COUNT + 4
    assert (again != rows).any(axis=1).tolist() == [number == 6 for number in range(COUNT)]
    head = classifier.model.get_parameter("fc.weight")
    with torch.no_grad():
        head.mul_(2)  # which changes no feature before it
        with place_features.place_features(classifier) as read:
            counted(read)
            list(edited.blocks(read))
        assert passes == COUNT + 4
        with place_features.place_features(classifier, "fc") as read:
            doubled = np.concatenate([np.array(block) for _, block in edited.blocks(read)])
        head.div_(2)
    assert not np.array_equal(doubled, computed(classifier, photos, "fc"))


def test_a_wrong_place_is_answered_with_the_feature_maps(classifier: Classifier) -> None:
    with (
        pytest.raises(PlaceError, match=r"Did you mean 'stage2'\? The feature maps are .*stage1, stage2, stage3"),
        place_features.place_features(classifier, "stag2"),
    ):
        pass


@pytest.fixture
def written(classifier: Classifier, photos: Path, tmp_path: Path) -> Path:
    """A file of the features of all images at stage2."""
    images, path = opened(photos), tmp_path / "features.npz"
    with place_features.place_features(classifier, "stage2") as read:
        write(path, images, read, (rows for _, rows in images.blocks(read)))
    return path


def write(path: Path, images: Gallery, read: Any, blocks: Iterator[np.ndarray], dtype: Any = "float32") -> None:
    dataset = images.dataset
    labels = [dataset.label(number) for number in range(COUNT)]
    origin = FeatureOrigin(read.place, read.at, "mean", read.network_digest, str(dataset.source), str(dataset.source))
    write_features(path, origin, (dataset.store.names, labels, images.index), blocks, read.width, dtype)


def test_a_file_has_a_row_for_each_image_and_is_read_by_numpy(
    classifier: Classifier, photos: Path, written: Path
) -> None:
    rows = computed(classifier, photos, "stage2")
    stored = read_features(written)
    assert isinstance(stored.rows, np.memmap)
    np.testing.assert_array_equal(stored.rows, rows)
    with np.load(written) as columns:
        np.testing.assert_array_equal(columns["features"], rows)
        assert columns["names"].tolist() == [f"{'ab'[number // 5]}/{number}.png" for number in range(COUNT)]
        assert columns["labels"].tolist() == ["a"] * 5 + ["b"] * 5
    assert is_features(written)
    damaged = written.with_name("damaged.npz")
    damaged.write_bytes(written.read_bytes()[:-100])
    assert not is_features(damaged)
    with pytest.raises(DataError, match="damaged"):
        read_features(damaged)


def test_an_interruption_leaves_the_file_of_before(classifier: Classifier, photos: Path, written: Path) -> None:
    before, images = written.read_bytes(), opened(photos)

    def blocks() -> Iterator[np.ndarray]:
        yield np.zeros((4, 32), np.float32)
        raise KeyboardInterrupt

    with place_features.place_features(classifier, "stage2") as read:
        with pytest.raises(KeyboardInterrupt):
            write(written, images, read, blocks())
        assert written.read_bytes() == before
        with pytest.raises(ConfigError, match="too large for float16"):
            write(written, images, read, iter([np.full((COUNT, 32), 1e6, np.float32)]), "float16")
        assert [path.name for path in written.parent.iterdir() if path.name.startswith(".")] == []
        write(written, images, read, (rows for _, rows in images.blocks(read)), "float16")
    assert read_rows(written).dtype == np.float16


def test_without_pyarrow_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'striate\[parquet\]'"):
        feature_file.check_suffix(tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match=r"received 'x\.csv'"):
        feature_file.check_suffix(tmp_path / "x.csv")


def test_parquet_has_the_same_rows(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    images, path = opened(photos), tmp_path / "features.parquet"
    with place_features.place_features(classifier, "stage2") as read:
        write(path, images, read, (rows for _, rows in images.blocks(read)))
    np.testing.assert_array_equal(read_rows(path), computed(classifier, photos, "stage2"))
    table = parquet.read_table(path)
    assert table.column_names == ["image", "class", "features"]
    assert table["class"].to_pylist() == ["a"] * 5 + ["b"] * 5


def by_hand(rows: np.ndarray, query: int, count: int) -> list[int]:
    """The most similar rows by one cosine after another."""
    rows = rows.astype(np.float64)
    cosines = [
        float(rows[query] @ row) / float(np.sqrt(rows[query] @ rows[query]) * np.sqrt(row @ row)) for row in rows
    ]
    return sorted(range(len(rows)), key=lambda number: -cosines[number])[:count]


def test_the_search_is_exact_in_data_and_in_a_file(
    classifier: Classifier, photos: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "_ROWS", 3)
    rows = computed(classifier, photos, "stage2")
    expected = [by_hand(rows, query, 4) for query in (1, 7)]
    stored = gallery_of(read_features(written))
    with place_features.place_features(classifier, "stage2") as read:
        for images in (opened(photos), stored):
            index, similarity = search(images, read, rows[[1, 7]], 4)
            assert index.tolist() == expected
            np.testing.assert_allclose(similarity[:, 0], 1, atol=1e-6)
        assert stored.dataset.label(7) == "b"
    with (
        place_features.place_features(classifier, "stage1") as read,
        pytest.raises(ConfigError, match="another network"),
    ):
        search(stored, read, rows[:1, :16], 1)


def test_the_approximate_search_finds_the_same_and_its_index_is_built_once(
    classifier: Classifier, photos: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = computed(classifier, photos, "stage2")
    with place_features.place_features(classifier, "stage2") as read:
        for images in (opened(photos), gallery_of(read_features(written))):
            exact = search(images, read, rows[:3], COUNT)
            found = search(images, read, rows[:3], COUNT, approximate=True)
            assert found[0][:, 0].tolist() == exact[0][:, 0].tolist() == [0, 1, 2]
            assert np.sort(found[0]).tolist() == [list(range(COUNT))] * 3
            np.testing.assert_allclose(found[1], exact[1], atol=2e-3)  # in half precision
            with monkeypatch.context() as patched:
                patched.setattr(gallery, "_built", None)
                again = search(images, read, rows[:3], COUNT, approximate=True)
            assert again[0].tolist() == found[0].tolist()


def test_without_usearch_a_sentence_says_what_to_install(
    classifier: Classifier, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with (
        place_features.place_features(classifier) as read,
        pytest.raises(ConfigError, match=r"pip install 'striate\[approximate\]'"),
    ):
        search(opened(photos), read, np.ones((1, 64), np.float32), 1, approximate=True)
