"""Figures that stand alone: deterministic, without dates, without pyplot, and showing what they were given."""

from __future__ import annotations

import re
import string
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from striate.plot import confusion, curves, figure_png, figure_svg, reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MATRIX = np.array([[8, 2], [0, 5]])
FIGURES: dict[str, Callable[[], Figure]] = {
    "curves": lambda: curves(
        {"training": [(1.0, 0.9), (2.0, 0.5)], "validation": [(2.0, 0.7)]}, quantity="loss", best_epoch=2.0
    ),
    "confusion": lambda: confusion(MATRIX, ["cat", "dog & <b>"]),
    "many classes": lambda: confusion(np.eye(26, dtype=np.int64), list(string.ascii_lowercase)),
    "reliability": lambda: reliability({"as trained": [(0.9, 0.7, 10)], "after": [(0.7, 0.7, 10)]}),
}


@pytest.fixture(params=list(FIGURES))
def make(request: pytest.FixtureRequest) -> Callable[[], Figure]:
    return FIGURES[request.param]


def test_the_same_figure_gives_the_same_bytes(make: Callable[[], Figure]) -> None:
    first = make()
    assert figure_svg(first) == figure_svg(first) == figure_svg(make())
    assert figure_png(first) == figure_png(make())


def test_an_svg_tells_no_date_and_no_program(make: Callable[[], Figure]) -> None:
    text = figure_svg(make()).decode()
    assert "<dc:date>" not in text
    assert "matplotlib.org" not in text
    assert not re.search(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", text)


def _texts(figure: Figure) -> list[str]:
    return [
        element.text or "" for element in ET.fromstring(figure_svg(figure)).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_a_figure_says_what_it_shows() -> None:
    assert {"training", "validation", "epoch", "loss", "best: 2"} <= set(_texts(FIGURES["curves"]()))
    assert {"cat", "dog & <b>", "8", "2", "5"} <= set(_texts(FIGURES["confusion"]()))
    assert {"as trained", "after", "confidence"} <= set(_texts(FIGURES["reliability"]()))


def test_cells_that_count_nothing_carry_no_number() -> None:
    assert "0" not in _texts(FIGURES["confusion"]())


def test_the_diagonal_and_the_rest_have_the_colours_of_right_and_wrong() -> None:
    (image,) = FIGURES["confusion"]().axes[0].images
    colours = np.asarray(image.get_array())
    right, wrong, empty, all_right = colours[0, 0], colours[0, 1], colours[1, 0], colours[1, 1]
    assert all_right.tolist() == [0x0F, 0x7B, 0x6C]
    assert empty.tolist() == [0xF3, 0xF1, 0xEB]
    assert right[1] > right[0], "teal"
    assert wrong[0] > wrong[1], "vermilion"


def test_too_many_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 4 curves"):
        curves({str(k): [(0.0, 0.0)] for k in range(5)}, quantity="loss")


def test_importing_the_package_loads_neither_torch_nor_matplotlib() -> None:
    code = "import sys, striate.plot; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_drawing_leaves_pyplot_and_the_settings_alone() -> None:
    code = (
        "import sys, matplotlib\n"
        "from striate.plot import curves, figure_svg\n"
        # Reading the setting `backend` is what imports pyplot.
        "def settings(): return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "figure_svg(curves({'a': [(0.0, 1.0)]}, quantity='loss'))\n"
        "print('matplotlib.pyplot' in sys.modules, settings() == before)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False True"
