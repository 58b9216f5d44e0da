"""The stand-alone program for Python decodes images as Striate does."""

from __future__ import annotations

import io
import re
import runpy
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rehearsal.classifiers import untrained
from rehearsal.encoded import ENCODED
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    classifier = untrained("mlp", spec(), ("green", "red"))
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
    for wanted in (spec(), spec(GREY), spec(maximum=65535.0), spec(GREY, maximum=1.0)):
        classifier.input = {"channels": wanted.channels, "maximum": wanted.maximum, "background": wanted.background}
        expected = arrange(image.pixels[None], image.channels, wanted)[0]
        pixels = classifier.pixels(Image.open(io.BytesIO(data)))
        assert pixels.dtype == expected.dtype
        if wanted.maximum == 1:
            np.testing.assert_allclose(pixels, expected, rtol=0, atol=1 / 255)  # luma of whole numbers, and not
        else:
            np.testing.assert_array_equal(pixels, expected)


def test_python_answers_as_the_classifier(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(ENCODED["orientation 6"]())
    ran = subprocess.run([sys.executable, folder / "predict.py", path], capture_output=True, text=True, check=True)
    printed = {name: float(value) for name, value in re.findall(r"(green|red) ([\d.]+)", ran.stdout)}
    expected = untrained("mlp", spec(), ("green", "red")).predict(path).probabilities
    assert printed == pytest.approx(expected, abs=1e-4)


def test_the_program_is_short() -> None:
    assert len(PROGRAMS.joinpath("predict.py").read_text("utf-8").splitlines()) <= 60
