"""The picture held as its frequencies and decorrelated colours, in which gradient ascent draws shapes, not noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.visualize.canvas import Canvas
from striate.explaining.visualize.palette import Palette

COLOUR_MATRIX = (
    (0.26, 0.09, 0.02),
    (0.27, 0.00, -0.05),
    (0.27, -0.09, 0.03),
)
"""A square root of the covariance of red, green and blue over the pixels of ImageNet, to two digits, as published with
Olah et al. 2017: its columns are grey, red against blue, and magenta against green, in falling strength."""

_START = 0.01


@dataclass(frozen=True)
class Fourier:
    """The coefficients of a two-dimensional Fourier series, each scaled by 1/f (Olah et al. 2017, "Feature
    visualization", https://distill.pub/2017/feature-visualization, section "Preconditioning and parameterization").

        x = sigmoid(C · irfft2(s / max(f, 1/max(h, w))) / 4)

    f is the frequency in cycles per pixel, s the complex values that are changed, scaled so that the transform keeps
    lengths; C mixes three uncorrelated colours into red, green and blue (`colour_matrix`) where the picture has these,
    and is left out elsewhere. The sum of squares of a natural picture falls with f², so in s all frequencies are alike:
    steepest ascent in s is ascent in the picture with its fine grain held back. `rate` is that of Adam.
    """

    rate: float = 0.05

    def canvas(self, palette: Palette, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor) -> Canvas:
        return _FourierCanvas(self.rate, palette, shape, generator, like)


class _FourierCanvas:
    def __init__(
        self,
        rate: float,
        palette: Palette,
        shape: tuple[int, int, int],
        generator: torch.Generator,
        like: Tensor,
    ) -> None:
        count, height, width = shape
        drawn = torch.randn((count, len(palette.channels), height, width // 2 + 1, 2), generator=generator)
        self.values = (_START * drawn).to(like.device, like.dtype).requires_grad_()
        self._size = height, width
        self._scale = (1 / frequencies(height, width).clamp(min=1 / max(height, width))).to(like.device, like.dtype)
        self._colours = colour_matrix().to(like.device, like.dtype) if palette.colour else None
        self._adam = torch.optim.Adam([self.values], lr=rate, maximize=True)

    def picture(self) -> Float[Tensor, "n c h w"]:
        waves = inverse(torch.view_as_complex(self.values * self._scale[..., None]), self._size) / 4
        if self._colours is not None:
            waves = torch.einsum("rc,nchw->nrhw", self._colours, waves)
        return torch.sigmoid(waves)

    def ascend(self, gradient: Tensor) -> None:
        self.values.grad = gradient
        self._adam.step()
        self.values.grad = None


def frequencies(height: int, width: int) -> Float[Tensor, "h v"]:
    """The frequency of each coefficient of a real picture's transform, in cycles per pixel: v = ⌊width/2⌋ + 1."""
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])


def inverse(spectrum: Tensor, size: tuple[int, int]) -> Float[Tensor, "n c h w"]:
    """The real pictures of a half spectrum (n c h ⌊w/2⌋+1), by the transform that keeps lengths."""
    return torch.fft.irfft2(spectrum, s=size, norm="ortho")


def colour_matrix() -> Float[Tensor, "3 3"]:
    """`COLOUR_MATRIX` divided by the length of its longest column."""
    matrix = torch.tensor(COLOUR_MATRIX)
    return matrix / matrix.norm(dim=0).max()
