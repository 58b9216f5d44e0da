"""Recognised copies: how many photos are still found in a data set after they were changed.

    python benchmarks/copies.py [--quick] [--write]

Each photo of `photos-dog-cat` is changed and compared with all of them, as `striate evaluate` does for images that the
classifier has seen. Photos of `imagenet-samples`, none of which is a copy, are compared too.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from _measure import Figures, write_result
from _sides import real_data
from striate.data.audit.duplicates import Appearances, thumbnail, tint
from striate.data.audit.visible import visible
from striate.data.images.decode import decode

Change = Callable[[Image.Image], bytes]


def saved(image: Image.Image, kind: str = "BMP", **options: int) -> bytes:
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def cropped(image: Image.Image, fraction: float) -> Image.Image:
    """Cut off this fraction of the width and of the height, half of it at each side."""
    x, y = (round(side * fraction / 2) for side in image.size)
    return image.crop((x, y, image.width - x, image.height - y))


CHANGES: Mapping[str, Change] = {
    "half as large": lambda image: saved(image.reduce(2)),
    "stretched to 224×224": lambda image: saved(image.resize((224, 224))),
    "JPEG, quality 40": lambda image: saved(image, "JPEG", quality=40),
    "JPEG, quality 10": lambda image: saved(image, "JPEG", quality=10),
    "grey": lambda image: saved(image.convert("L")),
    "cropped by 3 %": lambda image: saved(cropped(image, 0.03)),
    "cropped by 5 %": lambda image: saved(cropped(image, 0.05)),
    "cropped by 10 %": lambda image: saved(cropped(image, 0.10)),
    "mirrored": lambda image: saved(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


def appearances(files: list[bytes]) -> Appearances:
    thumbnails, tints = [], []
    for file in files:
        image = decode(file)
        seen, _ = visible(image.pixels, image.channels)
        thumbnails.append(thumbnail(seen))
        tints.append(tint(seen))
    return Appearances(np.stack(thumbnails), np.stack(tints))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few photos")
    parser.add_argument("--write", action="store_true", help="write results/copies.md and .json")
    arguments = parser.parse_args()
    photos, others = (
        [path.read_bytes() for path in sorted(real_data(name).glob(pattern))][:: 20 if arguments.quick else 1]
        for name, pattern in (("photos-dog-cat", "*/*.jpg"), ("imagenet-samples", "*.jp*g"))
    )
    originals = appearances(photos)
    images = [Image.open(io.BytesIO(photo)).convert("RGB") for photo in photos]

    def row(name: str, given: Appearances, among: Appearances) -> tuple[str, str, str]:
        return name, str(len(given)), str(int(given.copied_from(among).sum()))

    rows = [row(name, appearances([change(image) for image in images]), originals) for name, change in CHANGES.items()]
    rows.append(row("other photos", appearances(others), originals))
    found = 0
    for number in range(len(photos)):
        rest = np.delete(np.arange(len(photos)), number)
        found += int(originals.of(np.array([number])).copied_from(originals.of(rest)).sum())
    rows.append(("each photo, among the rest", str(len(photos)), str(found)))
    table = Figures(("", "photos", "recognised"), tuple(rows), f"Compared with {len(photos)} photos.")
    print(table.markdown())
    if arguments.write:
        write_result("copies", "Recognised copies of photos", {"Recognised": table})


if __name__ == "__main__":
    main()
