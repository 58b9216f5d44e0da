"""The images of README and docs, made by the program itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from striate.data.sources.digits import digits
from striate.data.synthetic.shapes import ShapesOptions, make
from striate.plot import png, sheet

IMAGES = Path(__file__).parent / "images"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def sheets() -> None:
    """Some of the embedded digits, and some of the made shapes above the masks of their objects."""
    pixels = digits().store.pixels[:60]  # pyright: ignore[reportAttributeAccessIssue] (digits are an array)
    _write("digits.png", sheet(np.repeat(_large(pixels, 6), 3, axis=3), columns=15, gap=6))
    made = make(np.arange(0, 40, 5), ShapesOptions())
    masks = np.repeat(made.masks[..., None], 3, axis=3).astype(np.uint8) * 255
    rows = [sheet(_large(row, 2), columns=8, gap=6) for row in (made.pixels, masks)]
    _write("shapes.png", sheet(np.stack(rows), columns=1, gap=6))


def inside(run: Path) -> None:
    """What the tutorial on looking inside shows, from the folder of the run that it has trained."""
    shown = {
        "explained.png": run / "explanations" / "IMG_0021-grad_cam.png",
        "fooled.png": run / "fooled" / "IMG_0003-pgd-3-sheet.png",
    }
    for number, (layer, channel) in enumerate((("relu1_1", 2), ("relu1_2", 3), ("relu2_1", 3)), 1):
        shown[f"wanted{number}.png"] = run / "inspection" / f"features.{layer}" / f"channel-{channel:03}.png"
    for name, path in shown.items():
        if path.exists():  # which channels are dead, and so have no sheet, is for each training to say
            shutil.copy2(path, IMAGES / name)


def craft(tree: Path) -> None:
    """The images of the tutorial on the craft of training, from the tree in which its commands ran."""
    for name in ("learning-rate.png", "augmented.png", "comparison.png"):
        shutil.copy2(tree / name, IMAGES / f"craft-{name}")


def report(page: Path) -> None:
    """The top of a run's report as a browser shows it. Needs Chromium; without it the old image stays."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        print("No Chromium here: docs/images/report.png stays as it was.", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "report.png"
        window = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,1060"]
        subprocess.run([browser, *window, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True)
        with Image.open(shot) as image:
            _write("report.png", np.asarray(image.convert("RGB")))


def _large(images: np.ndarray, times: int) -> np.ndarray:
    """Every pixel as a square of `times` × `times`."""
    return images.repeat(times, axis=1).repeat(times, axis=2)


def _write(name: str, pixels: np.ndarray) -> None:
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / name).write_bytes(png(pixels))


if __name__ == "__main__":
    sheets()
