"""The stand-alone program for Python decodes images as Striate does."""

from __future__ import annotations

import io
import re
import runpy
import struct
import subprocess
import sys
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rehearsal.classifiers import recognizing, untrained
from rehearsal.encoded import ENCODED
from striate.classifier import Classifier
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.images.decode import decode
from striate.data.preparation.colour import arrange
from striate.exporting import export_classifier, synthetic_judges
from striate.exporting.onnx_files import Onnx

PROGRAMS = resources.files("striate.exporting").joinpath("programs")


def spec(channels: tuple[str, ...] = RGB, maximum: float = 255.0) -> InputSpec:
    count = len(channels)
    return InputSpec(
        channels=channels, height=20, width=16, mean=(0.5,) * count, std=(0.25,) * count, maximum=maximum,
        background=0.75, decode_scale=0,
    )  # fmt: skip


def classifying() -> Classifier:
    images = [decode(encode()) for encode in ENCODED.values()]
    return recognizing(untrained("mlp", spec(), ("green", "red")), [shown for shown in images if shown.channels == RGB])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    classifier = classifying()
    folder = tmp_path_factory.mktemp("exports") / "onnx"
    about = {"data": "", "accuracy": None, "licence": ""}
    export_classifier(classifier, Onnx(network=False), folder, synthetic_judges(spec(), 1), about=about)
    return folder


@pytest.fixture(scope="module")
def program(folder: Path) -> dict[str, Any]:
    return runpy.run_path(str(folder / "predict.py"))


@pytest.mark.parametrize("name", ENCODED)
def test_python_decodes_the_same_pixels(program: dict[str, Any], name: str) -> None:
    classifier = object.__new__(program["Classifier"])
    data = ENCODED[name]()
    image = decode(data)
    bgr = ("blue", "green", "red")
    for wanted in (spec(), spec(bgr), spec(("green",)), spec(GREY), spec(maximum=65535.0), spec(GREY, maximum=1.0)):
        classifier.input = {"channels": wanted.channels, "maximum": wanted.maximum, "background": wanted.background}
        expected = arrange(image.pixels[None], image.channels, wanted)[0]
        pixels = classifier.pixels(Image.open(io.BytesIO(data)))
        assert pixels.dtype == expected.dtype
        if wanted.maximum == 1:
            np.testing.assert_allclose(pixels, expected, rtol=0, atol=1 / 255)  # luma of whole numbers, and not
        else:
            np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(("kind", "count"), [(2, 3), (6, 4), (4, 2)], ids=["colours", "with alpha", "grey, with alpha"])
def test_python_refuses_colours_of_16_bits(program: dict[str, Any], kind: int, count: int) -> None:
    """Pillow opens them with 8 bits; the PNG is written by hand, because Pillow writes none either."""
    levels = np.random.default_rng(0).integers(0, 65536, (4, 5 * count)).astype(">u2")
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels))
    chunks = ((b"IHDR", struct.pack(">LLBBBBB", 5, 4, 16, kind, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    parts = [struct.pack(">L", len(c)) + n + c + struct.pack(">L", zlib.crc32(n + c)) for n, c in chunks]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(parts)
    assert decode(data).pixels.dtype == np.uint16
    with pytest.raises(ValueError, match=r"^Pillow drops half of the 16 bits .*: save the image with 8 bits"):
        object.__new__(program["Classifier"]).pixels(Image.open(io.BytesIO(data)))


def test_python_answers_as_the_classifier(program: dict[str, Any], folder: Path) -> None:
    classifier, ported = classifying(), program["Classifier"](folder / "model.onnx")
    unknown = []
    for name in ("orientation 1", "orientation 6", "grey JPEG", "CMYK", "palette", "16 bits", "alpha", "GIF"):
        data = ENCODED[name]()
        expected, found = classifier.predict(data, coverage=0.95), ported.predict(io.BytesIO(data))
        assert [label for label, _ in found["probabilities"]] == list(expected.probabilities)
        assert dict(found["probabilities"]) == pytest.approx(expected.probabilities, abs=1e-6)
        assert found["p_value"] == pytest.approx(expected.p_value)
        assert found["none_of_these"] == expected.none_of_these
        assert tuple(found["among"]["0.95"]) == expected.among
        unknown.append(expected.none_of_these)
    assert set(unknown) == {True, False}


def test_the_program_prints_its_answers(folder: Path, tmp_path: Path) -> None:
    expected = {}
    for name in ("orientation 6", "CMYK"):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(ENCODED[name]())
        answer = classifying().predict(path)
        none = "  none of these; nearest:" if answer.none_of_these else ""
        expected[f"{path}{none}"] = answer.probabilities
    ran = subprocess.run([sys.executable, folder / "predict.py", *tmp_path.iterdir()], capture_output=True, check=True)
    for line in ran.stdout.decode().splitlines():
        start, values = line[: line.rindex("  ", 0, line.rindex("  "))], re.findall(r"(green|red) ([\d.]+)", line)
        assert {label: float(value) for label, value in values} == pytest.approx(expected[start], abs=1e-4)


@pytest.mark.parametrize("channels", [("near infrared", "red"), ("channel1", "channel2"), (*RGB, "alpha")])
def test_no_program_comes_with_channels_that_a_photo_does_not_have(channels: tuple[str, ...], tmp_path: Path) -> None:
    classifier = untrained("mlp", spec(channels), ("green", "red"))
    about = {"data": "", "accuracy": None, "licence": ""}
    form, judges = Onnx(network=False), synthetic_judges(spec(channels), 1)
    found = export_classifier(classifier, form, tmp_path / "out", judges, about=about)
    assert {path.name for path in found.path.iterdir()} == {"model.onnx", "card.json", "README.md"}
    text = (found.path / "README.md").read_text("utf-8")
    assert "predict" not in text
    assert f"with the channels {', '.join(channels)}" in text


@pytest.mark.parametrize("name", ["predict.py", "predict.js"])
def test_a_program_is_short(name: str) -> None:
    assert len(PROGRAMS.joinpath(name).read_text("utf-8").splitlines()) <= 60
