"""`shapes`: synthetic images with complete ground truth, to evaluate models and their explanations.

Each image, 64×64 RGB, shows one object on a cluttered ground, among distractors. The class is the shape of the object
and nothing else: texture, colour, size, tilt, place and ground are drawn independently of it, and the distractors have
textures and colours of the same distribution. With `shortcut="patch"`, the colour of a patch in a corner of the ground
is that of the class in the training split; in the other splits it is random. A model that has learnt the patch can thus
be detected, and its explanations can be tested for showing the patch.

Image i is a function of (seed, i), so a larger set contains the images of a smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from striate.core.errors import ConfigError
from striate.core.spec import RGB
from striate.data.dataset import ArrayStore, Dataset, Split, numbered
from striate.data.sources.named_registry import DATASETS, Named
from striate.data.synthetic.painting import paint
from striate.data.synthetic.scene import SIDE, draw
from striate.data.synthetic.shapes_masks import FORMS

CLASSES = tuple(FORMS)
_AT_ONCE = 128  # images rendered together: few enough for the processor's cache


@dataclass(frozen=True)
class ShapesOptions:
    """Number of images, seed, and whether a patch in the ground reveals the class in the training split."""

    count: int = 6000
    seed: int = 0
    shortcut: Literal["none", "patch"] = "none"

    def __post_init__(self) -> None:
        if self.count < 1 or self.seed < 0:
            raise ConfigError(
                f"shapes needs at least one image and a seed of at least 0; received {self.count} and {self.seed}."
            )


@dataclass(frozen=True, eq=False)
class Made:
    """Rendered images with their ground truth: the pixels of the object, and those of the patch.

    The patch excludes pixels under the object; without a patch it is empty.
    """

    pixels: UInt8[np.ndarray, "n 64 64 3"]
    masks: Bool[np.ndarray, "n 64 64"]
    patches: Bool[np.ndarray, "n 64 64"]


def shapes(options: ShapesOptions | None = None) -> Dataset:
    """Open synthetic images with their masks: 60 % train, 20 % val, 20 % test, the classes even in each."""
    options = options or ShapesOptions()
    indices = np.arange(options.count)
    made = make(indices, options)
    place = indices % 5
    parts: dict[Split, np.ndarray] = {
        "train": indices[place < 3],
        "val": indices[place == 3],
        "test": indices[place == 4],
    }
    store = ArrayStore(made.pixels, numbered("shape", options.count), RGB)
    source = f"shapes:count={options.count},seed={options.seed},shortcut={options.shortcut}"
    return Dataset("shapes", store, CLASSES, _targets(indices), parts, source, masks=made.masks.__getitem__)


def make(indices: Int64[np.ndarray, " n"], options: ShapesOptions) -> Made:
    """Render the images of these indices."""
    pixels = np.empty((len(indices), SIDE, SIDE, 3), np.uint8)
    masks = np.empty((len(indices), SIDE, SIDE), bool)
    patches = np.empty_like(masks)
    for start in range(0, len(indices), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        tells = indices[here] % 5 < 3 if options.shortcut == "patch" else None
        pixels[here], masks[here], patches[here] = paint(
            draw(options.seed, indices[here], _targets(indices[here]), tells)
        )
    return Made(pixels, masks, patches)


def _targets(indices: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return the class of each image: classes alternate every five images (three train, one val, one test)."""
    return indices // 5 % len(CLASSES)


DATASETS.add("shapes", Named("synthetic images, 64×64 RGB, of which the truth is known", shapes, ShapesOptions))
