"""Views: other ways of showing an image to a network at prediction time, whose answers are averaged.

The answer is the arithmetic mean of the probabilities of all views, as in Krizhevsky et al. 2012, "ImageNet
classification with deep convolutional neural networks", section 4.1, and Simonyan and Zisserman 2014,
arXiv:1409.1556, section 3.2. (The speed records on CIFAR-10 average logits instead, which is the geometric mean.)

Each member of a list of views replaces every way of showing the image by several: flip after shift shows the unmoved
image and each moved one as it is and mirrored.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from striate.core.config import override
from striate.core.errors import ConfigError
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range
from striate.core.settings_types import values_of
from striate.core.spec import InputSpec
from striate.data.augmentation import affine

VIEWS: Registry[type[View]] = Registry("view")

Change = Callable[[Float[Tensor, "n c h w"]], Float[Tensor, "n c y x"]]


@dataclass(frozen=True)
class Look:
    """One way of showing an image: prepared by `spec`, then changed. `weight` is that of its answer; all sum to 1."""

    spec: InputSpec
    changes: tuple[Change, ...] = ()
    weight: float = 1.0

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c y x"]:
        """Change images that were prepared and scaled by `spec`."""
        for change in self.changes:
            images = change(images)
        return images

    def changed(self, change: Change, weight: float) -> Look:
        """Return this look with one more change, and a fraction `weight` of its weight."""
        return replace(self, changes=(*self.changes, change), weight=self.weight * weight)


@dataclass(frozen=True, kw_only=True)
class View(Registered):
    """A kind of views with its options; the first option is what `NAME=VALUE` sets."""

    registry = VIEWS

    count: ClassVar[int]
    """Number of looks that replace one."""

    @abstractmethod
    def looks(self, look: Look) -> Iterator[Look]:
        """Yield the looks that replace `look`; their weights sum to its weight.

        Raises:
            ConfigError: images of this size have no such views.
        """


@dataclass(frozen=True, kw_only=True)
class Flip(View):
    """The image, and its mirror image left to right, each with weight 1/2."""

    count = 2

    def looks(self, look: Look) -> Iterator[Look]:
        yield replace(look, weight=look.weight / 2)
        yield look.changed(_mirror, 1 / 2)


@dataclass(frozen=True, kw_only=True)
class Shift(View):
    """The image with weight 1/2, and moved by some pixels down and right, and up and left, each with weight 1/4.

    Beyond the border the image is reflected. With `flip` after it these are the six views of airbench94 (K. Jordan,
    "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, section 3.5), which averages logits.

    Args:
        pixels: by how many pixels the image is moved in both directions.
    """

    count = 3

    pixels: int = 1

    def __post_init__(self) -> None:
        check_range(self, "pixels", at_least=1)

    def looks(self, look: Look) -> Iterator[Look]:
        if self.pixels >= min(look.spec.size):
            raise ConfigError(
                f"The view shift moves images by fewer pixels than their sides have, {min(look.spec.size)}; received "
                f"{self.pixels}."
            )
        yield replace(look, weight=look.weight / 2)
        for offset in (0, 2 * self.pixels):
            yield look.changed(partial(_moved, pixels=self.pixels, offset=offset), 1 / 4)


@dataclass(frozen=True, kw_only=True)
class Scale(View):
    """The image, and scaled about its centre by 1 + fraction and by 1 / (1 + fraction), each with weight 1/3.

    The size stays; as in the augmentation of this name, pixels are interpolated linearly, and beyond the border the
    image is reflected.

    Args:
        fraction: by how much the image is enlarged, above 0 and at most 1.
    """

    count = 3

    fraction: float = 0.1

    def __post_init__(self) -> None:
        check_range(self, "fraction", above=0, at_most=1)

    def looks(self, look: Look) -> Iterator[Look]:
        yield replace(look, weight=look.weight / 3)
        for factor in (1 + self.fraction, 1 / (1 + self.fraction)):
            yield look.changed(partial(_scaled, factor=factor), 1 / 3)


@dataclass(frozen=True, kw_only=True)
class Crops(View):
    """Five crops of the input's size, at the corners and the centre of a larger image, each with weight 1/5.

    Krizhevsky et al. 2012, section 4.1: 224×224 of 256×256. With `flip` they are the paper's ten crops. The larger
    image is prepared without centre crop.

    Args:
        share: side of a crop as a fraction of the larger image's side, at least 0.5 and below 1; none is the fraction
            that the centre crop of the preparation keeps, or 0.875 if it keeps all.
    """

    count = 5

    share: float | None = None

    def __post_init__(self) -> None:
        check_range(self, "share", at_least=0.5, below=1)

    def looks(self, look: Look) -> Iterator[Look]:
        height, width = look.spec.size
        if self.share is not None:
            larger = round(height / self.share), round(width / self.share)
        elif before_crop(look.spec) == look.spec.size:
            larger = round(height / 0.875), round(width / 0.875)
        else:
            larger = before_crop(look.spec)
        wide = replace(look, spec=uncropped(look.spec, larger))
        shares = height / larger[0], width / larger[1]
        for y, x in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)):
            yield wide.changed(partial(_cropped, shares=shares, place=(y, x)), 1 / 5)


@dataclass(frozen=True, kw_only=True)
class Sizes(View):
    """The whole image at three sizes, seen by the network in one pass each, with weight 1/3.

    Dense evaluation at several scales: Simonyan and Zisserman 2014, section 3.2, with Q = S - 32, S, S + 32 for S =
    256. The image is prepared without centre crop, and the network takes images larger and smaller than its input. We
    differ: the long side is cut to the aspect ratio of the input, and a network that averages a feature map averages
    features where the paper averages scores, which is the same for a linear last layer.

    Args:
        step: by which fraction the smallest and the largest size differ from the middle one, above 0 and below 1.
    """

    count = 3

    step: float = 0.125

    def __post_init__(self) -> None:
        check_range(self, "step", above=0, below=1)

    def looks(self, look: Look) -> Iterator[Look]:
        height, width = before_crop(look.spec)
        for factor in (1 - self.step, 1.0, 1 + self.step):
            size = max(1, round(factor * height)), max(1, round(factor * width))
            yield replace(look, spec=uncropped(look.spec, size), weight=look.weight / 3)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A list of views as a settings type, so that its text is read like that of augmentations."""

    views: tuple[View, ...] = ()


Views = str | View | Sequence[View]


def read_views(views: Views) -> tuple[View, ...]:
    """Return a list of views, given as such or as text: `"shift=2,flip"`, names with values of their first options.

    Raises:
        ConfigError: there is no such view or option, a value is out of range, or a view occurs twice.
    """
    if isinstance(views, View):
        return (views,)
    if not isinstance(views, str):
        listed = tuple(views)
        if not all(isinstance(each, View) for each in listed):
            raise ConfigError(f"Views are a text, as in 'shift=2,flip', or instances of views; received {views!r}.")
        _check_once([each.name for each in listed])
        return listed
    parts = [part.strip() for part in views.split(",") if part.strip() not in ("", "none")]
    _check_once([part.partition("=")[0].strip() for part in parts])
    changes = [f"views.{part if '=' in part else f'{part}=true'}" for part in parts]
    return override(Listed(), changes).views


def views_text(views: Sequence[View]) -> str:
    """Return a list of views as the text that `read_views` reads."""
    parts = []
    for each in views:
        value = next(iter(values_of(each).values()), None)
        parts.append(each.name if value is None else f"{each.name}={value:g}")
    return ",".join(parts)


def looks_of(views: Sequence[View], spec: InputSpec) -> tuple[Look, ...]:
    """Return all ways of showing an image that is prepared by `spec`; without views, the usual one.

    Raises:
        ConfigError: images of this size have no such views.
    """
    looks = [Look(spec)]
    for view in views:
        looks = [each for look in looks for each in view.looks(look)]
    return tuple(looks)


def looks_count(views: Sequence[View]) -> int:
    """Return how many looks a list of views has."""
    return math.prod(view.count for view in views)


def by_preparation(looks: Sequence[Look]) -> dict[InputSpec, tuple[Look, ...]]:
    """Return looks by their preparation, so that an image is prepared once for all that share one."""
    found: dict[InputSpec, tuple[Look, ...]] = {}
    for look in looks:
        found[look.spec] = (*found.get(look.spec, ()), look)
    return found


def before_crop(spec: InputSpec) -> tuple[int, int]:
    """Return the size of the part of the resized image from which the centre crop is taken."""
    if spec.resized is not None:
        return spec.resized[0], spec.resized[1]
    return round(spec.height / spec.crop), round(spec.width / spec.crop)


def uncropped(spec: InputSpec, size: tuple[int, int]) -> InputSpec:
    """Return the preparation without centre crop, for a network's input of `size`."""
    height, width = size
    if spec.resized is not None:
        return replace(spec, height=height, width=width, resized=(height, width))
    return replace(spec, height=height, width=width, crop=1.0)


def _check_once(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ConfigError(f"A list of views holds each view once; received {', '.join(names)}.")


def _mirror(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    return images.flip(3)


def _moved(images: Float[Tensor, "n c h w"], *, pixels: int, offset: int) -> Float[Tensor, "n c h w"]:
    height, width = images.shape[2:]
    padded = F.pad(images, (pixels,) * 4, mode="reflect")
    return padded[:, :, offset : offset + height, offset : offset + width]


def _scaled(images: Float[Tensor, "n c h w"], *, factor: float) -> Float[Tensor, "n c h w"]:
    return affine.warp(images, affine.diagonal(1 / factor, 1 / factor, len(images)), affine.Warp.UPRIGHT)


def _cropped(
    images: Float[Tensor, "n c h w"], *, shares: tuple[float, float], place: tuple[float, float]
) -> Float[Tensor, "n c y x"]:
    """Crop a fraction of the sides; `place` is 0 at the top and left, 1 at the bottom and right."""
    slices = []
    for side, share, where in zip(images.shape[2:], shares, place, strict=True):
        kept = max(1, round(share * side))
        start = int(where * (side - kept))
        slices.append(slice(start, start + kept))
    return images[:, :, slices[0], slices[1]]


VIEWS.add("flip", Flip)
VIEWS.add("shift", Shift)
VIEWS.add("scale", Scale)
VIEWS.add("crops", Crops)
VIEWS.add("sizes", Sizes)
