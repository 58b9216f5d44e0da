"""Small data sets of images that any network can learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def two_colours(folder: Path, count: int) -> Path:
    """Make `count` noisy images of 14×14 pixels of each of two colours, and return `folder`."""
    draws = np.random.default_rng(3)
    for name, colour in (("green", (60, 160, 70)), ("red", (180, 60, 50))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = draws.normal(0, 25, (14, 14, 3)) + np.array(colour)
            Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def dark_and_light(folder: Path) -> Path:
    """Make 20 grey images of noise, 16×16 pixels, of each of two levels that overlap, and return `folder`."""
    draws = np.random.default_rng(0)
    for name, level in (("dark", 90), ("light", 130)):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(draws.normal(level, 60, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder
