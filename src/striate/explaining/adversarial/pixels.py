"""Whole pixels, and the input path from the pixels that an attack changes to those that the network reads."""

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
    """An attack that cannot be carried out as specified."""


@runtime_checkable
class InputPath(Protocol):
    """The path from the pixels that an attack changes to pixels of the network's input grid, both in levels.

    `differentiable` has a gradient; `exact` is what really happens to whole pixels.
    """

    @property
    def spec(self) -> InputSpec: ...

    def differentiable(self, pixels: Float[Tensor, "n c h w"], /) -> Float[Tensor, "n c height width"]: ...

    def exact(self, pixels: Pixels, /) -> Pixels: ...


@dataclass(frozen=True)
class OnGrid:
    """The identity path: the attack changes the pixels of the input grid."""

    spec: InputSpec

    def differentiable(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return pixels

    def exact(self, pixels: Pixels) -> Pixels:
        return pixels


@dataclass(frozen=True)
class ThroughPreparation:
    """The path of whole images that are then resized and cropped: pass it in place of the `InputSpec`.

    The images have the channels and the depth of `spec`, in any size. `differentiable`, which provides gradients, is
    their preparation without rounding (`striate.data.preparation.tensors.prepare_tensors`); pixels that the crop
    removes have no gradient. `exact` maps whole images (n h w c) to the input that the network receives (n height width
    c), including a file in between; it decides success.
    """

    spec: InputSpec
    differentiable: Callable[[Tensor], Tensor]
    exact: Callable[[Pixels], Pixels]


def depth(spec: InputSpec) -> np.dtype:
    """Return the dtype of the whole pixels of a network's input.

    Raises:
        AttackError: its pixels are not whole numbers of 8 or 16 bits.
    """
    if spec.maximum not in _DEPTHS:
        raise AttackError(
            f"An attack needs whole pixels of 8 or 16 bits; this network takes values up to {spec.maximum:g}."
        )
    return _DEPTHS[spec.maximum]


def levels_per_unit(spec: InputSpec) -> float:
    """Return the stored levels in a pixel unit of 0–255: 1 for 8 bits, 257 for 16."""
    return spec.maximum / 255


def checked(pixels: object, path: InputPath) -> Pixels:
    """Check that `pixels` is valid input of `path`, and return it.

    Raises:
        AttackError: they are of another type or shape.
    """
    wanted, (channels, height, width) = depth(path.spec), path.spec.shape
    on_grid = isinstance(path, OnGrid)
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
    """Convert whole pixels to float32 levels, in torch's order of axes."""
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)).to(device)


def to_pixels(levels: Float[Tensor, "n c h w"], dtype: np.dtype) -> Pixels:
    """Convert levels that are whole numbers to pixels."""
    return np.ascontiguousarray(levels.detach().cpu().numpy().transpose(0, 2, 3, 1)).astype(dtype)
