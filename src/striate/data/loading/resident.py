"""Prepared images in the memory of a GPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from striate.data.dataset import Indices
from striate.data.loading.cache import CachedImages

_SHARE = 0.25  # of the free memory: activations need the rest
_PIECE = 64 << 20  # bytes


@dataclass(frozen=True, eq=False)
class ResidentImages:
    """Prepared images on a device: sample i is row `row[i]` of `pixels`, or absent where that is -1.

    `pixels` of 16 bits have a signed type, because torch gathers no unsigned numbers of more than 8 bits on a GPU;
    `dtype` is their own.
    """

    row: Indices
    pixels: Shaped[Tensor, "n c h w"]
    dtype: torch.dtype

    def take(self, index: Indices) -> Shaped[Tensor, "k c h w"]:
        """Return the images `index`, in that order, as a new tensor."""
        rows = torch.from_numpy(self.row[index]).to(self.pixels.device)
        return self.pixels.index_select(0, rows).view(self.dtype)


def resident(cached: CachedImages, device: torch.device) -> ResidentImages | None:
    """Copy `cached` to the memory of `device`; None if this is no GPU with memory of its own, or they do not fit."""
    pixels = cached.pixels
    if device.type != "cuda" or pixels.nbytes > _SHARE * torch.cuda.mem_get_info(device)[0]:
        return None
    return copied(cached, device)


def copied(cached: CachedImages, device: torch.device) -> ResidentImages:
    """Copy `cached` to `device`, a piece at a time: an array that is mapped from a file is never whole in memory."""
    pixels = cached.pixels
    dtype = torch.from_numpy(pixels[:0].copy()).dtype
    held = torch.empty(pixels.shape, dtype=torch.int16 if dtype == torch.uint16 else dtype, device=device)
    step = max(1, _PIECE // max(1, pixels[:1].nbytes))
    for start in range(0, len(pixels), step):
        held[start : start + step] = torch.from_numpy(pixels[start : start + step].copy()).view(held.dtype)
    return ResidentImages(cached.row, held, dtype)
