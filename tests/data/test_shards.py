"""Tar shards: read at random by an index that agrees with tarfile; a damaged or hostile one is a sentence."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from webdataset.compat import WebDataset

from striate.core.errors import DataError
from striate.data.dataset import EncodedStore
from striate.data.images.decode import Unreadable
from striate.data.sources import shards
from striate.data.sources.opening import open_data
from striate.data.sources.tar import open_archive
from striate.verbs._images import named

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def image(number: int) -> bytes:
    stored = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def write(path: Path, files: Sequence[tuple[str, bytes]], form: int = tarfile.GNU_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def samples(count: int, *, first: int = 0) -> list[tuple[str, bytes]]:
    """Return `count` images of two classes; the brightness of each is its number."""
    numbers = range(first, first + count)
    return [each for n in numbers for each in ((f"{n:05d}.png", image(n)), (f"{n:05d}.cls", b"%d" % (n % 2)))]


@pytest.mark.parametrize("form", FORMATS)
def test_the_index_is_that_of_tarfile(form: str, tmp_path: Path) -> None:
    """Also for long names, which each format stores in its own way, and names that are not ASCII."""
    names = ["a.png", "deep/" * 19 + "b.png", "é.png", *([] if form == "ustar" else ["long" * 60 + ".png"])]
    path = write(tmp_path / "x.tar", [(name, os.urandom(700 * at)) for at, name in enumerate(names)], FORMATS[form])
    found = open_archive(path)
    with tarfile.open(path) as judge:
        members = [member for member in judge if member.isfile()]
        assert list(found.names) == [member.name for member in members]
        assert found.offsets.tolist() == [member.offset_data for member in members]
        for number, member in enumerate(members):
            content = judge.extractfile(member)
            assert content is not None
            assert found.read(number) == content.read()


def test_the_index_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x-0.tar", samples(3))
    before = open_archive(path)
    monkeypatch.setattr("striate.data.sources.tar._read", None)
    again = open_archive(path)
    assert (again.names, again.signature) == (before.names, before.signature)
    assert np.array_equal(again.digests, before.digests)
    os.utime(path, (1, 1))
    with pytest.raises(TypeError):  # it is read again
        open_archive(path)


@pytest.mark.parametrize("source", ["folder", "pattern"])
def test_a_folder_and_a_pattern_of_shards_are_data(source: str, tmp_path: Path) -> None:
    for number, split in enumerate(["train", "train", "val"]):
        write(tmp_path / "set" / f"{split}-{number:06d}.tar", samples(4, first=4 * number))
    given = tmp_path / "set"
    found = open_data(given if source == "folder" else f"{given}/train-{{000000..000001}}.tar")
    assert found.classes == ("0", "1")
    count = 12 if source == "folder" else 8
    assert [int(found.store.read(index).pixels[0, 0, 0]) for index in range(len(found))] == list(range(count))
    assert found.targets.tolist() == [number % 2 for number in range(count)]
    assert found.splits["train"].tolist() == list(range(8))
    assert found.store.name(5) == "train-000001.tar/00005.png"


def test_labels_are_texts_numbers_or_json(tmp_path: Path) -> None:
    labels = {"a.cls": b"10\n", "b.txt": b"cat", "c.json": b'{"label": "dog"}', "d.json": b"3", "e.JSON": b'"cat"'}
    files = [each for name, text in labels.items() for each in ((f"{name[0]}.png", image(1)), (name, text))]
    found = open_data(write(tmp_path / "x-0.tar", files))
    assert [found.label(index) for index in range(5)] == ["10", "cat", "dog", "3", "cat"]
    assert found.classes == ("3", "10", "cat", "dog")


def test_lists_of_labels_are_label_sets(tmp_path: Path) -> None:
    texts = [json.dumps({"labels": each}).encode() for each in (["cat", "dog"], [], ["cat"])]
    files = [each for at, text in enumerate(texts) for each in ((f"{at}.png", image(1)), (f"{at}.json", text))]
    found = open_data(write(tmp_path / "x-0.tar", files))
    assert found.has_label_sets
    assert found.targets.tolist() == [[True, True], [False, False], [True, False]]


def test_predict_takes_shards_without_labels(tmp_path: Path) -> None:
    write(tmp_path / "x-0.tar", [("1.png", image(1)), ("2.png", image(2))])
    assert [name for name, _ in named((tmp_path,))] == ["x-0.tar/1.png", "x-0.tar/2.png"]
    assert dict(named((f"{tmp_path}/x-{{0,0}}.tar",)))["x-0.tar/2.png"] == image(2)


def test_a_digest_follows_the_bytes(tmp_path: Path) -> None:
    first, other = (open_data(write(tmp_path / name / "x-0.tar", samples(2))).store for name in ("one", "two"))
    assert isinstance(first, EncodedStore)
    assert isinstance(other, EncodedStore)
    assert [first.digest(0), first.digest(1)] == [other.digest(0), other.digest(1)]
    assert first.digest(0) != first.digest(1)


def test_an_archive_that_changed_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x-0.tar", samples(2))
    store = open_data(path).store
    write(path, samples(5))
    with pytest.raises(Unreadable, match="changed since it was opened"):
        store.read(0)
    path.unlink()
    with pytest.raises(Unreadable, match="missing"):
        store.read(0)


def test_files_whose_keys_have_dots_are_noted(tmp_path: Path) -> None:
    """Under a key as WebDataset reads it: `holiday` has neither an image nor a class, and 00000 has both."""
    files = [("holiday.2024.6.png", image(9)), ("holiday.2024.6.cls", b"0"), ("00000.mask.PNG", image(9))]
    found = open_data(write(tmp_path / "x-0.tar", [*samples(2), *files, ("00001.notes.md", b"")]))
    assert len(found) == 2
    assert found.notes == (
        "3 × a file not used: x-0.tar/holiday.2024.6.png, x-0.tar/holiday.2024.6.cls, x-0.tar/00000.mask.PNG. A key "
        "ends at the first dot: write keys without dots.",
    )


def test_links_and_paths_out_of_the_archive_are_never_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "x-0.tar", [*samples(2), ("../../out.png", image(9)), ("../../out.cls", b"0")])
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("00009.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    found = open_data(path)
    assert found.notes == ("1 × a link in a shard, which is not followed.",)
    assert found.store.name(2) == "x-0.tar/../../out.png"
    assert int(found.store.read(2).pixels[0, 0, 0]) == 9


def _sized(data: bytes, size: bytes) -> bytes:
    """A first header with another size, and its checksum."""
    header = bytearray(data[:512])
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off in an image": (lambda data: data[:600], "is cut off within 00000.png"),
    "cut off in a header": (lambda data: data[:1100], "is cut off within a header"),
    "cut off between": (lambda data: data[:1024], "lacks the zeros at its end"),
    "damaged": (lambda data: data[:1030] + b"?" + data[1031:], "is damaged: a header has another checksum"),
    "no archive": (lambda data: b"?" * 2000, "is no tar archive"),
    "empty": (lambda data: b"", "lacks the zeros at its end"),
    "compressed": (gzip.compress, "is compressed by gzip"),
    "huge": (lambda data: _sized(data, b"77777777777\0"), "larger than the archive"),
    "huger": (lambda data: _sized(data, b"\x80" + b"\xff" * 11), "larger than the archive"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_a_sentence(kind: str, tmp_path: Path) -> None:
    spoil, sentence = HOSTILE[kind]
    path = write(tmp_path / "x-0.tar", samples(2))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=sentence) as error:
        open_data(path)
    assert str(path) in str(error.value)


REFUSED: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "no label": ([*samples(2), ("9.png", image(1))], "1 of the 3 images .* have no label, such as x-0.tar/9.png"),
    "no image": ([("1.cls", b"0")], "holds no image"),
    "dots in keys": ([("1.2.png", image(1)), ("1.2.cls", b"0")], r"holds no image\. .* key\.jpg, whose key has no dot"),
    "two images": ([*samples(2), ("00000.jpg", b"")], "several images of the key '00000'"),
    "no text": ([("1.png", image(1)), ("1.cls", b"\xff\xfe\xfd")], "1.cls is not text in UTF-8"),
    "no JSON": ([("1.png", image(1)), ("1.json", b"[" * 100_000)], "1.json is not text in UTF-8 and JSON"),
    "no class": ([("1.png", image(1)), ("1.json", b"{}")], "1.json holds no class"),
    "no class at all": ([("1.png", image(1)), ("1.json", b'{"labels": []}')], "names no class: none of its 1 images"),
    "a huge label": ([("1.png", image(1)), ("1.txt", b"a" * (1 << 20) + b"a")], "a class has at most 1,048,576"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_samples_that_cannot_be_used_are_a_sentence(kind: str, tmp_path: Path) -> None:
    files, sentence = REFUSED[kind]
    with pytest.raises(DataError, match=sentence):
        open_data(write(tmp_path / "x-0.tar", files))


def test_an_image_that_is_too_large_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_data(write(tmp_path / "x-0.tar", samples(2))).store
    monkeypatch.setattr(shards, "_LARGEST_IMAGE", 10)
    with pytest.raises(Unreadable, match="too much work"):
        store.read(0)


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("x-{0..3}.tar", "3 of the 4 shards of .* do not exist: x-1.tar"),
        ("x-{3..0}.tar", "is empty or has more"),
        ("x-{0..99999999}.tar", "is empty or has more"),
        ("{0..999}{0..999}.tar", "at most 100,000"),
    ],
)
def test_a_pattern_that_does_not_fit_is_a_sentence(pattern: str, sentence: str, tmp_path: Path) -> None:
    write(tmp_path / "x-0.tar", samples(2))
    with pytest.raises(DataError, match=sentence):
        open_data(tmp_path / pattern)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_same_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "x-0.tar", samples(3))
    found = open_data(path)
    theirs = [(sample["__key__"], sample["cls"], sample["png"]) for sample in WebDataset(str(path), shardshuffle=False)]
    ours = [
        (found.store.name(index).partition("/")[2].removesuffix(".png"), found.label(index).encode(), image(index))
        for index in range(len(found))
    ]
    assert ours == theirs
