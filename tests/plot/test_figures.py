"""Figures that stand alone: deterministic, without dates, without pyplot, and showing what they were given."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextToPath
from PIL import Image

import striate.plot.figure as figures
from striate.plot import Intervals, Panel, Tile, figure_png, figure_svg, lines, loss_by_rate, panels, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

FIGURES: dict[str, Callable[[], Figure]] = {
    "one curve": lambda: lines({"answer": [(1.0, 0.9), (2.0, 0.5)]}, across="shift, pixels", up="probability"),
    "layers": lambda: lines(
        {f"stage & <b> {k}": [(float(x), float(k * x)) for x in range(3)] for k in range(6)},
        across="shift, pixels", up="distance", ordered=True,
    ),
    "tiles": lambda: tiles(
        [Tile(np.zeros((8, 8, 1), np.uint8), ("dog & <b>", "a file"))], title="Why", note="Because."
    ),
}  # fmt: skip


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
    assert {"shift, pixels", "probability"} <= set(_texts(FIGURES["one curve"]()))
    assert {"shift, pixels", "distance", "stage & <b> 0", "stage & <b> 5"} <= set(_texts(FIGURES["layers"]()))
    assert {"Why", "Because.", "dog & <b>", "a file"} <= set(_texts(FIGURES["tiles"]()))


@pytest.mark.parametrize("name", ["price_1$_and_2$", "o$\\foo$", "_hidden", "a$b"])
def test_names_are_shown_as_they_are(name: str) -> None:
    shown: list[Panel | Intervals] = [
        Panel("epoch", "loss", {name: [(0.0, 1.0)], "b": [(0.0, 2.0)]}),
        Intervals("accuracy", {name: (1.0, 2.0, 3.0)}),
    ]
    for figure, times in (
        (panels([name, "b"], shown), 2),
        (lines({name: [(0.0, 1.0)], "b": [(0.0, 2.0)]}, across="x", up="y"), 1),
        (loss_by_rate([0.1, 1.0], [2.0, 1.0], [2.0, 1.0], suggestion=None, diverged=None, title=name), 1),
    ):
        assert _texts(figure).count(name) == times
        assert figure_png(figure)


def test_what_would_act_in_a_name_is_spelled_out() -> None:
    name, shown = "red\n\r\u202egpj", r"red\u000a\u000d\u202egpj"
    curves = {name: [(0.0, 1.0)], "b": [(0.0, 2.0)]}
    for figure in (
        tiles([Tile(np.zeros((220, 220, 1), np.uint8), (name,))]),
        panels([name, "b"], [Panel("epoch", "loss", curves)]),
        lines(curves, across="x", up="y"),
        loss_by_rate([0.1, 1.0], [2.0, 1.0], [2.0, 1.0], suggestion=None, diverged=None, title=name),
    ):
        assert shown in _texts(figure)


@pytest.mark.parametrize("name", ["שלום עולם", "قطة سوداء"])
def test_a_name_from_right_to_left_stays_in_its_place(name: str) -> None:
    """A line begins with the dots of the name alone, and what follows begins after it."""

    def dots(caption: str) -> np.ndarray:
        figure = tiles([Tile(np.full((220, 220, 1), 255, np.uint8), (caption,))])
        return np.asarray(Image.open(io.BytesIO(figure_png(figure))).convert("L"), int)

    alone, with_more = dots(name), dots(f"{name}, 31.4 %")
    end = int(np.flatnonzero((alone < 128).any(axis=0)).max())
    assert np.array_equal(alone[:, : end + 1], with_more[:, : end + 1])
    assert (with_more[:, end + 1 :] < 128).any()


def test_characters_without_a_font_are_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """DejaVu Sans has Greek and Cyrillic, and no Chinese; STIX has a letter that DejaVu Sans lacks."""
    photo = np.zeros((8, 8, 1), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure_png(tiles([Tile(photo, ("πίθηκος", "собака"))]))
        monkeypatch.setattr(figures, "_OTHER_FONTS", ("STIXGeneral",))
        figure_png(tiles([Tile(photo, ("\u1d81",))]))
        figure_svg(tiles([Tile(photo, ("猫",))]))
    with pytest.warns(UserWarning, match="No font for 犬猫 is installed, so boxes are drawn") as warned:
        figure_png(tiles([Tile(photo, ("猫", "a file"))], title="犬猫"))
    assert len(warned) == 1


def test_wide_characters_have_the_room_of_two_letters() -> None:
    """A wide character is as wide as the font is high: 8 points, of 72 an inch. The image has 2.2 inches."""
    photo = np.zeros((110, 110, 1), np.uint8)
    for text in ("猫" * 40, "一 photo 二 " * 9):
        lines = [line for line in _texts(tiles([Tile(photo, (text,))])) if line]
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert max(map(_inches, lines)) <= 2.2


def _inches(line: str) -> float:
    """The width of a line in letters of 8 points: as Matplotlib sets its own letters, 8 points for each wide one."""
    letters = "".join(character for character in line if character <= "z")
    return (_set(letters) + 8.0 * (len(line) - len(letters))) / 72


def _set(letters: str) -> float:
    return TextToPath().get_text_width_height_descent(letters, FontProperties(size=8), False)[0]


LONG = ("W" * 200, "0123456789" * 12, "resnet50-with-mixup-2026-11-27-seed-1/" * 4, "i" * 150)


def _boxes(figure: Figure) -> list[Bbox]:
    """Where Matplotlib draws texts, in dots; it does not draw the labels of ticks outside the axes."""
    figure_png(figure)  # solves the layout
    figure.set_dpi(figures.DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    outside = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in outside]
    shown = [text for text in texts if text.get_text().strip() and text.get_visible()]
    return [text.get_window_extent(canvas.get_renderer()) for text in shown]


def _check_apart(figure: Figure) -> None:
    """No text leaves the figure, and none covers another."""
    boxes = _boxes(figure)
    assert len(boxes) > 3
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    for one, other in itertools.combinations(boxes, 2):
        across, up = (min(one.max[k], other.max[k]) - max(one.min[k], other.min[k]) for k in (0, 1))
        assert across <= 1 or up <= 4, (one, other)  # letters of one line may hang into the next


@pytest.mark.parametrize("shape", [(300, 12, 3), (64, 8, 1), (40, 60, 3)])
def test_captions_stay_apart_also_below_narrow_images(shape: tuple[int, ...]) -> None:
    pixels = np.zeros(shape, np.uint8)
    _check_apart(tiles([Tile(pixels, (name, "dog 93 %")) for name in LONG], columns=3, title=LONG[2], note=LONG[1]))


@pytest.mark.parametrize("count", [1, 3, 8])
def test_panels_have_room_for_long_names(count: int) -> None:
    names = [f"{number}-{LONG[number % 4]}" for number in range(count)]
    curves = Panel("epoch", "loss", {name: [(0.0, 1.0), (1.0, 2.0)] for name in names})
    values = Intervals("accuracy on images of the folds / %, with 95 % interval", dict.fromkeys(names, (1.0, 2.0, 3.0)))
    for shown in ([curves, values, curves], [values], [curves]):
        _check_apart(panels(names, shown))
    assert all(name in "".join(_texts(panels(names, [curves]))) for name in names)


def test_legends_and_titles_have_room_for_long_names() -> None:
    curves = {f"{number}.{LONG[number % 4]}": [(0.0, 1.0), (1.0, 2.0)] for number in range(12)}
    _check_apart(lines(curves, across="x", up="y", ordered=True))
    _check_apart(lines(dict(list(curves.items())[:4]), across="x", up="y"))
    _check_apart(loss_by_rate([0.1, 1.0], [2.0, 1.0], [2.0, 1.0], suggestion=None, diverged=None, title=LONG[2]))


def test_the_colours_of_ordered_curves_get_deeper() -> None:
    colours = [line.get_color() for line in FIGURES["layers"]().axes[0].get_lines()]
    lightness = [sum(int(colour[start : start + 2], 16) for start in (1, 3, 5)) for colour in map(str, colours)]
    assert lightness == sorted(set(lightness), reverse=True)


def test_too_many_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 4 curves"):
        lines({str(k): [(0.0, 0.0)] for k in range(5)}, across="x", up="y")
    with pytest.raises(ValueError, match="at most 12 curves"):
        lines({str(k): [(0.0, 0.0)] for k in range(13)}, across="x", up="y", ordered=True)


def test_importing_the_package_loads_neither_torch_nor_matplotlib() -> None:
    code = "import sys, striate.plot; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_drawing_leaves_pyplot_and_the_settings_alone() -> None:
    code = (
        "import sys, matplotlib\n"
        "from striate.plot import lines, figure_svg\n"
        # Reading the setting `backend` is what imports pyplot.
        "def settings(): return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "figure_svg(lines({'a': [(0.0, 1.0)]}, across='x', up='y'))\n"
        "print('matplotlib.pyplot' in sys.modules, settings() == before)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False True"
