"""Images as frequencies and decorrelated colours, in which gradient ascent draws shapes instead of noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from striate.core.compiler import without_compiler
from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.parameterization import Canvas

_Adam = without_compiler(torch.optim.Adam)

COLOUR_MATRIX = (
    (0.26, 0.09, 0.02),
    (0.27, 0.00, -0.05),
    (0.27, -0.09, 0.03),
)
"""A square root of the covariance of red, green and blue over the pixels of ImageNet, to two digits, as published with
Olah et al. 2017: its columns are grey, red against blue, and magenta against green, in falling strength."""

_START = 0.01
_NEAREST = 0.01  # to 0 and 1: there the sigmoid is flat, and its gradient vanishes


@dataclass(frozen=True)
class Fourier:
    """The coefficients of a two-dimensional Fourier series, each scaled by a falling function of its frequency f.

        x = sigmoid(C · irfft2(s · (f₀/max(f, f₀))^power / f₀) / 4)        f₀ = 1/max(h, w)

    After Olah et al. 2017, "Feature visualization", https://distill.pub/2017/feature-visualization, section
    "Preconditioning and parameterization". f is in cycles per pixel, s are the complex values that are changed, and
    irfft2 keeps lengths; C mixes three uncorrelated colours into red, green and blue (`colour_matrix`) where the image
    has these, and is left out elsewhere. In natural images amplitudes fall with 1/f, so that at `power` 1, the paper's,
    all of s are alike, and steepest ascent in s is ascent in the image with its fine grain held back; here it is held
    back a little more. `rate` is that of Adam.
    """

    power: float = 1.4
    rate: float = 0.1

    def canvas(
        self, scaling: ImageScaling, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor
    ) -> Canvas:
        count, height, width = shape
        drawn = torch.randn((count, len(scaling.channels), height, width // 2 + 1, 2), generator=generator)
        return _FourierCanvas(self, scaling, (height, width), (_START * drawn).to(like.device, like.dtype))

    def holding(self, scaling: ImageScaling, images: Float[Tensor, "n c h w"]) -> Canvas:
        """Return a canvas that starts from these images, up to values very near 0 and 1."""
        height, width = images.shape[-2:]
        waves = torch.logit(images, _NEAREST)
        if scaling.colour:
            waves = torch.einsum("rc,nchw->nrhw", torch.linalg.inv(colour_matrix()).to(waves), waves)
        spectrum = torch.fft.rfft2(4 * waves, norm="ortho")
        values = torch.view_as_real(spectrum) / falloff((height, width), self.power).to(waves)[..., None]
        return _FourierCanvas(self, scaling, (height, width), values)


class _FourierCanvas:
    def __init__(self, settings: Fourier, scaling: ImageScaling, size: tuple[int, int], values: Tensor) -> None:
        self.values = values.requires_grad_()
        self._size = size
        self._falloff = falloff(size, settings.power).to(values)[..., None]
        self._colours = colour_matrix().to(values) if scaling.colour else None
        self._adam = _Adam([self.values], lr=settings.rate, maximize=True)

    def images(self) -> Float[Tensor, "n c h w"]:
        spectrum = torch.view_as_complex(self.values * self._falloff)
        waves = torch.fft.irfft2(spectrum, s=self._size, norm="ortho") / 4
        if self._colours is not None:
            waves = torch.einsum("rc,nchw->nrhw", self._colours, waves)
        return torch.sigmoid(waves)

    def ascend(self, gradient: Tensor) -> None:
        self.values.grad = gradient
        self._adam.step()
        self.values.grad = None


def falloff(size: tuple[int, int], power: float) -> Float[Tensor, "h v"]:
    """Return the factor of each coefficient of a real image's transform, v = ⌊width/2⌋ + 1; see `Fourier`."""
    height, width = size
    lowest = 1 / max(height, width)
    cycles_per_pixel = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    return (lowest / cycles_per_pixel.clamp(min=lowest)) ** power / lowest


def colour_matrix() -> Float[Tensor, "3 3"]:
    """`COLOUR_MATRIX` divided by the length of its longest column."""
    matrix = torch.tensor(COLOUR_MATRIX)
    return matrix / matrix.norm(dim=0).max()
