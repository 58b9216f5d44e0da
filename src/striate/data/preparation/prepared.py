"""Pictures that are already prepared: what they say, and when it is believed.

An adversarial picture lives on the input grid of a network. Resized and cropped once more, as `InputSpec.crop` asks of
every photo, it would be another picture. So its file says for which grid it was prepared, and preparation for that grid
takes its pixels as they are; only the scale is still to be done.
"""

from __future__ import annotations

from striate.core.geometry import Placement, place
from striate.core.spec import InputSpec
from striate.data.images.decoded import Picture


def mark(spec: InputSpec) -> str:
    """What a picture says that is prepared for `spec`: the size of the grid and its channels."""
    return f"{spec.height}x{spec.width} {','.join(spec.channels)}"


def is_prepared(picture: Picture, spec: InputSpec) -> bool:
    """Whether `picture` says that it is prepared for a grid like that of `spec`, and has its size.

    A program that has changed the size or turned the picture may have kept the chunk: then it is a picture like any
    other.
    """
    return picture.prepared == mark(spec) and picture.original == spec.size and picture.orientation == 1


def placed(picture: Picture, spec: InputSpec) -> Placement:
    """Where `picture` comes to lie on the input grid: as it is, if it is prepared."""
    if is_prepared(picture, spec):
        return Placement(spec.size, spec.size, (0, 0))
    return place(spec, *picture.original)
