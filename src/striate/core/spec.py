"""Specifications of a model's input and of its classes, stored with the weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from striate.core.errors import ConfigError
from striate.core.names import canonical

_LARGEST = 2**16  # pixels of a side
_LEAST_CROP = 0.01
_MOST = 1e30  # largest number of the scale: its products with pixel values still fit float32
RGB = ("red", "green", "blue")
GREY = ("grey",)

ResizeRule = Literal["stretch", "cover", "contain"]
Filter = Literal["nearest", "bilinear", "bicubic"]
Resampler = Literal["torch", "pillow"]
Rounding = Literal["nearest", "floor"]


def channel_names(count: int) -> tuple[str, ...]:
    """Name `count` channels where the data do not: grey, RGB, or `channel1`, `channel2` …"""
    if count == len(GREY):
        return GREY
    if count == len(RGB):
        return RGB
    return tuple(f"channel{number}" for number in range(1, count + 1))


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Preparation of a decoded, upright image as input of a model.

    In order: select and order the channels, composite alpha over `background`, resize by `resize` with `filter`, crop
    or pad to `height` × `width`, then scale: (value / maximum - mean) / std, channel by channel.

    `channels`: names of the channels in the model's order (`("red", "green", "blue")`, `("grey",)`, or custom names).
    `maximum`: the stored value of full intensity (255 for 8-bit, 65535 for 16-bit, 1 for floating-point images).
    `resize`: `stretch` resizes to the size without keeping the aspect ratio; `cover` scales the image until it covers
    the size, then crops the centre; `contain` scales it until it fits inside, then pads with `padding` (a fraction of
    `maximum`; None: each channel's mean). `crop`: the fraction of the covering image's side that the centre crop keeps
    (ImageNet's 224 of 256 is 0.875). `antialias`: whether the filter is widened when shrinking. `decode_scale`: a JPEG
    may be decoded at 1/2, 1/4 or 1/8 as long as both its sides stay at least this many times larger than the resize
    needs; 0 always decodes at full size.

    The other fields reproduce the evaluation transforms of other libraries to the pixel. `resized`: height and width to
    which `resize` applies before the crop, instead of the input's size divided by `crop`. `side_rounding`: the rounding
    of the longer side that keeps the aspect ratio (torchvision: `floor`). `offset_rounding`: the rounding of half a
    pixel in the corner of the centre crop: `floor`, or `nearest` with halves to even, as torchvision and timm have it.
    `resampler`: the library that computes the resize of 8-bit images. Pillow always widens the filter when shrinking,
    and differs from torch by a level (of a cubic filter by more, where it overshoots).
    """

    channels: tuple[str, ...]
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    maximum: float = 255.0
    resize: ResizeRule = "cover"
    crop: float = 1.0
    filter: Filter = "bilinear"
    antialias: bool = True
    padding: float | None = 0.0
    background: float = 1.0
    decode_scale: float = 2.0
    resized: tuple[int, ...] | None = None
    side_rounding: Rounding = "nearest"
    offset_rounding: Rounding = "floor"
    resampler: Resampler = "torch"

    def __post_init__(self) -> None:
        count = len(self.channels)
        if count < 1 or len(self.mean) != count or len(self.std) != count:
            raise ConfigError(
                f"An input needs a mean and a std for each of its {count} channels; "
                f"received {len(self.mean)} and {len(self.std)}."
            )
        if not (1 <= self.height <= _LARGEST and 1 <= self.width <= _LARGEST):
            raise ConfigError(
                f"An input is at least 1×1 and at most {_LARGEST:,}×{_LARGEST:,} pixels; "
                f"received {self.height}×{self.width}."
            )
        numbers = (
            *self.mean,
            *self.std,
            self.maximum,
            self.crop,
            self.background,
            self.decode_scale,
            self.padding or 0,
        )
        if not all(abs(number) <= _MOST for number in numbers):  # NaN fails, too
            raise ConfigError(
                f"mean, std, maximum, crop, padding, background and decode_scale are numbers of at most {_MOST:g}."
            )
        if min(self.std) <= 0 or self.maximum <= 0:
            raise ConfigError(f"std and maximum are positive; received std {self.std}, maximum {self.maximum:g}.")
        if min(*self.std, self.maximum) < 1 / _MOST or max(map(abs, (*self.scaling[0], *self.scaling[1]))) > _MOST:
            raise ConfigError(
                f"std and maximum are too small for values to be divided by them; received std {self.std}, "
                f"maximum {self.maximum:g}."
            )
        if not _LEAST_CROP <= self.crop <= 1:
            raise ConfigError(
                f"crop is the share of the image that is kept, at least {_LEAST_CROP} and at most 1; "
                f"received {self.crop:g}."
            )
        if self.decode_scale != 0 and self.decode_scale < 1:
            raise ConfigError(f"decode_scale is 0 (off) or at least 1; received {self.decode_scale:g}.")
        self._check_transforms()

    def _check_transforms(self) -> None:
        """Check the fields that reproduce transforms of other libraries."""
        if self.resized is None:
            if self.side_rounding != "nearest":
                raise ConfigError("side_rounding applies to explicit sides: give resized, too.")
        elif self.crop != 1:
            raise ConfigError("crop and resized both define the sides before the crop: give one of them.")
        elif len(self.resized) != 2 or not all(1 <= side <= _LARGEST for side in self.resized):
            raise ConfigError(
                f"resized is a height and a width of 1 to {_LARGEST:,} pixels; received {list(self.resized)}."
            )
        if self.resampler == "pillow" and (self.maximum != 255 or not self.antialias):
            raise ConfigError("The resampler pillow takes 8-bit images (maximum 255), with antialias.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return len(self.channels), self.height, self.width

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.height, self.width

    @property
    def scaling(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Factor and offset of each channel, for the scale as factor · value + offset."""
        factors = tuple(1 / (self.maximum * std) for std in self.std)
        return factors, tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))


@dataclass(frozen=True)
class LabelSpec:
    """Class names, in the order of the model's outputs.

    Names are stored in one Unicode form (`striate.core.names.canonical`).
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(canonical, self.classes)))
        if len(self.classes) < 2:
            raise ConfigError(f"At least two classes are required; received {list(self.classes)}.")
        twice = sorted(name for name, count in Counter(self.classes).items() if count > 1)
        if twice:
            raise ConfigError(f"Class names must differ; received {', '.join(twice)} more than once.")

    def __len__(self) -> int:
        return len(self.classes)
