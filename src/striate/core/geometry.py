"""Coordinates: from the model's input to the upright original image, and back.

Coordinates are continuous, (y, x), with pixel (i, j) covering [i, i+1) × [j, j+1): the centre of the first pixel is
(0.5, 0.5). In these coordinates, resizing is a scaling about the origin and cropping is a shift.
"""

from __future__ import annotations

from dataclasses import dataclass

from striate.core.spec import InputSpec


@dataclass(frozen=True)
class Placement:
    """Placement of one upright image on the input grid.

    The image is resized from `original` to `resized` (height, width). Input pixel (0, 0) is the point `offset` of the
    resized image: positive for a crop, negative for padding.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    offset: tuple[int, int]

    def to_original(self, y: float, x: float) -> tuple[float, float]:
        """Map the point (y, x) of the input grid to the upright original."""
        return (
            (y + self.offset[0]) * self.original[0] / self.resized[0],
            (x + self.offset[1]) * self.original[1] / self.resized[1],
        )

    def to_input(self, y: float, x: float) -> tuple[float, float]:
        """Map the point (y, x) of the upright original to the input grid."""
        return (
            y * self.resized[0] / self.original[0] - self.offset[0],
            x * self.resized[1] / self.original[1] - self.offset[1],
        )


def place(spec: InputSpec, height: int, width: int) -> Placement:
    """Compute the placement of an image of `height` × `width` under `spec`, from sizes alone."""
    if spec.resize == "stretch":
        resized = (round(spec.height / spec.crop), round(spec.width / spec.crop))
    else:
        by_height, by_width = spec.height / spec.crop / height, spec.width / spec.crop / width
        scale = max(by_height, by_width) if spec.resize == "cover" else min(by_height, by_width)
        resized = (max(1, round(height * scale)), max(1, round(width * scale)))
    # Floor division puts the odd pixel at the bottom and right, for a crop and for a pad.
    offset = ((resized[0] - spec.height) // 2, (resized[1] - spec.width) // 2)
    return Placement((height, width), resized, offset)
