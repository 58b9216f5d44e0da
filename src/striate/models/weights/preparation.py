"""The preparation for published weights: the evaluation transforms of timm and torchvision as an `InputSpec`.

On 8-bit PIL images both libraries resize by Pillow, and the prepared pixels are theirs to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from striate.core.errors import ConfigError
from striate.core.spec import Filter, InputSpec, channel_names

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CROP = 0.875  # 224 of 256
_FILTERS = ("nearest", "bilinear", "bicubic")


def input_spec_of(config: Mapping[str, Any], *, test_size: bool = False) -> InputSpec:
    """Convert timm's `pretrained_cfg`, as `timm.data.create_transform` reads it for evaluation.

    `test_size` prefers the fields `test_input_size` and `test_crop_pct`, with which timm publishes accuracies, like
    `timm.data.resolve_data_config(use_test_size=True)`. A missing field has timm's default.

    Raises:
        ConfigError: a value that timm does not write.
    """
    size = _chosen(config, "input_size", test_size) or (3, 224, 224)
    if len(size) != 3 or not all(type(side) is int for side in size):
        raise ConfigError(f"input_size is channels, height and width; received {size!r}.")
    crop = _chosen(config, "crop_pct", test_size) or _CROP
    if not isinstance(crop, (int, float)) or not 0.01 <= crop <= 100:
        raise ConfigError(f"crop_pct is a number from 0.01 to 100; received {crop!r}.")
    channels, height, width = size
    sides = math.floor(height / crop), math.floor(width / crop)
    mean, std = (
        tuple(map(float, config.get(name) or usual))[:channels]
        for name, usual in zip(("mean", "std"), _IMAGENET, strict=True)
    )
    centre = InputSpec(
        channels=channel_names(channels),
        height=height,
        width=width,
        mean=mean,
        std=std,
        resized=sides,
        filter=_filter(config.get("interpolation") or "bicubic"),
        side_rounding="floor" if sides[0] == sides[1] else "nearest",  # timm leaves a square to torchvision
        offset_rounding="nearest",
        resampler="pillow",
        decode_scale=0.0,
    )
    match config.get("crop_mode") or "center":
        case "center":
            return centre
        case "squash":
            return replace(centre, resize="stretch", side_rounding="nearest")
        case "border":
            return replace(centre, resize="contain", side_rounding="nearest", padding=None)
        case other:
            raise ConfigError(f"crop_mode is center, squash or border; received {other!r}.")


def input_spec_of_preset(preset: Any) -> InputSpec:
    """Convert torchvision's `ImageClassification`, the preset in `weights.transforms()`.

    Raises:
        ConfigError: it has a filter other than nearest, bilinear and bicubic.
    """
    resized, (height, width) = _sides(preset.resize_size), _pair(preset.crop_size)
    return InputSpec(
        channels=channel_names(len(preset.mean)),
        height=height,
        width=width,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        resize="cover" if len(resized) == 1 else "stretch",
        resized=_pair(resized),
        filter=_filter(str(getattr(preset.interpolation, "value", preset.interpolation))),
        side_rounding="floor",
        offset_rounding="nearest",
        resampler="pillow",
        decode_scale=0.0,
    )


def _chosen(config: Mapping[str, Any], name: str, test_size: bool) -> Any:
    return (test_size and config.get(f"test_{name}")) or config.get(name)


def _filter(name: Any) -> Filter:
    if name not in _FILTERS:
        raise ConfigError(f"The filter of a resize is {', '.join(_FILTERS)}; received {name!r}.")
    return cast(Filter, name)


def _sides(size: int | Sequence[int]) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    sides = _sides(size)
    return sides[0], sides[-1]
