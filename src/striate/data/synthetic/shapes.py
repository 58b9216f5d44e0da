"""`shapes`: made pictures of which the whole truth is known, to judge networks and their explanations against.

Each picture, 64×64 RGB, shows one object on a cluttered ground, among distractors. The class is the object's shape and
nothing else: texture, colour, size, tilt, place and ground are drawn independently of it, and the distractors carry
textures and colours drawn as the object's are. With `shortcut="patch"` a patch in a corner of the ground tells the
class by its colour in the training part; in the other parts it is there too, and its colour means nothing: a network
that has learnt the patch is found out, and an explanation can be asked where it says the network looks.

Any number of pictures: picture i is a function of (seed, i). A picture of a larger set is the picture of a smaller one.
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
_AT_ONCE = 128  # pictures rendered together: few enough for the processor's cache


@dataclass(frozen=True)
class ShapesOptions:
    """How many pictures, from which seed, and whether the ground betrays the class in the training part."""

    count: int = 6000
    seed: int = 0
    shortcut: Literal["none", "patch"] = "none"

    def __post_init__(self) -> None:
        if self.count < 1 or self.seed < 0:
            raise ConfigError(
                f"shapes needs at least one picture and a seed of at least 0; received {self.count} and {self.seed}."
            )


@dataclass(frozen=True, eq=False)
class Made:
    """Rendered pictures with the truth about them: the object's pixels, and those of the patch (not under the object;
    none where there is no patch)."""

    pixels: UInt8[np.ndarray, "n 64 64 3"]
    masks: Bool[np.ndarray, "n 64 64"]
    patches: Bool[np.ndarray, "n 64 64"]


def shapes(options: ShapesOptions | None = None) -> Dataset:
    """The made pictures as a data set with their masks: 60 % train, 20 % val, 20 % test, the classes even in each."""
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
    """Render the pictures of these indices."""
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
    """The class of each picture: they take turns, five pictures each (three train, one val, one test)."""
    return indices // 5 % len(CLASSES)


DATASETS.add("shapes", Named("made pictures, 64×64 RGB, of which the truth is known", shapes, ShapesOptions))
