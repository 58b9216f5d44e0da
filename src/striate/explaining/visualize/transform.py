"""Random transformations of the image at each step, so that only what survives them is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.model_view import ObjectiveError


@dataclass(frozen=True)
class Robustness:
    """Random padding, shift, scale and rotation (Olah et al. 2017, section "Transformation robustness").

    `pad`: the canvas goes on beyond each border of the image by this share of its sides, and what is there is cut off
    at the end; so no shift comes to an edge (the paper's images have grey there). `jitter`: the farthest shift either
    way, as a share of the sides. `scale`: the smallest and largest size. `degrees`: the largest rotation either way.
    All are drawn evenly, again for each image and step, and done in one bilinear sampling; the network always sees its
    own size.
    """

    pad: float = 0.08
    jitter: float = 0.08
    scale: tuple[float, float] = (0.8, 1.2)
    degrees: float = 15.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 <= self.pad <= 1 and 0 <= self.jitter <= 1 and 0 < low <= high and 0 <= self.degrees <= 180):
            raise ObjectiveError(
                f"pad and jitter are shares from 0 to 1, scale a smallest and a largest size above 0, degrees from 0 "
                f"to 180; received {self}."
            )

    def margins(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return by how many pixels the canvas extends beyond the image: above and below, left and right."""
        height, width = size
        return math.ceil(self.pad * height), math.ceil(self.pad * width)

    def view(
        self, canvas: Float[Tensor, "n c H W"], size: tuple[int, int], generator: torch.Generator
    ) -> Float[Tensor, "n c h w"]:
        """Return a random view, of `size`, of each canvas. Beyond the canvas lies its mirror image."""
        low, high = self.scale
        drawn = torch.rand((len(canvas), 4), generator=generator, dtype=torch.float64)
        size_drawn = low + (high - low) * drawn[:, 0]
        turn = math.radians(self.degrees) * (2 * drawn[:, 1] - 1)
        shift = self.jitter * (2 * drawn[:, 2:] - 1) * torch.tensor([size[1], size[0]])
        return sampled(canvas, size, size_drawn, turn, shift)


def sampled(
    canvas: Float[Tensor, "n c H W"],
    size: tuple[int, int],
    scale: Float[Tensor, " n"],
    turn: Float[Tensor, " n"],
    shift: Float[Tensor, "n 2"],
) -> Float[Tensor, "n c h w"]:
    """Sample views about the middle of each canvas: scaled, rotated by `turn` radians, moved by `shift` pixels.

    The view's pixel at (u, v) from its middle (x, y) is the canvas at R(turn)·(u, v)/scale + shift from the canvas's.
    """
    height, width = size
    u = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    v = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    cosine, sine = (function(turn)[:, None, None] / scale[:, None, None] for function in (torch.cos, torch.sin))
    x = cosine * u - sine * v[:, None] + shift[:, 0, None, None]
    y = sine * u + cosine * v[:, None] + shift[:, 1, None, None]
    grid = torch.stack([x * 2 / canvas.shape[3], y * 2 / canvas.shape[2]], dim=-1)  # from -1 to 1, edge to edge
    return F.grid_sample(canvas, grid.to(canvas), mode="bilinear", padding_mode="reflection", align_corners=False)
