"""One small image of each kind is kept, so that a change of looks is seen by eyes before it is shipped.

    STRIATE_REWRITE_GOLDEN=1 pytest tests/plot/test_golden.py

writes them again; `git diff` shows which. They may differ a little where fonts are rendered by another library.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from striate.plot import (
    DARK,
    LIGHT,
    Theme,
    Tile,
    figure_png,
    figure_svg,
    filter_images,
    fooling,
    lines,
    map_images,
    overlay,
    overlay_scale,
    png,
    sheet,
    tiles,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GOLDEN = Path(__file__).parents[1] / "golden" / "plot"
_SMALL = 70  # dots per inch
_UNLIKE = 1.5  # grey levels on the average


def _photo(height: int = 120, width: int = 144) -> np.ndarray:
    """A made photo: a sky, a meadow, a sun."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    sky = np.stack([0.45 + 0.4 * y, 0.6 + 0.3 * y, 0.95 - 0.2 * y], -1)
    meadow = np.stack([0.25 + 0.1 * np.sin(40 * x), 0.5 + 0.1 * np.sin(55 * x + 9 * y), 0.2 + 0 * x], -1)
    sun = ((x - 0.68) ** 2 + (y - 0.24) ** 2 < 0.011)[..., None] * np.array([0.4, 0.2, -0.4])
    return np.rint(255 * np.clip(np.where((y > 0.5)[..., None], meadow, sky) + sun, 0, 1)).astype(np.uint8)


def _bump(height: int = 120, width: int = 144) -> np.ndarray:
    """A map that is large around the sun and negative in the lower left corner."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return 4 * np.exp(-60 * ((x - 0.68) ** 2 + (y - 0.24) ** 2)) - 2 * np.exp(-30 * (x**2 + (y - 0.83) ** 2))


def _filters() -> np.ndarray:
    y, x = np.mgrid[-3:4, -3:4] / 3
    waves = [np.cos(4 * (x * np.cos(turn) + y * np.sin(turn))) * np.exp(-(x**2 + y**2)) for turn in (0, 0.8, 1.6, 2.4)]
    return np.stack([np.stack([wave, wave * tint, wave * (1 - tint)]) for wave in waves for tint in (0.2, 0.9)])


def _overlays(theme: Theme) -> Figure:
    photo, values = _photo(), _bump()
    amount = np.maximum(values, 0)
    seen = np.where(np.arange(144) < 20, np.nan, amount)
    return tiles(
        [
            Tile(photo, ("meadow 97.0 %", "photos/meadow.jpg")),
            Tile(
                overlay(photo, np.maximum(values, 0)), ("Grad-CAM", "at stage3"), overlay_scale(np.maximum(values, 0))
            ),
            Tile(overlay(photo, values, signed=True), ("Occlusion",), overlay_scale(values, signed=True)),
            Tile(overlay(photo, seen), ("Where nothing was seen",), overlay_scale(seen)),
        ],
        columns=2,
        title="Why the answer is meadow",
        note="Heat: what argues for the answer; the strongest hundredth is drawn as the end of the scale.",
        theme=theme,
    )


def _sheets(theme: Theme) -> Figure:
    maps = map_images(np.stack([_bump(12, 12), np.maximum(_bump(12, 12), 0)]), theme=theme)
    patches, projections = np.stack([_photo(14, 14)] * 9), map_images(np.stack([_bump(14, 14)] * 9), theme=theme)
    nine, others = (sheet(pictures, paper=theme.grey) for pictures in (patches, projections))
    return tiles(
        [
            Tile(sheet(filter_images(_filters()), columns=4, paper=theme.grey), ("filters of the first layer",)),
            Tile(sheet(maps, paper=theme.grey), ("maps", "with negative values, and without")),
            Tile(nine, ("stage2, 7", "nine strongest patches")),
            Tile(others, ("their projections",)),
        ],
        side=1.6,
        theme=theme,
    )


def _fooled(theme: Theme) -> Figure:
    photo = _photo()
    step = np.where(np.random.default_rng(0).random(photo.shape) < 0.5, -3, 3)
    after = np.clip(photo.astype(int) + step, 0, 255).astype(np.uint8)
    said = ("meadow 97.0 %",), ("ocean 88.1 %", "fooled")
    change = after - photo.astype(float)
    title = "Three grey levels"
    return fooling(photo, after, change, caption_before=said[0], caption_after=said[1], title=title, theme=theme)


def _lines(theme: Theme) -> Figure:
    x = np.linspace(0, 1, 11)
    return lines(
        {"Grad-CAM": list(zip(x, np.exp(-4 * x), strict=True)), "random": list(zip(x, 1 - 0.5 * x, strict=True))},
        across="fraction of the image deleted",
        up="logit",
        theme=theme,
    )


def _layers(theme: Theme) -> Figure:
    x = np.arange(-8, 9)
    shown = {f"stage{k}": [(float(a), float(abs(a) ** 0.5) / k) for a in x] for k in range(1, 7)}
    return lines(shown, across="shift in pixels", up="how far the features move", ordered=True, theme=theme)


FIGURES: dict[str, Callable[[Theme], Figure]] = {
    "overlays": _overlays,
    "sheets": _sheets,
    "fooled": _fooled,
    "lines": _lines,
    "layers": _layers,
}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_it_did(name: str, theme: Theme) -> None:
    drawn = figure_png(FIGURES[name](theme), dots_per_inch=_SMALL)
    _compare(f"{name}_{'light' if theme is LIGHT else 'dark'}.png", drawn)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_in_svg_is_the_same_each_time(name: str) -> None:
    assert figure_svg(FIGURES[name](LIGHT)) == figure_svg(FIGURES[name](LIGHT))


def test_the_words_of_a_sheet_are_text_in_an_svg() -> None:
    text = figure_svg(_overlays(LIGHT)).decode()
    for words in ("Why the answer is meadow", "Grad-CAM", "photos/meadow.jpg", "−"):
        assert words in text


def _compare(name: str, drawn: bytes) -> None:
    path = GOLDEN / name
    with Image.open(io.BytesIO(drawn)) as image:
        found = np.asarray(image.convert("RGB"))
    if os.environ.get("STRIATE_REWRITE_GOLDEN"):
        path.write_bytes(png(found))
    with Image.open(path) as image:
        kept = np.asarray(image.convert("RGB"))
    assert found.shape == kept.shape, f"{name} has another size than it had"
    unlike = float(np.abs(found.astype(int) - kept).mean())
    assert unlike <= _UNLIKE, f"{name} looks different ({unlike:.1f} grey levels): look at it, then rewrite it"
