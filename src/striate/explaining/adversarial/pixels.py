"""Whole pixels, and the road from those that an attack changes to those that the network reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16
from torch import Tensor

from striate.core.errors import StriateError
from striate.core.spec import InputSpec

Pixels = UInt8[np.ndarray, "n h w c"] | UInt16[np.ndarray, "n h w c"]

_DEPTHS = {255.0: np.dtype(np.uint8), 65535.0: np.dtype(np.uint16)}


class AttackError(StriateError):
    """An attack that cannot be carried out as asked."""


@runtime_checkable
class Road(Protocol):
    """How pixels that an attack changes become pixels of the network's input grid, both in stored values (levels).

    `soft` is differentiable; `real` is what truly happens to whole pixels.
    """

    @property
    def spec(self) -> InputSpec: ...

    def soft(self, pixels: Float[Tensor, "n c h w"], /) -> Float[Tensor, "n c height width"]: ...

    def real(self, pixels: Pixels, /) -> Pixels: ...


@dataclass(frozen=True)
class OnGrid:
    """No road at all: the attack changes the pixels of the input grid."""

    spec: InputSpec

    def soft(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return pixels

    def real(self, pixels: Pixels) -> Pixels:
        return pixels


@dataclass(frozen=True)
class ThroughPreparation:
    """The attack changes whole images, which are then resized and cropped: pass it in place of the `InputSpec`.

    The images have the channels and the depth that `spec` names, in any size. `soft`, by which gradients are computed,
    is their preparation without rounding (`striate.data.preparation.tensors.prepare_tensors`); what the crop removes
    has no gradient. `real` maps whole images (n h w c) to what the network receives (n height width c), a file in
    between included; success is measured by it.
    """

    spec: InputSpec
    soft: Callable[[Tensor], Tensor]
    real: Callable[[Pixels], Pixels]


def depth(spec: InputSpec) -> np.dtype:
    """The type of the whole pixels of a network's input.

    Raises:
        AttackError: its pixels are not whole numbers of 8 or 16 bits.
    """
    if spec.maximum not in _DEPTHS:
        raise AttackError(
            f"An attack works on whole pixels of 8 or 16 bits; this network takes values up to {spec.maximum:g}."
        )
    return _DEPTHS[spec.maximum]


def levels_per_unit(spec: InputSpec) -> float:
    """Stored levels in a pixel unit of 0–255: 1 for 8 bits, 257 for 16."""
    return spec.maximum / 255


def checked(pixels: object, road: Road) -> Pixels:
    """`pixels`, if they are what `road` begins with.

    Raises:
        AttackError: they are of another type or shape.
    """
    wanted, (channels, height, width) = depth(road.spec), road.spec.shape
    on_grid = isinstance(road, OnGrid)
    size = f"{height}, {width}" if on_grid else "height, width"
    fits = (
        isinstance(pixels, np.ndarray)
        and pixels.dtype == wanted
        and pixels.ndim == 4
        and 0 not in pixels.shape
        and pixels.shape[3] == channels
        and (not on_grid or pixels.shape[1:3] == (height, width))
    )
    if not fits:
        given = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise AttackError(f"Expected whole pixels, {wanted} of shape (n, {size}, {channels}); received {given}.")
    return pixels  # type: ignore[return-value]


def to_levels(pixels: Pixels, device: torch.device) -> Float[Tensor, "n c h w"]:
    """Whole pixels as float32 levels, in torch's order of axes."""
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)).to(device)


def to_pixels(levels: Float[Tensor, "n c h w"], dtype: np.dtype) -> Pixels:
    """Levels that are whole numbers as pixels."""
    return np.ascontiguousarray(levels.detach().cpu().numpy().transpose(0, 2, 3, 1)).astype(dtype)
