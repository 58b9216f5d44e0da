"""Images are decoded once, and a cache file is believed only when it is whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.core import files
from striate.core.memory import available_memory
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.dataset import ArrayStore, Dataset, FileStore, numbered
from striate.data.images.decode import decode
from striate.data.images.decoded import DecodedImage
from striate.data.loading import cache as cache_files
from striate.data.loading.cache import load_cached
from striate.data.preparation.arrays import prepare

SPEC = InputSpec(channels=RGB, height=12, width=12, mean=(0.5,) * 3, std=(0.5,) * 3)
COUNT = 20
DIGESTS = np.random.default_rng(1).integers(0, 256, (COUNT, 32), np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "prepared"


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    draw = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(COUNT)]
    for name in names:
        Image.fromarray(draw.integers(0, 256, (30, 20, 3), np.uint8)).save(tmp_path / name)
    return Dataset("photos", FileStore(tmp_path, names), ("a", "b"), np.zeros(COUNT, np.int64))


class _Forbidden(FileStore):
    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        raise AssertionError(f"image {index} was decoded again")


def without_decoding(photos: Dataset) -> Dataset:
    """The same data set, in which decoding again fails."""
    assert isinstance(photos.store, FileStore)
    return replace(photos, store=_Forbidden(photos.store.root, photos.store.names))


def expected(photos: Dataset, index: np.ndarray) -> np.ndarray:
    return np.stack([prepare(photos.store.read(int(one), SPEC), SPEC) for one in index])


def test_rows_are_found_by_their_index(photos, cache):
    held = load_cached(photos, np.array([7, 3, 11, 19]), SPEC)
    assert held is not None
    np.testing.assert_array_equal(held.take(np.array([19, 3])), expected(photos, np.array([19, 3])))
    assert not cache.exists()


def test_with_digests_images_are_decoded_once_and_then_mapped(photos, cache):
    index = np.array([1, 5, 6])
    reported: list[tuple[str, int, int]] = []
    first = load_cached(photos, index, SPEC, digests=DIGESTS, progress=lambda *report: reported.append(report))
    again = load_cached(without_decoding(photos), index, SPEC, digests=DIGESTS)
    assert first is not None
    assert again is not None
    assert reported == [("preparing the images", 3, 3)]
    assert len(list(cache.iterdir())) == 1
    for held in (first, again):
        assert not held.pixels.flags.writeable  # mapped, not copied
        np.testing.assert_array_equal(held.pixels, expected(photos, index))


def test_the_key_is_made_of_what_the_pixels_depend_on(photos, cache, monkeypatch):
    index = np.arange(4)
    load_cached(photos, index, SPEC, digests=DIGESTS)
    load_cached(without_decoding(photos), index, replace(SPEC, mean=(0.1,) * 3, std=(0.9,) * 3), digests=DIGESTS)
    others = DIGESTS.copy()
    others[2, 31] ^= 1
    load_cached(photos, index, replace(SPEC, filter="bicubic"), digests=DIGESTS)
    load_cached(photos, index, replace(SPEC, decode_scale=0.0), digests=DIGESTS)
    load_cached(photos, index, SPEC, digests=others)
    load_cached(photos, np.arange(5), SPEC, digests=DIGESTS)
    monkeypatch.setattr(cache_files, "tensor_program_digest", lambda: "of another program")
    load_cached(photos, index, SPEC, digests=DIGESTS)
    assert len(list(cache.iterdir())) == 6


def test_a_png_with_the_pixels_of_a_jpeg_is_prepared_as_a_png(tmp_path, cache):
    """A large JPEG is decoded at a fraction of its size, a PNG is not: the same content becomes other pixels."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8))
    small.resize((320, 256), Image.Resampling.BICUBIC).save(tmp_path / "0.jpg", quality=95)
    Image.fromarray(decode(tmp_path / "0.jpg").pixels).save(tmp_path / "0.png")
    kinds = [
        Dataset(kind, FileStore(tmp_path, [f"0.{kind}"]), ("a", "b"), np.zeros(1, np.int64)) for kind in ("jpg", "png")
    ]
    held = [load_cached(data, np.arange(1), SPEC, digests=DIGESTS[:1]) for data in kinds]
    for data, one in zip(kinds, held, strict=True):
        assert one is not None
        np.testing.assert_array_equal(one.pixels, expected(data, np.arange(1)))
    assert (expected(kinds[0], np.arange(1)) != expected(kinds[1], np.arange(1))).any()


def test_a_file_that_is_changed_is_decoded_again(photos, cache, tmp_path):
    index = np.arange(4)
    load_cached(photos, index, SPEC, digests=DIGESTS)
    Image.new("RGB", (30, 20), (1, 2, 3)).save(tmp_path / "2.png")
    held = load_cached(photos, index, SPEC, digests=DIGESTS)
    assert held is not None
    assert (held.take(np.array([2])) == np.array([1, 2, 3]).reshape(1, 3, 1, 1)).all()


def test_an_interrupt_stops_the_threads_and_leaves_nothing_in_the_cache(photos, cache):
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_cached(photos, np.arange(4), SPEC, digests=DIGESTS, threads=2, progress=interrupt)
    assert not cache.exists()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("striate-worker")]


def test_a_file_that_is_changed_while_it_is_prepared_is_not_kept(photos, cache, tmp_path):
    def change(stage: str, done: int, total: int) -> None:
        Image.new("RGB", (30, 20), (1, 2, 3)).save(tmp_path / "2.png")

    load_cached(photos, np.arange(4), SPEC, digests=DIGESTS, progress=change)
    assert not cache.exists()


def _flip(content: bytes) -> bytes:
    middle = len(content) * 3 // 4
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        _flip,
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:100],
        lambda content: b"",
        lambda content: b"\0" * len(content),
        lambda content: content.replace(b'"|u1"', b'"|i1"'),
    ],
)
def test_a_damaged_cache_file_is_made_again(photos, cache, damage):
    index = np.arange(6)
    load_cached(photos, index, SPEC, digests=DIGESTS)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    held = load_cached(photos, index, SPEC, digests=DIGESTS)
    assert held is not None
    np.testing.assert_array_equal(held.pixels, expected(photos, index))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("failure", ["disk full", "no folder"])
def test_without_a_place_for_the_cache_images_are_held_all_the_same(photos, cache, monkeypatch, failure):
    def full(file: object, chunk: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failure == "disk full":
        monkeypatch.setattr(files, "write_chunk", full)
    else:
        cache.parent.write_text("a file where the folder should be")
    held = load_cached(photos, np.arange(6), SPEC, digests=DIGESTS)
    assert held is not None
    np.testing.assert_array_equal(held.pixels, expected(photos, np.arange(6)))
    assert failure == "no folder" or list(cache.iterdir()) == []


BUILD = """
import sys, hashlib, numpy as np
import threading
from pathlib import Path
from striate.core.spec import RGB, InputSpec
from striate.data.dataset import Dataset, FileStore
from striate.data.loading.cache import load_cached
from striate.data.images.decoded import DecodedImage
names = [f"{number}.png" for number in range(20)]
data = Dataset("photos", FileStore(Path(sys.argv[1]), names), ("a", "b"), np.zeros(20, np.int64))
spec = InputSpec(channels=RGB, height=12, width=12, mean=(0.5,) * 3, std=(0.5,) * 3)
sys.stdin.readline()
for turn in range(8):
    digests = np.full((20, 32), turn, np.uint8)
    cached = load_cached(data, np.arange(20), spec, digests=digests, threads=1)
    print(hashlib.sha256(cached.pixels.tobytes()).hexdigest())
"""


def test_two_processes_may_build_the_same_file_at_once(photos, cache, tmp_path):
    command = [sys.executable, "-c", BUILD, str(tmp_path)]
    pair = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in pair:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate()[0].split() for process in pair]
    assert all(process.returncode == 0 for process in pair)
    assert len(set(outputs[0] + outputs[1])) == 1
    assert len(outputs[0]) == len(outputs[1]) == len(list(cache.iterdir())) == 8


def test_data_that_do_not_fit_are_not_held(photos, monkeypatch):
    needed = 6 * 3 * 12 * 12
    monkeypatch.setattr(cache_files, "available_memory", lambda: 2 * needed - 2)
    assert load_cached(photos, np.arange(6), SPEC) is None
    monkeypatch.setattr(cache_files, "available_memory", lambda: 2 * needed)
    assert load_cached(photos, np.arange(6), SPEC) is not None


def test_available_memory_is_that_of_the_machine_or_less():
    assert 2**20 < available_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("planar", [True, False])
def test_arrays_that_need_nothing_are_used_as_they_lie(planar):
    pixels = np.zeros((5, 8, 9, 3), np.uint8)
    if planar:  # as CIFAR's files hold them
        pixels = np.zeros((5, 3, 8, 9), np.uint8).transpose(0, 2, 3, 1)
    data = Dataset("array", ArrayStore(pixels, numbered("train", 5)), ("a", "b"), np.zeros(5, np.int64))
    spec = InputSpec(channels=RGB, height=8, width=9, mean=(0.0,) * 3, std=(1.0,) * 3)
    held = load_cached(data, np.array([4]), spec)
    assert held is not None
    assert np.shares_memory(held.pixels, pixels) == planar
    grey = load_cached(data, np.array([4]), replace(spec, channels=GREY, mean=(0.0,), std=(1.0,)))
    assert grey is not None
    assert grey.pixels.shape == (1, 1, 8, 9)


def test_the_folder_forgets_what_was_not_used_for_longest(tmp_path, monkeypatch):
    one = np.arange(10_000, dtype=np.uint8)
    monkeypatch.setattr(cache_files, "_FOLDER_LIMIT", 50_000)  # room for three files of 14,096 bytes
    for number in range(5):
        buffer, array = cache_files.reserve(one.shape, one.dtype)
        array[:] = one
        cache_files.keep(tmp_path / str(number), buffer, array)
        os.utime(tmp_path / str(number), (time.time() - 100 + number, time.time()))
        if number > 0:
            assert cache_files.find(tmp_path / "0", one.shape, one.dtype) is not None  # used, so kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3", "4"]
