"""The differentiable twin of preparation: an attack on the photo itself looks through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from striate.core.geometry import Placement, place
from striate.core.spec import InputSpec
from striate.explaining.adversarial.pixels import Pixels


@dataclass(frozen=True)
class ThroughPreparation:
    """The attack changes a photo, which is then resized and cropped: give it in place of the `InputSpec`.

    The photo has the channels and the depth that `spec` names, in any size. `real` makes of whole photos (n h w c) what
    the network is really given (n height width c), with all that happens on the way (a file, say): by it success is
    judged. `soft`, by which gradients are found, does the same without rounding: rounded, its pixels differ from those
    of preparation by at most one level. Resizing is linear in the pixels, so a gradient comes back by the transposed
    filter; what the crop cuts away has none.
    """

    spec: InputSpec
    real: Callable[[Pixels], Pixels]

    def soft(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c height width"]:
        placement = place(self.spec, *pixels.shape[2:])
        return _window(_resized(pixels, placement.resized, self.spec), placement, self.spec)


def _resized(pixels: Float[Tensor, "n c h w"], size: tuple[int, int], spec: InputSpec) -> Float[Tensor, "n c y x"]:
    height, width = size
    if pixels.shape[2:] == size:
        return pixels
    if spec.filter == "nearest":
        rows, columns = (_nearest(before, after) for before, after in zip(pixels.shape[2:], size, strict=True))
        return pixels[:, :, rows][:, :, :, columns]
    wide = F.interpolate(pixels, (pixels.shape[2], width), mode=spec.filter, antialias=spec.antialias)
    if spec.maximum == 255:  # on the way of 8 bits no value leaves the range between the two halves
        wide = wide.clamp(0, spec.maximum)
    return F.interpolate(wide, (height, width), mode=spec.filter, antialias=spec.antialias).clamp(0, spec.maximum)


def _nearest(before: int, after: int) -> Tensor:
    """The old pixel under the centre of each new one."""
    return ((2 * torch.arange(after) + 1) * before) // (2 * after)


def _window(
    pixels: Float[Tensor, "n c y x"], placement: Placement, spec: InputSpec
) -> Float[Tensor, "n c {spec.height} {spec.width}"]:
    """The part that lies on the input grid: negative padding cuts, positive adds."""
    (top, left), (height, width) = placement.offset, placement.resized
    bottom, right = spec.height + top - height, spec.width + left - width
    return F.pad(pixels, (-left, right, -top, bottom), value=float(round(spec.padding * spec.maximum)))
