"""Join parts that hold arrays, all of one image size, into one data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from striate.core.errors import DataError
from striate.data.dataset import ArrayStore, Dataset, Split, numbered
from striate.data.images.decoded import ManyPixels
from striate.data.sources.registry import listed, title_of


@dataclass(frozen=True, eq=False)
class Part:
    """Images of one split (or of none) with their targets; their numbers are not checked yet.

    Targets are numbers of classes, or a column for each class where an image may have several.
    """

    split: Split | None
    pixels: ManyPixels
    targets: Shaped[np.ndarray, "m ..."]


def from_parts(
    path: Path, parts: Sequence[Part], classes: Sequence[str], channels: tuple[str, ...] | None = None
) -> Dataset:
    """Join parts into one data set; each part is a split under its name.

    Raises:
        DataError: the numbers of images and labels differ, the parts differ in image size or depth, or a label is not
            one of the classes.
    """
    for part in parts:
        name = part.split or "all"
        if len(part.pixels) != len(part.targets):
            raise DataError(f"{path} ({name}) holds {len(part.pixels):,} images but {len(part.targets):,} labels.")
        wrong = part.targets[(part.targets < 0) | (part.targets >= len(classes))]
        if len(wrong):
            raise DataError(
                f"{path} ({name}) holds the label {wrong[0]}; its {len(classes)} classes are 0 to {len(classes) - 1}."
            )
    kinds = {(part.pixels.shape[1:], str(part.pixels.dtype)) for part in parts}
    if len(kinds) > 1:
        raise DataError(f"The parts of {path} differ in image size or depth: {listed(sorted(kinds))}.")
    if not sum(len(part.pixels) for part in parts):
        raise DataError(f"{path} holds no images.")
    splits: dict[Split, np.ndarray] = {}
    names: list[str] = []
    for part in parts:
        if part.split and len(part.pixels):
            splits[part.split] = np.arange(len(names), len(names) + len(part.pixels), dtype=np.int64)
        names += numbered(part.split or "picture", len(part.pixels))
    pixels = parts[0].pixels if len(parts) == 1 else np.concatenate([part.pixels for part in parts])
    targets = np.concatenate([part.targets for part in parts])
    store = ArrayStore(pixels, names, channels)
    return Dataset(title_of(path), store, tuple(classes), targets, splits, str(path))
