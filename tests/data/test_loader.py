"""Batches are bit-identical for any number of threads, lead back to their images, and leave no thread running."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from striate.core.batch import Batch
from striate.core.errors import ConfigError, DataError
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.augmentation.augmentations import Contrast, Cutout, Flip, Rotation, Shift
from striate.data.augmentation.mixing import Mixup
from striate.data.dataset import ArrayStore, Dataset, FileStore, numbered
from striate.data.images.decoded import DecodedImage
from striate.data.loading.cache import CachedImages, load_cached
from striate.data.loading.loader import Loader, Randomization
from striate.data.loading.resident import copied
from striate.data.preparation.arrays import prepare, scale

COUNT = 53
SPEC = InputSpec(channels=RGB, height=16, width=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
AUGMENTATIONS = (Flip(), Shift(fraction=0.1), Rotation(degrees=10.0), Contrast(fraction=0.3), Cutout(fraction=0.2))
ALL = np.arange(COUNT)
CHANGED = Randomization(seed=5, augmentations=AUGMENTATIONS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """JPEGs and PNGs of many sizes, grey ones among them."""
    root, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    names = [f"{number}.{'png' if number % 3 else 'jpg'}" for number in range(COUNT)]
    for number, name in enumerate(names):
        small = draw.integers(0, 255, (4, 5, 3), np.uint8, endpoint=True)
        image = Image.fromarray(small).resize((40 + number, 90 - number))
        (image.convert("L") if number % 7 == 0 else image).save(root / name)
    targets = np.arange(COUNT, dtype=np.int64) % 3
    return Dataset("photos", FileStore(root, names), ("a", "b", "c"), targets)


class Watched:
    """A store that counts what is read, and returns an image of another kind at `other_kind`."""

    def __init__(self, store: FileStore, other_kind: int = -1) -> None:
        self.inner, self.other_kind, self.reads = store, other_kind, 0

    def __len__(self) -> int:
        return len(self.inner)

    @property
    def names(self):
        return self.inner.names

    def name(self, index: int) -> str:
        return self.inner.name(index)

    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        self.reads += 1
        if index == self.other_kind:
            return DecodedImage(np.zeros((9, 9, 2), np.uint8), ("x", "y"), (9, 9))
        return self.inner.read(index, spec)


def watched(photos: Dataset, other_kind: int = -1) -> tuple[Dataset, Watched]:
    assert isinstance(photos.store, FileStore)
    store = Watched(photos.store, other_kind)
    return Dataset("photos", store, photos.classes, photos.targets), store


def bits(batches: list[Batch]) -> list[tuple[bytes, bytes, bytes]]:
    return [(b.images.numpy().tobytes(), b.targets.numpy().tobytes(), b.index.numpy().tobytes()) for b in batches]


def working_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("striate-worker")]


@pytest.mark.parametrize("augmentations", [(), AUGMENTATIONS])
def test_batches_are_the_same_bits_in_memory_and_with_any_number_of_threads(photos, augmentations):
    indices = np.arange(2, COUNT)
    made = []
    for cached in (load_cached(photos, indices, SPEC), None):
        for threads in (0, 1, 4):
            random = Randomization(seed=5, augmentations=augmentations)
            loader = Loader(photos, indices, SPEC, batch_size=8, randomization=random, cached=cached, threads=threads)
            made.append([bits(list(loader.epoch(epoch))) for epoch in (0, 3)])
    assert all(other == made[0] for other in made)
    assert made[0][0] != made[0][1]


@pytest.mark.parametrize("memory", [True, False])
def test_an_epoch_can_be_entered_at_any_batch(photos, memory):
    cached = load_cached(photos, ALL, SPEC) if memory else None
    loader = Loader(photos, ALL, SPEC, batch_size=6, randomization=CHANGED, cached=cached, threads=2)
    whole = bits(list(loader.epoch(4)))
    assert len(whole) == len(loader) == 9
    for start in (0, 1, 5, 8, 9):
        assert bits(list(loader.epoch(4, start=start))) == whole[start:]


@pytest.mark.parametrize("mixed", [(), (Mixup(),)], ids=["alone", "mixed"])
@pytest.mark.parametrize("memory", [True, False])
def test_samples_are_those_of_an_epoch_and_only_what_they_depend_on_is_read(photos, memory, mixed):
    dataset, store = watched(photos)
    cached = load_cached(photos, ALL, SPEC) if memory else None
    random = Randomization(seed=5, augmentations=(*AUGMENTATIONS, *mixed))
    loader = Loader(dataset, ALL, SPEC, batch_size=7, randomization=random, cached=cached, threads=2)
    wanted = np.array([31, 2, 17, 52])
    for epoch in (0, 4):
        batches = list(loader.epoch(epoch))
        store.reads = 0
        found = loader.samples(wanted, epoch)
        assert found.index.tolist() == wanted.tolist()
        images, targets = ({} for _ in range(2))
        for batch in batches:
            images |= dict(zip(batch.index.tolist(), batch.images, strict=True))
            targets |= dict(zip(batch.index.tolist(), batch.targets, strict=True))
        assert all(torch.equal(image, images[index]) for image, index in zip(found.images, wanted, strict=True))
        assert all(torch.equal(target, targets[index]) for target, index in zip(found.targets, wanted, strict=True))
        holding = sum(len(batch.index) for batch in batches if set(batch.index.tolist()) & set(wanted.tolist()))
        assert store.reads == (0 if memory else holding if mixed else len(wanted))


@pytest.mark.parametrize("memory", [True, False])
def test_an_index_leads_back_to_its_image_and_its_target(photos, memory):
    cached = load_cached(photos, ALL, SPEC) if memory else None
    loader = Loader(photos, ALL, SPEC, batch_size=7, randomization=Randomization(), cached=cached, threads=2)
    for batch in loader.epoch(1):
        for image, target, index in zip(batch.images, batch.targets, batch.index, strict=True):
            expected = scale(torch.from_numpy(prepare(photos.store.read(int(index), SPEC), SPEC)[None]), SPEC)[0]
            assert torch.equal(image, expected)
            assert target == photos.targets[index]


@pytest.mark.parametrize("shuffle", [True, False])
def test_each_sample_comes_once_an_epoch(photos, shuffle):
    indices = np.array([50, 3, 17, 4, 9, 22, 31])
    loader = Loader(photos, indices, SPEC, batch_size=3, randomization=Randomization() if shuffle else None)
    epochs = [np.concatenate([batch.index for batch in loader.epoch(epoch)]).tolist() for epoch in range(4)]
    assert all(sorted(order) == sorted(indices.tolist()) for order in epochs)
    assert (epochs[0] == indices.tolist()) == (not shuffle)
    assert len({tuple(order) for order in epochs}) == (4 if shuffle else 1)


def test_seeds_give_other_orders(photos):
    orders = [
        next(
            Loader(photos, ALL, SPEC, batch_size=COUNT, randomization=Randomization(seed=seed)).epoch(0)
        ).index.tolist()
        for seed in range(3)
    ]
    assert len({tuple(order) for order in orders}) == 3


def test_a_prepared_image_does_not_depend_on_the_batch_size(photos):
    def by_index(batch_size: int) -> dict[int, bytes]:
        loader = Loader(photos, ALL, SPEC, batch_size=batch_size, randomization=CHANGED)
        return {
            int(index): image.numpy().tobytes()
            for batch in loader.epoch(2)
            for image, index in zip(batch.images, batch.index, strict=True)
        }

    assert by_index(3) == by_index(16) == by_index(COUNT)


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(12, 5, [5, 5, 2]), (11, 5, [5, 6]), (10, 5, [5, 5]), (1, 5, [1]), (3, 1, [1, 1, 1]), (3, 2, [3])],
)
def test_a_batch_of_one_joins_the_batch_before_it(photos, count, batch_size, sizes):
    loader = Loader(photos, np.arange(count), SPEC, batch_size=batch_size)
    assert [len(batch) for batch in loader.epoch(0)] == sizes
    assert len(loader) == len(sizes)


@pytest.mark.parametrize("end", ["close", "break", "exhaust"])
def test_no_thread_outlives_its_epoch(photos, end):
    loader = Loader(photos, ALL, SPEC, batch_size=4, threads=3)
    batches = loader.epoch(0)
    next(batches)
    assert working_threads()
    if end == "exhaust":
        list(batches)
    if end == "close":
        batches.close()
    del batches
    assert not working_threads()


def test_reading_ahead_is_bounded(photos):
    data, store = watched(photos)
    batches = Loader(data, ALL, SPEC, batch_size=4, threads=2).epoch(0)
    next(batches)
    deadline, before = time.monotonic() + 5, -1
    while before != store.reads and time.monotonic() < deadline:  # until the threads have nothing more to do
        before = store.reads
        time.sleep(0.1)
    batches.close()
    assert 4 <= store.reads <= 4 + 4 * (2 + 2 + 1)  # the batch, and a piece for each thread and two batches ahead
    assert store.reads < COUNT


@pytest.mark.parametrize("threads", [0, 4])
def test_an_image_that_fails_now_stops_with_its_name(photos, threads, tmp_path):
    names = [f"{number}.png" for number in range(20)]
    for name in names:
        Image.new("RGB", (20, 20), "red").save(tmp_path / name)
    data = Dataset("short-lived", FileStore(tmp_path, names), ("a", "b"), np.zeros(20, np.int64))
    loader = Loader(data, np.arange(20), SPEC, batch_size=5, threads=threads)
    (tmp_path / "12.png").write_bytes((tmp_path / "12.png").read_bytes()[:40])
    batches = loader.epoch(0)
    assert [len(next(batches)) for _ in range(2)] == [5, 5]
    with pytest.raises(DataError, match=r"12\.png cannot be read: "):
        next(batches)
    assert not working_threads()


def test_an_image_of_another_kind_is_named(photos):
    data, _ = watched(photos, other_kind=30)
    with pytest.raises(DataError, match=r"^30\.jpg: The model takes .*; the image has x, y"):
        load_cached(data, ALL, SPEC)


@pytest.mark.parametrize(("dtype", "maximum"), [("uint8", 255.0), ("uint16", 65535.0), ("float32", 1.0)])
@pytest.mark.parametrize("channels", [GREY, RGB, tuple(f"channel{number}" for number in range(1, 7))])
def test_arrays_of_every_depth_load_alike_in_memory_and_not(dtype, maximum, channels):
    pixels = (np.random.default_rng(0).random((40, 12, 10, len(channels))) * maximum).astype(dtype)
    data = Dataset("array", ArrayStore(pixels, numbered("train", 40), channels), ("a", "b"), np.arange(40) % 2)
    count = len(channels)
    for size in ((12, 10), (9, 9)):
        spec = InputSpec(
            channels=channels, height=size[0], width=size[1], mean=(0.1,) * count, std=(0.5,) * count, maximum=maximum
        )
        cached = load_cached(data, np.arange(40), spec)
        held = bits(list(Loader(data, np.arange(40), spec, batch_size=7, cached=cached).epoch(0)))
        for threads in (0, 3):
            loader = Loader(data, np.arange(40), spec, batch_size=7, threads=threads)
            assert bits(list(loader.epoch(0))) == held


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"batch_size": 0}, ConfigError, "at least 1 image"),
        ({"threads": -1}, ConfigError, "threads are at least 0"),
        ({"indices": np.empty(0, np.int64)}, DataError, "photos: there are no images"),
    ],
)
def test_data_that_cannot_be_loaded_are_refused_in_one_sentence(photos, changes, error, message):
    with pytest.raises(error, match=message):
        Loader(**({"dataset": photos, "indices": ALL, "spec": SPEC, "batch_size": 4} | changes))


@pytest.mark.parametrize("memory", [True, False], ids=["in memory", "decoded"])
def test_batches_for_a_device_are_there_with_their_targets(photos, memory):
    cached = load_cached(photos, ALL, SPEC) if memory else None
    mixed = Randomization(seed=5, augmentations=(*AUGMENTATIONS, Mixup()))
    for randomization in (None, CHANGED, mixed):
        loader = Loader(photos, ALL, SPEC, batch_size=8, cached=cached, randomization=randomization, threads=0)
        (here, *_), (there, *rest) = loader.epoch(1), loader.on("meta").epoch(1)
        assert {there.images.device.type, there.targets.device.type} == {"meta"}
        assert (there.images.shape, there.targets.shape) == (here.images.shape, here.targets.shape)
        assert torch.equal(there.index, here.index)
        assert len(rest) == len(loader) - 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_images_that_a_device_holds_are_those_in_memory(dtype):
    pixels = (np.random.default_rng(0).random((9, 3, 4, 5)) * 60_000).astype(dtype)
    pixels.flags.writeable = False  # as those mapped from a file
    row = np.array([3, 0, -1, 8, 5, 1])
    held = copied(CachedImages(row, pixels), torch.device("cpu"))
    wanted = np.array([3, 1, 4, 4, 0])
    found = held.take(wanted).numpy()
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels[row[wanted]])
