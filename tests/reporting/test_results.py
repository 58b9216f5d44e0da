"""Files of results: no file of another image, and no file of a user, is overwritten."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.classifier import Prediction
from striate.core.errors import StriateError
from striate.plot import png
from striate.reporting.sheets.input_image import Answered
from striate.reporting.sheets.results import OutputFolder, file_stem, stem_of


def _answered(name: Path | str, shade: float = 0.0) -> Answered:
    prediction = Prediction(str(name), "cat", 1.0, probabilities={"cat": 1.0})
    return Answered(torch.full((1, 1, 2, 2), shade), np.zeros((2, 2, 1), np.uint8), 0, prediction)


def _sheet(shade: int) -> bytes:
    return png(np.full((3, 4, 3), shade, np.uint8))


def _shade(path: Path) -> int:
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (3, 4, 3)
    assert (pixels == pixels[0, 0, 0]).all()
    return int(pixels[0, 0, 0])


def test_images_of_one_name_in_two_folders_keep_a_sheet_each_over_several_calls(tmp_path: Path) -> None:
    for folder in ("ant", "bee"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.png").write_bytes(b"an image")
    out = tmp_path / "out"
    first = OutputFolder(out).write("0", _sheet(1), _answered(tmp_path / "ant" / "0.png"))
    second = OutputFolder(out).write("0", _sheet(2), _answered(tmp_path / "bee" / "0.png"))
    assert (first.name, second.name) == ("0.png", "0-2.png")
    again = OutputFolder(out).write("0", _sheet(3), _answered(tmp_path / "ant" / ".." / "ant" / "0.png"))
    assert again == first
    assert (_shade(first), _shade(second)) == (3, 2)
    assert OutputFolder(out).write("0", _sheet(4), _answered(tmp_path / "bee" / "0.png")) == second


def test_images_without_a_file_are_identified_by_their_pixels(tmp_path: Path) -> None:
    written = [
        OutputFolder(tmp_path).write("image 1", _sheet(1), _answered("image 1", shade)) for shade in (0.0, 1.0, 0.0)
    ]
    assert [path.name for path in written] == ["image 1.png", "image 1-2.png", "image 1.png"]


def test_a_file_of_a_user_is_not_overwritten(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "PNG")
    for name, content in (("0.png", buffer.getvalue()), ("1.png", b"no image")):
        (tmp_path / name).write_bytes(content)
        written = OutputFolder(tmp_path).write(Path(name).stem, _sheet(1), _answered("x"))
        assert written.name == f"{Path(name).stem}-2.png"
        assert (tmp_path / name).read_bytes() == content


def test_names_of_one_call_differ_also_where_only_case_differs(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert [folder.write(stem, _sheet(1), _answered("x")).name for stem in ("A", "a", "A")] == [
        "A.png",
        "a-2.png",
        "A-3.png",
    ]


def test_the_stem_of_a_file_is_short_and_safe() -> None:
    assert stem_of("photos/a:b/c?.jpg", "grad_cam", None, "as x/y") == "c--grad_cam-as x-y"
    assert len(stem_of("ü" * 300, "k").encode()) <= 200
    assert stem_of("ü" * 300, "k") != stem_of("ü" * 301, "k")
    assert file_stem("v1.2", "saliency", None) == "v1.2-saliency"
    assert len(file_stem("ü" * 100, "ü" * 50).encode()) <= 200


@pytest.mark.parametrize("place", ["sheet.png", "/dev/zero", "sheet.png/inside", "a\0b", "\ud800"])
def test_what_is_no_folder_is_a_sentence_and_never_searched_for_a_free_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "sheet.png").write_bytes(_sheet(1))
    with pytest.raises(StriateError, match=r"cannot be a folder|is not a path"):
        OutputFolder(tmp_path / place).write("sheet", _sheet(2), _answered("a.png"))


def test_a_pipe_and_an_image_too_large_to_open_are_files_of_the_user(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    (tmp_path / "a-2.png").write_bytes(header + struct.pack(">I", zlib.crc32(header[12:])))
    assert OutputFolder(tmp_path).write("a", _sheet(2), _answered("a.png")).name == "a-3.png"
