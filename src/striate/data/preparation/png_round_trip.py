"""What becomes of pixels that are written to a file and then used: the whole road, for those who change pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8, UInt16

from striate.core.spec import InputSpec
from striate.data.images.decode import decode
from striate.data.images.encode import to_png
from striate.data.preparation.transforms import prepare

Photos = UInt8[np.ndarray, "n h w c"] | UInt16[np.ndarray, "n h w c"]
OnGrid = UInt8[np.ndarray, "n {spec.height} {spec.width} c"] | UInt16[np.ndarray, "n {spec.height} {spec.width} c"]


def reread(photos: Photos, spec: InputSpec) -> OnGrid:
    """`photos`, in the channels of `spec`, each written as a PNG, read again and prepared.

    Raises:
        DataError: a PNG does not hold such channels.
    """
    files = (to_png(photo, spec.channels) for photo in photos)
    return np.stack([prepare(decode(file, spec), spec).transpose(1, 2, 0) for file in files])
