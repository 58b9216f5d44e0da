"""The index of images: what it records of each image, and that its cache is never wrong."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.core.spec import InputSpec
from striate.data import dataset
from striate.data.audit.digests import array_digest, content_digest, content_digests
from striate.data.audit.index import ImageIndex, data_digest, index_images
from striate.data.dataset import ArrayStore, Dataset, FileStore, numbered
from striate.data.images.codecs import refusal
from striate.data.images.decode import decode
from striate.data.images.decoded import DecodedImage
from striate.data.sources.opening import open_data


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("STRIATE_CACHE", str(folder))
    return folder


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 12, 9, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, pixels: np.ndarray) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def _files(folder: Path) -> Dataset:
    names = sorted(path.name for path in folder.iterdir())
    return Dataset("files", FileStore(folder, names), ("a", "b"), np.arange(len(names), dtype=np.int64) % 2)


def _array(pixels: np.ndarray) -> Dataset:
    count = len(pixels)
    return Dataset("array", ArrayStore(pixels, numbered("row", count)), ("a", "b"), np.arange(count) % 2)


def _same(one: ImageIndex, other: ImageIndex) -> bool:
    return all((getattr(one, name) == getattr(other, name)).all() for name in vars(one) if name in _COLUMNS)


_COLUMNS = ImageIndex.__dataclass_fields__


class _Forbidden(FileStore):
    def read(self, index: int, spec: InputSpec | None = None) -> DecodedImage:
        raise AssertionError(f"picture {index} was decoded again")


def _without_decoding(dataset: Dataset) -> ImageIndex:
    assert isinstance(dataset.store, FileStore)
    store = _Forbidden(dataset.store.root, dataset.store.names)
    return index_images(Dataset(dataset.name, store, dataset.classes, dataset.targets))


def test_rows_say_what_the_images_are(folder: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels[0]).save(folder / "turned.jpg", exif=_turned(6))
    Image.fromarray(pixels[0][..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "note.png").write_bytes(b"not an image at all")
    dataset = _files(folder)
    found = index_images(dataset)
    row = {name: index for index, name in enumerate(dataset.store.names)}
    assert found.reasons[[row["empty.png"], row["note.png"]]].tolist() == ["empty", "not an image"]
    assert found.readable.sum() == 8
    assert (found.heights[row["turned.jpg"]], found.widths[row["turned.jpg"]]) == (9, 12)  # upright
    assert found.orientations[row["turned.jpg"]] == 6
    assert (found.maxima[row["deep.png"]], found.channels[row["deep.png"]]) == (65535, "grey")
    assert (found.maxima[row["0.png"]], found.channels[row["0.png"]]) == (255, "red,green,blue")
    assert found.duplicate_of.tolist() == found.near_duplicate_of.tolist() == list(range(10))


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_digest_is_of_a_line_with_the_format_and_the_pixels(pixels: np.ndarray) -> None:
    expected = hashlib.sha256("12×9×3 uint8 red,green,blue\n".encode() + pixels[2].tobytes()).digest()
    assert content_digest(pixels[2], ("red", "green", "blue")) == expected
    assert content_digests(pixels, ("red", "green", "blue"))[2].tobytes() == expected
    deep = np.arange(6, dtype=np.uint16).reshape(1, 2, 3)
    expected = hashlib.sha256("1×2×3 uint16 grey\n".encode() + bytes([0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0])).digest()
    assert content_digest(deep, ("grey",)) == expected
    assert (content_digests(deep.astype(">u2")[None], ("grey",)) == content_digests(deep[None], ("grey",))).all()
    assert array_digest(pixels[:, ::2], ("red", "green", "blue")) == array_digest(
        pixels[:, ::2].copy(), ("red", "green", "blue")
    )


def test_files_and_arrays_of_the_same_images_have_the_same_digests(folder: Path, pixels: np.ndarray) -> None:
    files, array = index_images(_files(folder)), index_images(_array(pixels))
    assert (files.digests == array.digests).all()
    assert data_digest(_files(folder), files) == data_digest(_array(pixels), array)


def test_data_digest_follows_pixels_labels_classes_and_parts_but_not_names(pixels: np.ndarray) -> None:
    dataset = _array(pixels)
    other = pixels.copy()
    other[3, 4, 5, 1] ^= 1
    store, targets, classes = dataset.store, dataset.targets, dataset.classes
    variants = [
        dataset,
        _array(other),
        Dataset("array", store, classes, targets[::-1].copy()),
        Dataset("array", store, ("a", "c"), targets),
        Dataset("array", store, classes, targets, {"test": np.arange(2)}),
        Dataset("array", store, classes, targets, {"val": np.arange(2)}),
    ]
    digests = [data_digest(one, index_images(one)) for one in variants]
    assert len(set(digests)) == len(variants)
    renamed = Dataset("other", ArrayStore(pixels, list("uvwxyz")), classes, targets)
    assert data_digest(renamed, index_images(renamed)) == digests[0]


def test_second_time_nothing_is_decoded_whatever_the_files_are_called(folder: Path) -> None:
    first = index_images(_files(folder))
    assert _same(_without_decoding(_files(folder)), first)
    folder = folder.rename(folder.with_name("moved"))
    (folder / "5.png").rename(folder / "6.png")
    assert _same(_without_decoding(_files(folder)), first)


def test_a_changed_file_is_decoded_again(folder: Path) -> None:
    index_images(_files(folder))
    before = os.stat(folder / "0.png")
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:-1] + b"\0")
    os.utime(folder / "0.png", ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time
    with pytest.raises(AssertionError, match="decoded again"):
        _without_decoding(_files(folder))


@pytest.mark.parametrize("why", ["little is free", "it cannot be allocated"])
def test_an_image_for_which_the_memory_did_not_suffice_is_read_next_time(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (4000, 3000)).save(tmp_path / "photos" / "0.png", compress_level=1)

    def failing(*_: object) -> int:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(refusal, "available_memory", (lambda: 1 << 20) if why == "little is free" else failing)
        assert index_images(_files(tmp_path / "photos")).reasons.tolist() == ["too little memory"]
    assert index_images(_files(tmp_path / "photos")).readable.all()
    assert _without_decoding(_files(tmp_path / "photos")).readable.all()


@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage", "empty", "other"])
def test_a_damaged_cache_is_made_again(damage: str, folder: Path, cache: Path) -> None:
    first = index_images(_files(folder))
    (kept,) = (cache / "indexes").iterdir()
    content = bytearray(kept.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    changed = {"cut": content[: len(content) // 2], "flipped": content, "garbage": b"PK\x03\x04 nonsense", "empty": b""}
    if damage == "other":
        np.savez(cache / "other.npz", reasons=np.array(["", ""]))
        changed["other"] = (cache / "other.npz").read_bytes()
    kept.write_bytes(changed[damage])
    assert _same(index_images(_files(folder)), first)
    assert _same(_without_decoding(_files(folder)), first)  # and kept again


def test_without_a_place_for_the_cache_it_goes_without(folder: Path, cache: Path) -> None:
    cache.write_text("a file where a folder should be")
    assert index_images(_files(folder)).readable.all()


def test_two_processes_at_once(folder: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from striate.data.audit.index import index_images;"
        "from striate.data.dataset import Dataset, FileStore; root = Path(sys.argv[1]);"
        "names = sorted(path.name for path in root.iterdir());"
        "data = Dataset('x', FileStore(root, names), ('a',), np.zeros(len(names), np.int64));"
        "print(index_images(data).digests.tobytes().hex())"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = [run.communicate(timeout=120)[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert answers == [index_images(_files(folder)).digests.tobytes().hex()] * 2


def test_progress_counts_up_to_all(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    index_images(_files(folder), progress=lambda _, done, total: told.append((done, total)))
    assert told[-1] == (6, 6)


def test_an_empty_data_set_has_an_empty_index(tmp_path: Path) -> None:
    dataset = Dataset("none", FileStore(tmp_path, []), ("a",), np.zeros(0, np.int64))
    assert len(index_images(dataset)) == 0


def test_a_long_list_is_indexed_in_pieces_with_progress(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    names = ["1.png", *["0.png"] * 3000]
    told: list[tuple[int, int]] = []
    dataset = Dataset("empty", FileStore(tmp_path, names), ("a",), np.zeros(3001, np.int64))
    found = index_images(
        dataset, progress=lambda stage, done, total: told.append((done, total)) if "look" in stage else None
    )
    assert found.reasons.tolist() == ["missing", *["empty"] * 3000]
    assert len(told) > 25
    assert told[-1] == (3001, 3001)


@pytest.mark.parametrize("copies", [1, 20], ids=["each file", "listing"])
def test_only_files_that_no_file_system_would_find_are_missing(copies: int, tmp_path: Path) -> None:
    """A listing does not show other names of a file: those in another case, in another Unicode form, or IMAGE~1.JPG."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "void.png").symlink_to("nothing.png")
    (folder / "é.png").touch()
    absent = ["1.png", "2.png", "no/1.png", "no/e\u0301~1", "../folder/3.png", f"{tmp_path}/4.png", "void.png/5.png"]
    there = ["void.png", "é.png", "", ".", "..", "../folder/void.png", f"{folder}/é.png"]
    unknown = ["VOID.png", "void.png ", "IMAGE~1.PNG", "e\u0301.png", "x" * 300, "nul\0.png"]
    names = [*absent, *there, *unknown] * copies
    found = FileStore(folder, names).missing().tolist()
    for name, missing in zip(names, found, strict=True):
        assert missing == (name in absent) or (copies == 1 and name in unknown), name


@pytest.mark.parametrize("name", ["a.png/x.png", "x" * 300 + ".png", "self.png", "zero.png", "nul\0.png"])
def test_a_file_that_cannot_be_opened_is_one_named_image(name: str, folder: Path) -> None:
    (folder / "a.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "self.png").symlink_to("self.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    found = index_images(Dataset("odd", FileStore(folder, ["0.png", name]), ("a",), np.zeros(2, np.int64)))
    assert found.readable.tolist() == [True, False]


def test_files_that_do_not_exist_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list may have a million of them. What is there and cannot be read still says why."""
    Image.new("L", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / "void.png").symlink_to(tmp_path / "nothing")
    long = f"{'x' * 300}.png"
    names = ["0.png", "1.png", "folder/2.png", "0.png/x.png", "void.png", long]
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{name},{name[0]}\n" for name in names))
    opened: list[str] = []
    monkeypatch.setattr(dataset, "decode", lambda path, spec: opened.append(path.name) or decode(path, spec))
    index = index_images(open_data(tmp_path / "list.csv"))
    assert index.reasons.tolist() == ["", *["missing"] * 4, "not readable"]
    assert sorted(opened) == sorted(["0.png", "void.png", long])
