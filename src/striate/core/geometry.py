"""Where a pixel of the network's input lies in the upright original, and back.

Coordinates are continuous, (y, x), with pixel (i, j) covering [i, i+1) × [j, j+1): the centre of the first pixel is
(0.5, 0.5). In these, resizing is a pure scaling about the origin and cropping a pure shift.
"""

from __future__ import annotations

from dataclasses import dataclass

from striate.core.spec import InputSpec


@dataclass(frozen=True)
class Placement:
    """How one upright picture was laid onto the input grid.

    The picture is resized from `original` to `resized` (height, width); then input pixel (0, 0) is put on the resized
    picture's point `offset` (positive where a crop cut something away, negative where padding was added).
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    offset: tuple[int, int]

    def to_original(self, y: float, x: float) -> tuple[float, float]:
        """The point of the upright original that lies under the point (y, x) of the input grid."""
        return (
            (y + self.offset[0]) * self.original[0] / self.resized[0],
            (x + self.offset[1]) * self.original[1] / self.resized[1],
        )

    def to_input(self, y: float, x: float) -> tuple[float, float]:
        """The point of the input grid onto which the point (y, x) of the upright original falls."""
        return (
            y * self.resized[0] / self.original[0] - self.offset[0],
            x * self.resized[1] / self.original[1] - self.offset[1],
        )


def place(spec: InputSpec, height: int, width: int) -> Placement:
    """Where a picture of `height` × `width` comes to lie under `spec`: pure arithmetic on sizes, no pixels."""
    if spec.resize == "stretch":
        resized = (round(spec.height / spec.crop), round(spec.width / spec.crop))
    else:
        by_height, by_width = spec.height / spec.crop / height, spec.width / spec.crop / width
        scale = max(by_height, by_width) if spec.resize == "cover" else min(by_height, by_width)
        resized = (max(1, round(height * scale)), max(1, round(width * scale)))
    # Floor division keeps the odd pixel at the bottom and right for a crop and for a pad alike.
    offset = ((resized[0] - spec.height) // 2, (resized[1] - spec.width) // 2)
    return Placement((height, width), resized, offset)
