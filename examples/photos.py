"""A folder of made photos for the commands that want one: python examples/photos.py [FOLDER]

A folder per class, as in your own: bricks, coins and leaves on light tables, in many colours, sizes and turns. And what
every folder of photos holds: a photo twice, one saved again and smaller, one that the camera held on its side, one that
was cut off while it was copied.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# The outline of each thing as (distance from the centre, angle in degrees), and its usual red, green and blue.
OUTLINES = {
    "brick": [(1.0, angle) for angle in (25, 155, 205, 335)],
    "coin": [(0.75, angle) for angle in range(0, 360, 5)],
    "leaf": [(1.0, 0), (0.55, 40), (0.45, 90), (0.55, 140), (1.0, 180), (0.55, 220), (0.45, 270), (0.55, 320)],
}
COLOURS = {"brick": (130, 70, 60), "coin": (130, 110, 50), "leaf": (80, 110, 60)}
PHOTOS = 80  # of each class
ORIENTATION, ON_ITS_SIDE = 0x0112, 6  # of EXIF: turn by 90° to look upright


def photo(thing: str, draw: np.random.Generator) -> Image.Image:
    """One photo of a thing, from 120 to 240 pixels wide and high."""
    width, height = (int(side) for side in draw.integers(120, 241, 2))
    table = draw.integers(170, 211, 3) + draw.integers(-40, 41, (5, 6, 3))
    ground = Image.fromarray(table.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    radius, turn = min(width, height) * draw.uniform(0.25, 0.45), draw.uniform(0, 360)
    x, y = (side / 2 + draw.uniform(-0.2, 0.2) * side for side in (width, height))
    angles = [(radius * distance, np.radians(turn + angle)) for distance, angle in OUTLINES[thing]]
    seen = Image.new("L", (width, height))
    ImageDraw.Draw(seen).polygon([(x + r * np.cos(angle), y + r * np.sin(angle)) for r, angle in angles], fill=255)
    colour = tuple(int(value) for value in np.array(COLOURS[thing]) + draw.integers(-25, 26, 3))
    ground.paste(colour, mask=seen.filter(ImageFilter.GaussianBlur(1)))
    noisy = np.asarray(ground) + draw.normal(0, 8, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def write(folder: Path, seed: int = 0) -> None:
    """Write the folder, the same one every time."""
    draw = np.random.default_rng(seed)
    for thing in OUTLINES:
        (folder / thing).mkdir(parents=True)
        for number in range(1, PHOTOS + 1):
            photo(thing, draw).save(folder / thing / f"IMG_{number:04d}.jpg", quality=90)
    first = folder / "coin" / "IMG_0001.jpg"
    (folder / "coin" / "copy of IMG_0001.jpg").write_bytes(first.read_bytes())
    with Image.open(folder / "brick" / "IMG_0001.jpg") as image:
        image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(folder / "brick" / "small.jpg", quality=70)
    with Image.open(folder / "leaf" / "IMG_0001.jpg") as image:
        exif = Image.Exif()
        exif[ORIENTATION] = ON_ITS_SIDE
        image.transpose(Image.Transpose.ROTATE_90).save(folder / "leaf" / "IMG_0001.jpg", quality=90, exif=exif)
    whole = (folder / "leaf" / "IMG_0002.jpg").read_bytes()
    (folder / "leaf" / "IMG_0002.jpg").write_bytes(whole[: len(whole) // 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("photos"))
    folder = parser.parse_args().folder
    if folder.exists():
        parser.error(f"{folder} is there already.")
    write(folder)
    print(f"{folder}: {len(list(folder.glob('*/*.jpg')))} photos of {len(OUTLINES)} classes")


if __name__ == "__main__":
    main()
