"""SmoothGrad: the gradient, averaged over noisy copies of the image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.explaining._batching import in_batches
from striate.explaining.attribution._method import RawAttribution, attribution_method
from striate.explaining.attribution.attribution import strongest
from striate.explaining.attribution.gradient import gradient
from striate.explaining.target import ResolvedTarget


@attribution_method(
    title="SmoothGrad",
    paper="Smilkov et al. 2017, arXiv:1706.03825, section 3",
    signed=False,
    variants=True,
    reduce=strongest,
)
def smoothgrad(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    noise: float = 0.15,
    samples: int = 50,
    seed: int = 0,
) -> RawAttribution:
    """Average the gradient of the score over `samples` copies of the image with Gaussian noise.

        values = 1/samples · Σ ∂S/∂x (x + ε),   ε ~ N(0, σ²),   σ = noise · (max x − min x)

    Values (n c h w), with their sign; as one map, the largest absolute value over the channels. The class is the one
    predicted for the image without noise. Every image receives the same noise, whatever the batch. The
    paper finds `noise` of 0.1 to 0.2 and 50 samples good. (Some programs average |∂S/∂x|: that is a saliency map of
    the noise as well, and not the paper's M̂.)

    Raises:
        ConfigError: there is no noise, or no sample.
    """
    if samples < 1 or not noise > 0:
        raise ConfigError(f"SmoothGrad needs noise above 0 and samples from 1 on; received {noise:g} and {samples}.")
    with torch.no_grad():
        target(model(images))
    spread = noise * (images.amax((1, 2, 3)) - images.amin((1, 2, 3)))
    stream = Stream(seed, "explaining.smoothgrad")

    def noisy(number: int) -> Float[Tensor, "c h w"]:
        row, sample = divmod(number, samples)
        drawn = torch.randn(images.shape[1:], generator=stream.torch_generator((sample,)))
        return images[row] + spread[row] * drawn.to(images)

    def run(share: slice) -> None:
        numbers = range(share.start, share.stop)
        rows = [number // samples for number in numbers]
        found = gradient(model, torch.stack([noisy(number) for number in numbers]), lambda y: target(y, rows))
        summed.index_add_(0, torch.tensor(rows, device=summed.device), found.float())

    summed = torch.zeros_like(images, dtype=torch.float32)
    for _ in in_batches(len(images) * samples, run):
        pass
    return RawAttribution(summed / samples)
