"""Images as pixels: plain, or kept smooth by regularization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.model_view import ObjectiveError
from striate.explaining.visualize.parameterization import Canvas

_START = 0.01
Images = Float[Tensor, "n c h w"]


class _Deviation:
    """The image as its deviation z from the mean image. All its steps have one length:

        z ← r(z + rate · g / √(mean g²))    then clamped to the range of images

    The papers leave the length of a step open; with this one it does not depend on the network's scaling.
    `regularized(z, g, step)` is r.
    """

    def __init__(
        self,
        mean: Tensor,
        start: Images,
        rate: float,
        gradient: Callable[[Tensor, Tensor], Tensor],
        regularized: Callable[[Tensor, Tensor, int], Tensor],
    ) -> None:
        self.values = start.requires_grad_()
        self._mean = mean
        self._rate = rate
        self._gradient = gradient
        self._regularized = regularized
        self._steps = 0

    def images(self) -> Images:
        return self._mean + self.values

    @torch.no_grad()
    def ascend(self, gradient: Tensor) -> None:
        self._steps += 1
        full = self._gradient(self.values, gradient)
        size = full.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=torch.finfo(full.dtype).tiny)
        moved = self._regularized(self.values + self._rate * full / size, gradient, self._steps)
        self.values.copy_((self._mean + moved).clamp(0, 1) - self._mean)


@dataclass(frozen=True)
class Pixels:
    """Pixels with an L2 penalty: arg max_z S(m + z) - λ ‖z‖², from nearly z = 0 (Simonyan et al. 2013, section 2).

    m is the mean image, values are shares of full intensity; `penalty` is λ, and depends on the size of the
    objective's activations. Where we differ: values stay between 0 and 1, so that what is scored can be shown.
    """

    penalty: float = 0.02
    rate: float = 0.01

    def canvas(
        self, scaling: ImageScaling, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor
    ) -> Canvas:
        def penalized(values: Tensor, gradient: Tensor) -> Tensor:
            return gradient - 2 * self.penalty * values

        start = _noise(scaling, shape, generator, like)
        return _Deviation(scaling.mean(like), start, self.rate, penalized, lambda values, gradient, step: values)


@dataclass(frozen=True)
class BlurredPixels:
    """Pixels with the regularisations of Yosinski et al. 2015, arXiv:1506.06579, section 4.

    Each step is followed, in this order, by L2 decay (all values times 1 - `decay`), every `blur_every` steps by a
    Gaussian blur of `blur_sigma_px`, and by clipping: the fraction `clip_norm` of the pixels with the smallest norms,
    and the fraction `clip_contribution` with the smallest contributions to the objective |Σ_c z·g|, are set to the mean
    colour. The defaults resemble the paper's settings: rare blurs, and clipping by contribution.
    """

    decay: float = 0.0001
    blur_sigma_px: float = 0.8
    blur_every: int = 4
    clip_norm: float = 0.0
    clip_contribution: float = 0.3
    rate: float = 0.03

    def __post_init__(self) -> None:
        shares = self.decay, self.clip_norm, self.clip_contribution
        if not all(0 <= share <= 1 for share in shares) or self.blur_sigma_px < 0 or self.blur_every < 1:
            raise ObjectiveError(
                f"decay, clip_norm and clip_contribution are shares from 0 to 1, blur_sigma_px is at least 0, "
                f"blur_every at least 1; received {self}."
            )

    def canvas(
        self, scaling: ImageScaling, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor
    ) -> Canvas:
        start = _noise(scaling, shape, generator, like)
        return _Deviation(scaling.mean(like), start, self.rate, lambda _, gradient: gradient, self._regularized)

    def _regularized(self, values: Tensor, gradient: Tensor, step: int) -> Tensor:
        values = values * (1 - self.decay)
        if self.blur_sigma_px and step % self.blur_every == 0:
            values = blurred(values, self.blur_sigma_px)
        if self.clip_norm:
            values = _largest(values, values.norm(dim=1, keepdim=True), self.clip_norm)
        if self.clip_contribution:
            values = _largest(values, (values * gradient).sum(1, keepdim=True).abs(), self.clip_contribution)
        return values


def blurred(images: Images, sigma_px: float) -> Images:
    """Blur each channel with a Gaussian, cut off at 3σ; border pixels are repeated."""
    reach = max(1, round(3 * sigma_px))
    distance = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-(distance**2) / (2 * sigma_px**2))
    weights = (weights / weights.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, weights, groups=images.shape[1]), weights.transpose(2, 3), groups=images.shape[1])


def _largest(values: Images, by: Float[Tensor, "n 1 h w"], share: float) -> Images:
    """Return `values`, set to 0 at the fraction of the pixels where `by` is smallest."""
    return values.where(by >= by.flatten(1).quantile(share, dim=1)[:, None, None, None], 0)


def _noise(scaling: ImageScaling, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor) -> Images:
    """Draw almost nothing: just enough that the images of a batch differ."""
    count, height, width = shape
    drawn = torch.randn((count, len(scaling.channels), height, width), generator=generator)
    return (_START * drawn).to(like.device, like.dtype)
