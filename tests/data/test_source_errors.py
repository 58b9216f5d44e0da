"""Data that are not in order: each mistake is one sentence that says what was found and what to do."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import ConfigError, DataError, StriateError
from striate.data.images.decode import decode
from striate.data.sources.opening import open_data
from striate.data.sources.tree import Folder, images_in
from striate.verbs._images import expand

Form = Literal["NFC", "NFD"]


def picture(path: Path, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (5, 4), shade).save(path)
    return path


def message(source: Path | str, kind: type[StriateError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        open_data(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cats_and_dogs(root: Path) -> Path:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        picture(root / name)
    return root


# what is meant


def test_a_wrong_name_offers_the_nearest_data_set() -> None:
    assert message("fashon-mnist").endswith("Did you mean 'fashion-mnist'?")


def test_a_wrong_path_offers_the_nearest_neighbour(tmp_path: Path) -> None:
    cats_and_dogs(tmp_path / "photos")
    wrong = tmp_path / "photo" / "cat"
    assert message(wrong) == f"There is nothing at {wrong}, and no data set of that name. Did you mean 'photos'?"


def test_an_unknown_option_of_a_named_data_set_names_the_nearest() -> None:
    assert "Did you mean 'count'?" in message("shapes:cout=20", ConfigError)


def test_a_file_of_another_kind_lists_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(b"PK")
    assert "Supported kinds: " in message(tmp_path / "photos.zip")


def test_a_named_data_set_goes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cats_and_dogs(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert len(open_data("digits")) == 1797
    assert open_data("digits").cautions == (
        "digits is the named data set; the folder of that name in this place is written ./digits",
    )
    for folder in ("./digits", Path("digits"), str(tmp_path / "digits")):
        assert len(open_data(folder)) == 3
        assert not open_data(folder).cautions


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("https://example.org/cats.zip", "Download it first, then name the file: cats.zip"),
        ("HTTP://example.org/", "Download it first"),
        ("s3://bucket/photos/", "Download it first, then name the file: photos"),
        (Path("https://example.org/cat.jpg"), "Download it first, then name the file: cat.jpg"),
        ("file:///photos", "Write the path without file://"),
    ],
)
def test_a_url_is_refused_with_the_remedy(given: str | Path, remedy: str) -> None:
    assert "is a URL, and Striate opens files on this machine" in message(given)
    assert remedy in message(given)
    with pytest.raises(DataError, match="is a URL"):
        list(expand([given]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("~nosuchuser", "there is no user of that name. A folder that is called so is written ./~nosuchuser"),
        ("~nosuchuser/photos", "there is no user of that name"),
        ("a\0b", "is not a path"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_an_impossible_path_is_refused_in_one_sentence(given: str, expected: str) -> None:
    assert expected in message(given)


def test_a_path_through_a_file_says_so(tmp_path: Path) -> None:
    path = picture(tmp_path / "1.png")
    assert message(path / "x" / "y").endswith(f"{path} is a file, not a folder.")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_path_is_found_under_either_unicode_form(tmp_path: Path, forms: tuple[Form, Form]) -> None:
    on_disk, given = (tmp_path / unicodedata.normalize(form, "Fotos für Zoë/Bär") for form in forms)
    cats_and_dogs(on_disk)
    picture(on_disk / "cat" / unicodedata.normalize(forms[0], "é.png"))
    assert len(open_data(given)) == 4
    wanted = given / "cat" / unicodedata.normalize(forms[1], "é.png")
    assert [path.exists() for path in expand([wanted, given / "dog"])] == [True, True]


# folders


def test_an_empty_folder(tmp_path: Path) -> None:
    assert message(tmp_path).startswith(f"{tmp_path} holds no images. Put the images of each class into a folder")


def test_images_without_class_folders(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png")
    assert "holds 3 images but no class folders" in message(tmp_path)


def test_a_folder_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "film.mp4").touch()
    assert "holds no images, only files such as cat/film.mp4" in message(tmp_path)


def test_a_folder_that_cannot_be_listed_is_skipped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cats_and_dogs(tmp_path)
    picture(tmp_path / "mouse" / "1.png")
    scan = os.scandir

    def refuse(folder: Path):
        if Path(folder).name in closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    closed = ["mouse"]
    dataset = open_data(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.cautions == ("1 × a folder that cannot be listed, skipped: mouse (Permission denied).",)
    closed = [tmp_path.name]
    assert message(tmp_path) == f"{tmp_path} cannot be listed: Permission denied."


def test_a_link_to_itself_does_not_refuse_the_others(tmp_path: Path) -> None:
    cats_and_dogs(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "cat" / "loop.png").symlink_to("loop.png")
    dataset = open_data(tmp_path)
    assert list(dataset.store.names) == ["cat/1.png", "cat/2.png", "cat/loop.png", "dog/1.png"]
    with pytest.raises(DataError, match=r"loop\.png cannot be read"):
        dataset.store.read(2)


def test_folders_nested_beyond_every_frame_are_walked() -> None:
    outer = Folder("0", "0")
    innermost = outer
    for depth in range(1, 5000):
        innermost.entries.append(Folder(str(depth), str(depth), others=["film.mp4"] if depth == 4000 else []))
        innermost = innermost.folders[0]
    innermost.entries.append("deep.png")
    assert list(outer.images()) == ["deep.png"]
    assert outer.every_other() == ["film.mp4"]


def test_skipped_files_are_noted_and_hidden_ones_are_not_data(tmp_path: Path) -> None:
    cats_and_dogs(tmp_path)
    for name in (".git/x.png", "cat/.DS_Store.png", "__MACOSX/cat/1.png"):
        picture(tmp_path / name)
    (tmp_path / "cat" / "Thumbs.db").touch()
    picture(tmp_path / "cover.png")
    (tmp_path / "mouse").mkdir()
    dataset = open_data(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert list(dataset.store.names) == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert dataset.notes == (
        "1 × without the suffix of an image, skipped: cat/Thumbs.db.",
        "1 × outside of any class folder, skipped: cover.png.",
        "1 × a class folder without images, skipped: mouse.",
    )


def test_folders_inside_class_folders_only_order_the_images(tmp_path: Path) -> None:
    for name in ("cat/b/10.png", "cat/b/9.png", "cat/a/deep/x.PNG", "dog/1.JPEG", "cat/2.heic"):
        picture(tmp_path / "unnamed.png").rename(tmp_path / "spare")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "spare").rename(tmp_path / name)
    dataset = open_data(tmp_path)
    assert list(dataset.store.names) == ["cat/2.heic", "cat/a/deep/x.PNG", "cat/b/9.png", "cat/b/10.png", "dog/1.JPEG"]
    assert dataset.targets.tolist() == [0, 0, 0, 0, 1]
    assert images_in(tmp_path / "cat" / "b") == [tmp_path / "cat/b/9.png", tmp_path / "cat/b/10.png"]


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    cats_and_dogs(tmp_path / "real")
    root = tmp_path / "links"
    root.mkdir()
    (root / "cat").symlink_to(tmp_path / "real" / "cat")
    (root / "hound").symlink_to(tmp_path / "real" / "dog")
    (tmp_path / "real" / "cat" / "again").symlink_to(tmp_path / "real" / "cat")
    (tmp_path / "real" / "cat" / "3.png").symlink_to(tmp_path / "real" / "dog" / "1.png")
    dataset = open_data(root)
    assert list(dataset.store.names) == ["cat/1.png", "cat/2.png", "cat/3.png", "hound/1.png"]


def test_split_folders_are_splits_under_each_of_their_names(tmp_path: Path) -> None:
    for split in ("Train", "validation", "test"):
        cats_and_dogs(tmp_path / split)
    dataset = open_data(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert {split: len(indices) for split, indices in dataset.splits.items()} == {"train": 3, "val": 3, "test": 3}


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    for vehicle in ("train", "bus"):
        picture(tmp_path / vehicle / "1.png")
    dataset = open_data(tmp_path)
    assert dataset.classes == ("bus", "train")
    assert not dataset.splits


def test_class_names_in_any_script_and_of_numbers_are_in_natural_order(tmp_path: Path) -> None:
    for name in ("10", "2", "кошка", "猫", "Äpfel", "apfel"):
        picture(tmp_path / name / "ж 1.png")
    assert open_data(tmp_path).classes == ("2", "10", "apfel", "Äpfel", "кошка", "猫")


def test_a_file_name_that_is_not_utf8_is_readable_and_printable(tmp_path: Path) -> None:
    cats_and_dogs(tmp_path)
    os.rename(tmp_path / "dog" / "1.png", os.fsencode(tmp_path / "dog") + b"/caf\xe9.png")
    dataset = open_data(tmp_path)
    assert dataset.store.name(2) == "dog/caf\\xe9.png"
    dataset.store.name(2).encode()
    assert dataset.store.read(2).original == (4, 5)


# CSV


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    cats_and_dogs(tmp_path)

    def write(*lines: str, encoding: str = "utf-8") -> Path:
        (tmp_path / "list.csv").write_bytes("\n".join(lines).encode(encoding))
        return tmp_path / "list.csv"

    return write


ROWS = ("cat/1.png,cat", "cat/2.png,cat", "dog/1.png,dog")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), "is empty. Its first line names the columns: path,label"),
        (("file,label", *ROWS), "has no column 'path'; its first line names file, label."),
        (("path,class", *ROWS), "has no column 'label'; its first line names path, class."),
        (("path,label",), "lists no images"),
        (("path,label", *ROWS, "cat/3.png"), "line 5, has 1 fields where the first line names 2"),
        (("path,label", "cat/1.png,"), "line 2, has no label"),
        (("path,label", ",cat"), "line 2, has no path"),
        (("path,label,split", "cat/1.png,cat,trian"), "received 'trian'. Did you mean 'train'?"),
        (("path,label", *ROWS, "cat/1.png,dog"), "twice, in lines 2 and 5, with the labels 'cat' and 'dog'"),
        (("path,label,split", "cat/1.png,cat,train", "./cat/1.png,cat,test"), "with the splits 'train' and 'test'"),
        (("path,label", "x/1.png,cat", "x/2.png,dog"), "None of the 2 images that"),
        (("path,label", 'cat/1.png,"cat'), "is no proper CSV file (line 2)"),
        (("path,label", "cat/1.png,cat", "cat/2.png,cat"), "one class only, 'cat'"),
        (("path,labels", "cat/1.png,", "cat/2.png,"), "names no class: none of its 2 images has a label"),
    ],
)  # fmt: skip
def test_a_manifest_that_is_not_in_order(table: Callable[..., Path], lines: tuple[str, ...], expected: str) -> None:
    assert expected in message(table(*lines))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_manifest_is_read_as_spreadsheets_write_it(table: Callable[..., Path], encoding: str, separator: str) -> None:
    lines = ("Path , LABEL", *ROWS[:2], "", "dog/1.png,Köter")
    dataset = open_data(table(*(line.replace(",", separator) for line in lines), encoding=encoding))
    assert dataset.classes == ("cat", "Köter")
    assert dataset.targets.tolist() == [0, 0, 1]


def test_a_manifest_in_an_old_encoding_says_so(table: Callable[..., Path]) -> None:
    assert "is not text in UTF-8 (line 3). Save it as CSV UTF-8." in message(
        table("path,label", "cat/1.png,cat", "dog/1.png,Köter", encoding="latin-1")
    )


def test_missing_files_among_others_are_left_to_the_reader_and_repeated_rows_count_once(
    table: Callable[..., Path],
) -> None:
    dataset = open_data(table("path,label", *ROWS, "dog/9.png,dog", ROWS[0]))
    assert len(dataset) == 4
    assert dataset.notes == ("1 × listed again in the same way and counted once: cat/1.png.",)
    with pytest.raises(DataError, match=r"dog/9.png cannot be read: missing\."):
        dataset.store.read(3)


def test_a_row_without_a_split_is_in_none(table: Callable[..., Path]) -> None:
    dataset = open_data(table("path,label,split", "cat/1.png,cat,valid", "cat/2.png,cat,", "dog/1.png,dog,Test"))
    assert {split: indices.tolist() for split, indices in dataset.splits.items()} == {"val": [0], "test": [2]}


def test_a_column_of_groups_is_read_and_an_image_without_one_is_alone(table: Callable[..., Path]) -> None:
    dataset = open_data(table("path,label,group", "cat/1.png,cat,anna", "cat/2.png,cat,", "dog/1.png,dog,anna"))
    assert dataset.groups is not None
    first, alone, last = dataset.groups.tolist()
    assert first == last != alone
    assert open_data(table("path,label", *ROWS)).groups is None
    assert "with the groups 'anna' and 'ben'" in message(
        table("path,label,group", "cat/1.png,cat,anna", "cat/1.png,cat,ben", "dog/1.png,dog,anna")
    )


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", b"\xff\xfe\0\0"),
        ("utf-32-be", b"\0\0\xfe\xff"),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_manifest_is_read_in_every_encoding_of_unicode(
    table: Callable[..., Path], encoding: str, mark: bytes, ends: str
) -> None:
    path = table()
    path.write_bytes(mark + ends.join(["path,label", *ROWS[:2], "dog/1.png,Köter 犬"]).encode(encoding))
    assert open_data(path).classes == ("cat", "Köter 犬")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "\n\n", "  \n"])
def test_an_index_without_a_name_is_ignored(table: Callable[..., Path], separator: str, before: str) -> None:
    rows = [f"{number},{row}" for number, row in enumerate(ROWS)]
    path = table()
    path.write_text(before + "\n".join([",path,label", *rows]).replace(",", separator))
    dataset = open_data(path)
    assert list(dataset.store.names) == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert dataset.classes == ("cat", "dog")


def test_excel_may_say_the_separator_and_labels_may_hold_line_breaks(table: Callable[..., Path]) -> None:
    dataset = open_data(table("sep=;", "path;label", "cat/1.png;cat, small", 'cat/2.png;"cat\nlarge"'))
    assert dataset.classes == ("cat\nlarge", "cat, small")


@pytest.mark.parametrize(("row", "what"), [("cat/\0.png,cat", "path"), ("cat/1.png,c\0at", "label")])
def test_a_zero_byte_in_a_manifest_is_named_with_its_line(table: Callable[..., Path], row: str, what: str) -> None:
    assert f"line 3, has a zero byte in its {what}" in message(table("path,label", ROWS[0], row))


def test_labels_of_thousands_of_digits_are_ordered_like_numbers(table: Callable[..., Path]) -> None:
    long = "9" * 5000
    dataset = open_data(table("path,label", f"cat/1.png,{long}", "cat/2.png,10", "dog/1.png,2"))
    assert dataset.classes == ("2", "10", long)


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_paths_and_labels_of_a_manifest_may_have_another_unicode_form_than_the_disk(
    table: Callable[..., Path], forms: tuple[Form, Form], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = table().parent
    on_disk, listed = (unicodedata.normalize(form, "Zoë/é") for form in forms)
    picture(root / f"{on_disk}.png")
    dataset = open_data(table("path,label", f"{listed}.png,é", f"{on_disk}.png,e\u0301", "cat/1.png,cat"))
    assert dataset.classes == ("cat", "é")
    assert len(dataset) == 2
    assert [dataset.store.read(index).original for index in range(2)] == [(4, 5), (4, 5)]
    assert [dataset.store.name(index) for index in range(2)] == [f"{on_disk}.png", "cat/1.png"]
    absolute = open_data(table("path,label", f"{root / listed}.png,é", "cat/1.png,cat"))
    assert absolute.store.name(0) == str(root / f"{on_disk}.png")
    monkeypatch.chdir(root.parent)
    relative = open_data(table("path,label", f"{listed}.png,é", "cat/1.png,cat").relative_to(root.parent))
    assert [relative.store.read(index).original for index in range(2)] == [(4, 5), (4, 5)]
    assert len(open_data(table("path,label", f"{listed}.png,é", "none.png,none"))) == 2  # only one exists


@pytest.mark.parametrize("split", ["Training", "train_set", "DEV", "validation", "hold-out", "Testing", "unlabeled"])
def test_the_usual_spellings_are_read_in_the_split_column(table: Callable[..., Path], split: str) -> None:
    path = table("path,label,split", *(f"{row},{split}" for row in ROWS))
    if split == "unlabeled":
        assert "a split is train, val or test; received 'unlabeled'" in message(path)
    else:
        assert len(open_data(path).splits) == 1


# lists on standard input


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff{0}/1.png\n{0}/é.png\n".encode(),
        "{0}/1.png\r\n\r\n{0}/é.png".encode("utf-16"),
        "{0}/1.png\r\n{0}/é.png\r\n".encode("utf-16-le"),
        "{0}/1.png\n{0}/é.png\n".encode("utf-16-be"),
        "{0}/1.png\0{0}/é.png\0".encode(),
        "{0}/1.png\n\ufeff{0}/e\u0301.png\n".encode(),
    ],
    ids=["mark", "utf-16", "utf-16-le", "utf-16-be", "print0", "decomposed"],
)
def test_a_list_of_images_is_read_as_other_programs_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = [picture(Path("photos/1.png")), picture(Path("photos/é.png"))]
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        content = content.replace("{0}".encode(encoding), "photos".encode(encoding))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    assert list(expand(["-"])) == wanted


def test_a_name_with_a_zero_byte_cannot_be_read_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a\0é.png"
    assert list(expand([path])) == [path]
    with pytest.raises(DataError, match="cannot be read"):
        decode(path)


def test_a_list_holds_the_bytes_of_names_that_are_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsencode(picture(tmp_path / "x.png").parent) + b"/caf\xe9.png"
    os.rename(tmp_path / "x.png", name)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(name + b"\n")))
    assert [path.exists() for path in expand(["-"])] == [True]


# IDX


def idx_file(array: np.ndarray, *, magic: bytes = b"\0\0\x08") -> bytes:
    return magic + bytes([array.ndim]) + struct.pack(f">{array.ndim}L", *array.shape) + array.tobytes()


IMAGES, TARGETS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5), np.array([0, 1, 1], dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (b"", idx_file(TARGETS), "is no IDX file: it begins with nothing"),
        (b"\x89PNG....", idx_file(TARGETS), "is no IDX file: it begins with 89 50 4e 47"),
        (
            idx_file(IMAGES)[:-1],
            idx_file(TARGETS),
            "should hold 60 bytes after its header ((3, 4, 5)); it holds only 59",
        ),
        (idx_file(IMAGES) + b"x", idx_file(TARGETS), "it holds more"),
        (idx_file(IMAGES)[:9], idx_file(TARGETS), "ends inside its header"),
        (idx_file(IMAGES), idx_file(TARGETS[:2]), "holds 3 images but 2 labels"),
        (idx_file(TARGETS), idx_file(TARGETS), "should hold 8-bit images (count×height×width); it holds uint8 (3,)"),
        (idx_file(IMAGES), idx_file(IMAGES), "should hold one whole number for each image"),
        (idx_file(IMAGES), None, "has no labels next to it. Put train-labels-idx1-ubyte"),
    ],
)
def test_idx_files_that_are_not_in_order(tmp_path: Path, images: bytes, labels: bytes | None, expected: str) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    if labels is not None:
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    assert expected in message(tmp_path)


def header(*shape: int, kind: int = 8) -> bytes:
    """The header of an IDX file with nothing after it."""
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}L", *shape)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (header(*[1] * 255) + b"x", "says that it has 255 dimensions"),
        (header(*[0] * 255), "says that it has 255 dimensions"),
        (header(0, 2**32 - 1, 2**32 - 1), "train-images-idx3-ubyte"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "more than the memory that is free"),
        (header(2**31, 28, 28), "the memory that is free"),
        (header(3, 0, 0), "should hold 8-bit images (count×height×width); it holds uint8 (3, 0, 0)"),
        (header(3, 5, 0), "it holds uint8 (3, 5, 0)"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_idx_header_that_cannot_be_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: bytes, expected: str, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr("striate.data.sources.idx.available_memory", lambda: 2**34)
    suffix = ".gz" if pack is gzip.compress else ""
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_file(TARGETS))
    assert expected in message(tmp_path)


@pytest.mark.parametrize("label", [2**31 - 1, 1000, 40_000])
def test_an_idx_label_that_is_no_class_number_makes_no_classes(tmp_path: Path, label: int) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_file(IMAGES))
    labels = np.array([0, 1, label], dtype=">i4")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_file(labels, magic=b"\0\0\x0c"))
    assert f"holds the label {label:,}, so it would have more classes than images" in message(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flip", "not gzip"])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress(idx_file(np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)))
    flipped = whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]
    data = {"cut": whole[:2000], "flip": flipped, "not gzip": b"hello, world"}[damage]
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(data)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_file(TARGETS)))
    assert "t10k-images-idx3-ubyte.gz is damaged or cut off" in message(tmp_path)


def test_two_sets_of_idx_files_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    for name in ("letters-train-images-idx3-ubyte", "digits-train-images-idx3-ubyte"):
        (tmp_path / name).touch()
    assert "holds several data sets (digits-, letters-)" in message(tmp_path)


def test_idx_files_under_two_names_of_one_split_are_refused(tmp_path: Path) -> None:
    for part in ("test", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_file(IMAGES))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_file(TARGETS))
    assert "holds test-images and t10k-images, which mean the same" in message(tmp_path)


# CIFAR


def test_cifar_files_that_are_not_in_order(tmp_path: Path) -> None:
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\n\n")
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073))
    assert "lacks data_batch_2.bin, data_batch_3.bin, data_batch_4.bin" in message(tmp_path)
    for name in ("data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        (tmp_path / f"{name}.bin").write_bytes(bytes(3073 * 2))
    assert len(open_data(tmp_path)) == 11
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(3073 * 2 - 1))
    assert "records of 3,073 bytes; its 6,145 bytes are no whole number of them" in message(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(b"\2" + bytes(3072))
    assert "holds the label 2; its 2 classes are 0 to 1" in message(tmp_path)


# npz

CUBE = np.zeros((4, 6, 5), np.uint8)
FOUR = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({}, "holds the arrays none. It needs images"),
        ({"pictures": CUBE, "labels": FOUR}, "holds the arrays pictures, labels. It needs images"),
        ({"x_train": CUBE, "y_test": FOUR}, "It needs images"),
        ({"images": CUBE, "labels": FOUR[:3]}, "holds 4 images but 3 labels"),
        ({"images": CUBE, "labels": 2 * np.eye(4)}, "labels are one whole number or one text for each image"),
        ({"images": CUBE[0], "labels": FOUR}, "images are count×height×width or ×channels; received (6, 5)"),
        ({"images": np.zeros((4, 3, 32, 32)), "labels": FOUR}, "looks as if they came first"),
        ({"images": CUBE - 1.0 * np.inf, "labels": FOUR}, "not finite numbers"),
        ({"images": CUBE + 1e39, "labels": FOUR}, "not finite numbers in float32"),
        ({"x_val": CUBE, "x_valid": CUBE, "y_val": FOUR}, "holds x_val and x_valid, which mean the same"),
        ({"images": CUBE, "labels": FOUR, "y": FOUR}, "holds labels and y, which mean the same"),
        ({"images": CUBE.astype(int) - 1, "labels": FOUR}, "whole numbers from 0 to 65535 or floating ones"),
        ({"images": CUBE, "labels": FOUR, "classes": np.array(["cat"])}, "holds the label 1; its 1 classes are 0 to 0"),
        ({"images": CUBE, "labels": FOUR.astype(str), "classes": np.array(["1", "2"])}, "that its classes do not: 0"),
        (
            {"images": CUBE, "labels": FOUR, "channels": np.array(["near", "far"])},
            "names 2 channels; its images have 1",
        ),
        (
            {"images": np.zeros((4, 6, 5, 2)), "labels": FOUR, "channels": np.array(["near, far", "b"])},
            "names the channels 'near, far' and 'b'; a name has no comma",
        ),
        ({"x_train": CUBE, "y_train": FOUR, "x_test": CUBE[:, :5], "y_test": FOUR}, "differ in image size or depth"),
        ({"images": CUBE.astype(object), "labels": FOUR}, "holds Python objects, which are never loaded"),
    ],
)
def test_an_npz_file_that_is_not_in_order(tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)  # pyright: ignore[reportArgumentType]
    assert expected in message(tmp_path / "data.npz")


def test_a_damaged_npz_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", images=np.random.default_rng(0).random((4, 9, 9)), labels=FOUR)
    whole = (tmp_path / "data.npz").read_bytes()
    for damaged in (b"", b"hello", whole[:200], whole[:-30]):
        (tmp_path / "data.npz").write_bytes(damaged)
        assert message(tmp_path / "data.npz").endswith("is no npz file, or is cut off.")
    (tmp_path / "data.npz").write_bytes(whole[:300] + b"####" + whole[304:])
    assert "is damaged (" in message(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("stored", "expected", "channels"),
    [
        (np.arange(120).reshape(4, 6, 5), np.uint8, ("grey",)),
        (
            np.arange(480, dtype=np.int32).reshape(4, 6, 5, 4),
            np.uint16,
            ("channel1", "channel2", "channel3", "channel4"),
        ),
        (np.arange(120, dtype=np.uint16).reshape(4, 6, 5), np.uint16, ("grey",)),
        (np.linspace(0, 1, 360).reshape(4, 6, 5, 3), np.float32, ("red", "green", "blue")),
    ],
)
def test_values_of_an_npz_keep_their_depth(
    tmp_path: Path, stored: np.ndarray, expected: type, channels: tuple[str, ...]
) -> None:
    np.savez(tmp_path / "data.npz", train_images=stored, train_labels=FOUR)
    dataset = open_data(tmp_path / "data.npz")
    read = dataset.store.read(2)
    assert read.pixels.dtype == expected
    assert read.channels == channels
    assert np.allclose(read.pixels.reshape(stored.shape[1:]), stored[2])


def test_labels_of_an_npz_are_numbers_of_its_classes_or_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=CUBE, labels=FOUR, classes=np.array(["wolf", "cat"]))
    assert open_data(tmp_path / "a.npz").classes == ("wolf", "cat")
    np.savez(tmp_path / "b.npz", images=CUBE, labels=np.array(["c10", "c9", "c9", "c10"]), channels=np.array(["near"]))
    dataset = open_data(tmp_path / "b.npz")
    assert (dataset.classes, dataset.targets.tolist()) == (("c9", "c10"), [1, 0, 0, 1])
    assert dataset.store.read(0).channels == ("near",)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"classes": np.array("cat")}, "classes are different names, one after the other; received <U3 ()"),
        ({"classes": np.array(["cat", "cat"])}, "classes are different names"),
        ({"classes": np.array(["caf\u00e9", "cafe\u0301"])}, "classes are different names"),
        ({"channels": np.array("grey")}, "channels are different names"),
        ({"labels": np.array(1)}, "labels are one whole number or one text for each image"),
        ({"images": np.array(1)}, "images are count×height×width or ×channels; received ()"),
        (
            {"labels": np.array(["a", "b", "a", "b"]).view("<u4").__add__(0x200000).view("<U1")},
            "texts that are damaged",
        ),
    ],
)
def test_npz_members_of_odd_shapes(tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
    np.savez(tmp_path / "data.npz", **{"images": CUBE, "labels": FOUR} | arrays)  # pyright: ignore[reportArgumentType]
    assert expected in message(tmp_path / "data.npz")


def test_lone_surrogates_in_npz_labels_are_spelled_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", images=CUBE, labels=np.array(["a\ud800", "b", "b", "b"]))
    assert open_data(tmp_path / "data.npz").classes == ("a\\ud800", "b")


def member(shape: str) -> bytes:
    """An npy file that says it holds an array of `shape`, and holds nothing."""
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()


@pytest.mark.parametrize("shape", ["(10000000000000, 28, 28)", "(4000000000, 1, 1)", "(-1, 2, 2)", "(4, 6, 5)"])
def test_an_npz_member_that_is_less_than_it_says(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, labels=FOUR)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images.npy", member(shape))
    assert "data.npz is damaged" in message(path)


def test_an_npz_file_that_unpacks_to_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "data.npz", images=np.zeros((4, 600, 500), np.uint8), labels=FOUR)
    monkeypatch.setattr("striate.core.archives.available_memory", lambda: 1_000_000)
    assert "unpacks to 1,200," in message(tmp_path / "data.npz")


def test_an_encrypted_npz_file_and_one_with_other_members(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=CUBE, labels=FOUR)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x", b"no array")
    assert len(open_data(path)) == 4
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = data.find(mark)
        data[at + place] |= 1  # the flag of encryption of the first member
    path.write_bytes(data)
    assert "is encrypted. Store it without a password." in message(path)


@pytest.mark.parametrize(
    "names",
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("a/x.png", "b/x.png"),
        ("data.csv",),
        ("data.npz",),
    ],
)
def test_a_pipe_is_refused_and_never_waited_for(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain open of a pipe waits for a writer; here there is none."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    for name in names:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / "data" / name)
    given = tmp_path / "data" / (names[0] if names[0].startswith("data") else "")
    code = (
        "import sys; from striate.core.errors import DataError; from striate.data.audit import audit\n"
        "from striate.data.sources.opening import open_data\n"
        "try: print({row.reason for row in audit(open_data(sys.argv[1])).unread})\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(given)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert any(words in done.stdout for words in ("not a regular file", "not a file", "kind that can be opened"))


def test_arrays_in_place_of_a_path_are_one_sentence() -> None:
    with pytest.raises(DataError, match=r"received an object of type tuple\. Save arrays by numpy\.savez"):
        open_data((np.zeros((2, 8, 8), np.uint8), np.arange(2)))  # pyright: ignore[reportArgumentType]
