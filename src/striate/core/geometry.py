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
    resized = _resized(spec, height, width)
    offset = [_offset(before - after, spec) for before, after in zip(resized, spec.size, strict=True)]
    return Placement((height, width), resized, (offset[0], offset[1]))


def _resized(spec: InputSpec, height: int, width: int) -> tuple[int, int]:
    if spec.resized is not None:
        return _to_sides(spec, (spec.resized[0], spec.resized[1]), height, width)
    if spec.resize == "stretch":
        return round(spec.height / spec.crop), round(spec.width / spec.crop)
    by_height, by_width = spec.height / spec.crop / height, spec.width / spec.crop / width
    scale = max(by_height, by_width) if spec.resize == "cover" else min(by_height, by_width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _to_sides(spec: InputSpec, sides: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Resize to explicit sides. The order of the operations is that of timm, which decides halves."""
    if spec.resize == "stretch":
        return sides
    ratios = height / sides[0], width / sides[1]
    ratio = min(ratios) if spec.resize == "cover" else max(ratios)
    if spec.side_rounding == "nearest":
        return max(1, round(height / ratio)), max(1, round(width / ratio))
    fixed = ratios.index(ratio)
    side, whole = sides[fixed], (height, width)[fixed]
    return max(1, side * height // whole), max(1, side * width // whole)


def _offset(margin: int, spec: InputSpec) -> int:
    """Return the corner of a crop (`margin` pixels are cut), or of a padding (a negative margin)."""
    if spec.offset_rounding == "floor":
        return margin // 2
    return round(margin / 2) if margin >= 0 else -(-margin // 2)
