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
_NEAREST = 0.01  # to 0 and 1: there the sigmoid is flat, and nothing could be changed any more


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
        count, height, width = shape
        drawn = torch.randn((count, len(palette.channels), height, width // 2 + 1, 2), generator=generator)
        return _FourierCanvas(self, palette, (height, width), (_START * drawn).to(like.device, like.dtype))

    def holding(self, palette: Palette, pictures: Float[Tensor, "n c h w"]) -> Canvas:
        """A canvas that begins with these pictures, up to values very near 0 and 1."""
        height, width = pictures.shape[-2:]
        waves = torch.logit(pictures, _NEAREST)
        if palette.colour:
            waves = torch.einsum("rc,nchw->nrhw", torch.linalg.inv(colour_matrix()).to(waves), waves)
        spectrum = torch.fft.rfft2(4 * waves, norm="ortho")
        values = torch.view_as_real(spectrum) / falloff(height, width).to(waves)[..., None]
        return _FourierCanvas(self, palette, (height, width), values)


class _FourierCanvas:
    def __init__(self, settings: Fourier, palette: Palette, size: tuple[int, int], values: Tensor) -> None:
        self.values = values.requires_grad_()
        self._size = size
        self._falloff = falloff(*size).to(values)[..., None]
        self._colours = colour_matrix().to(values) if palette.colour else None
        self._adam = torch.optim.Adam([self.values], lr=settings.rate, maximize=True)

    def picture(self) -> Float[Tensor, "n c h w"]:
        spectrum = torch.view_as_complex(self.values * self._falloff)
        waves = torch.fft.irfft2(spectrum, s=self._size, norm="ortho") / 4
        if self._colours is not None:
            waves = torch.einsum("rc,nchw->nrhw", self._colours, waves)
        return torch.sigmoid(waves)

    def ascend(self, gradient: Tensor) -> None:
        self.values.grad = gradient
        self._adam.step()
        self.values.grad = None


def falloff(height: int, width: int) -> Float[Tensor, "h v"]:
    """1/f of each coefficient of a real picture's transform, v = ⌊width/2⌋ + 1; of the mean as of the lowest f."""
    cycles_per_pixel = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    return 1 / cycles_per_pixel.clamp(min=1 / max(height, width))


def colour_matrix() -> Float[Tensor, "3 3"]:
    """`COLOUR_MATRIX` divided by the length of its longest column."""
    matrix = torch.tensor(COLOUR_MATRIX)
    return matrix / matrix.norm(dim=0).max()
