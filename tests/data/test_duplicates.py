"""Near duplicates: planted copies are found, nothing else is, and groups are stars."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from striate.data.audit.align import aligned_similarity
from striate.data.audit.duplicates import Appearances, hashes, stars, thumbnail
from striate.data.audit.index import ImageIndex, index_images
from striate.data.dataset import ArrayStore, Dataset, FileStore, numbered
from striate.data.synthetic.shapes import ShapesOptions, make


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def _copies(picture: Image.Image) -> Iterator[Image.Image]:
    """Resized, saved again at a low quality, and cropped by 3 % all around, at two sides, and at the two others."""
    width, height = picture.size
    factor = 0.5 if min(width, height) >= 128 else 1.5
    yield picture.resize((round(width * factor), round(height * factor)), Image.Resampling.BICUBIC)
    saved = io.BytesIO()
    picture.save(saved, "JPEG", quality=40)
    yield Image.open(saved).convert("RGB")
    right, down = round(0.03 * width), round(0.03 * height)
    yield picture.crop((right, down, width - right, height - down))
    yield picture.crop((0, 0, width - right, height - down))
    yield picture.crop((right, down, width, height))


def _planted(folder: Path, originals: list[Image.Image]) -> tuple[ImageIndex, np.ndarray]:
    """The index of a folder with the originals and their copies, and which original each image comes from."""
    names, source = [], []
    for number, picture in enumerate(originals):
        for copy, version in enumerate([picture, *_copies(picture)]):
            names.append(f"{copy}/{number}.png")
            (folder / str(copy)).mkdir(exist_ok=True)
            version.save(folder / names[-1], compress_level=1)
            source.append(number)
    dataset = Dataset("planted", FileStore(folder, names), ("all",), np.zeros(len(names), np.int64))
    return index_images(dataset), np.array(source)


def _precision_and_recall(alike: np.ndarray, source: np.ndarray) -> tuple[float, float]:
    """Over pairs of images: how many of those put together belong together, and the other way round."""
    found = np.triu(alike[:, None] == alike[None], 1)
    true = np.triu(source[:, None] == source[None], 1)
    return (found & true).sum() / found.sum(), (found & true).sum() / true.sum()


def test_planted_copies_of_photos(
    real_data: Callable[[str], Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    photos = [ImageOps.exif_transpose(Image.open(path)).convert("RGB") for path in _some(real_data("photos-dog-cat"))]
    for photo in photos:
        photo.thumbnail((320, 320))  # they are compared at 48×48
    photos = [photo for photo in photos if 0.9 * min(photo.size) >= 64]
    found, source = _planted(tmp_path, photos)
    precision, recall = _precision_and_recall(found.near_duplicate_of, source)
    record_property("precision", float(precision))
    record_property("recall", float(recall))
    assert len(source) > 6 * 40
    assert precision == 1.0
    assert recall >= 0.99  # 1.0 when this was written


def _some(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.jpg"))[::8]


def test_planted_copies_of_made_images(tmp_path: Path) -> None:
    pixels = make(np.arange(60), ShapesOptions(seed=8)).pixels
    found, source = _planted(tmp_path, [Image.fromarray(picture).resize((80, 80)) for picture in pixels])
    precision, recall = _precision_and_recall(found.near_duplicate_of, source)
    assert precision == 1.0
    assert recall >= 0.99


def _index_of(pictures: np.ndarray) -> ImageIndex:
    count = len(pictures)
    return index_images(
        Dataset("array", ArrayStore(pictures, numbered("picture", count)), ("all",), np.zeros(count, np.int64))
    )


def _scenery(size: int, seed: int = 0) -> np.ndarray:
    """A wide image with something to see everywhere, grey, 0 to 255."""
    rough = np.random.default_rng(seed).integers(0, 256, (size // 16, size // 8), np.uint8)
    return np.asarray(Image.fromarray(rough).resize((size * 2, size), Image.Resampling.BICUBIC))


def test_groups_are_stars_and_not_chains() -> None:
    wide = _scenery(128)
    panned = np.stack([wide[:, shift : shift + 128] for shift in range(0, 128, 2)])[..., None]  # 64 steps of 1.6 %
    found = _index_of(panned)
    thumbnails = np.stack([thumbnail(picture) for picture in panned])
    sizes = np.bincount(found.near_duplicate_of)
    assert 1 < sizes.max() < 10  # a chain would join all 64
    for index, first in enumerate(found.near_duplicate_of.tolist()):
        assert found.near_duplicate_of[first] == first
        assert index == first or aligned_similarity(thumbnails[first], thumbnails[[index]])[0] >= 0.95


def test_groups_follow_content_and_not_order() -> None:
    wide = _scenery(128)
    panned = np.stack([wide[:, shift : shift + 128] for shift in range(0, 128, 2)])[..., None]
    order = np.random.default_rng(1).permutation(len(panned))
    straight, mixed = _index_of(panned), _index_of(panned[order])
    assert (order[mixed.near_duplicate_of] == straight.near_duplicate_of[order]).all()


def test_comparing_many_images_says_how_far_it_is() -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (300, 64, 64, 1), np.uint8)
    dataset = Dataset("array", ArrayStore(pictures, numbered("picture", 300)), ("all",), np.zeros(300, np.int64))
    told: list[tuple[str, int, int]] = []
    index_images(dataset, progress=lambda *report: told.append(report))
    assert told[0] == ("looking through the images", 300, 300)
    # Twice 300 images, reported every 256.
    assert told[1:] == [("comparing images", done, 600) for done in (0, 256, 300, 556)]


def test_small_images_are_duplicates_only_when_equal() -> None:
    picture = np.asarray(Image.fromarray(_scenery(64)[:, :64]).resize((63, 63)))
    nearly = picture.copy()
    nearly[5, 5] ^= 1
    assert _index_of(np.stack([picture, nearly, picture])[..., None]).near_duplicate_of.tolist() == [0, 1, 0]
    larger = [np.pad(one, ((0, 1), (0, 1)), mode="edge") for one in (picture, nearly, picture)]
    groups = _index_of(np.stack(larger)[..., None]).near_duplicate_of
    assert len(set(groups.tolist())) == 1


def test_a_small_thing_makes_a_difference() -> None:
    ground = _scenery(128)[:, :128]
    other = ground.copy()
    other[40:70, 40:70] = 255 - other[40:70, 40:70]
    assert _index_of(np.stack([ground, other])[..., None]).near_duplicate_of.tolist() == [0, 1]


def test_hash_is_that_of_the_obvious_loop() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    for picture, code in zip(thumbnails, hashes(thumbnails), strict=True):
        mean = [[picture[6 * r : 6 * r + 6, 6 * c : 6 * c + 6].mean() for c in range(8)] for r in range(8)]
        right = [mean[r][c + 1] - mean[r][c] > 1 for r in range(8) for c in range(7)]
        down = [mean[r + 1][c] - mean[r][c] > 1 for r in range(7) for c in range(8)]
        bits = np.unpackbits(code.view(np.uint8))
        assert bits[:112].tolist() == [*map(int, right), *map(int, down)]
        assert not bits[112:].any()


def test_aligned_similarity_finds_shift_and_scale_of_each_axis() -> None:
    large = Image.fromarray(_scenery(480)[:, :480])
    template = np.asarray(large.resize((48, 48), Image.Resampling.BOX))
    moved = np.asarray(large.resize((48, 48), Image.Resampling.BOX, box=(5, 10, 470, 478)))
    darker = (moved * 0.6 + 20).astype(np.uint8)
    correlation, worst = aligned_similarity(template, np.stack([template, moved, darker]))
    assert (correlation > 0.995).all()
    assert (worst < 0.2).all()
    unrelated = np.stack([np.asarray(Image.fromarray(_scenery(48, seed)[:, :48])) for seed in (5, 6)])
    assert (aligned_similarity(template, unrelated)[0] < 0.8).all()


def test_images_without_structure_are_compared_by_brightness() -> None:
    flat = np.stack([np.full((48, 48), level, np.uint8) for level in (100, 101, 200)])
    correlation, worst = aligned_similarity(flat[0], flat)
    assert correlation.tolist() == [1, 1, 0]
    assert worst.tolist() == [0, 0, 2]
    codes = np.arange(3)
    colourless = Appearances(flat, np.zeros((3, 8, 8, 2), np.int8))
    assert stars(colourless, np.ones(3), codes).tolist() == [0, 0, 2]


def test_thumbnails_bring_every_depth_to_8_bits() -> None:
    grey = _scenery(96)[:, :96]
    plain = thumbnail(grey[..., None])
    deep = (grey.astype(np.uint16) * 257)[..., None]
    assert np.abs(thumbnail(deep).astype(int) - plain).max() <= 1
    light = (grey / 255).astype(np.float32)[..., None]
    assert np.abs(thumbnail(light).astype(int) - plain).max() <= 1
    assert np.abs(thumbnail(np.stack([grey] * 3, axis=2)).astype(int) - plain).max() <= 1
