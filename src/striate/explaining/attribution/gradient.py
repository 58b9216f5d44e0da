"""Maps from the gradient of a score with respect to the image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining.attribution._method import RawAttribution, attribution_method
from striate.explaining.attribution.attribution import strongest
from striate.explaining.target import ResolvedTarget


class NoGradientError(StriateError):
    """A score from which no gradient reaches the image."""


@attribution_method(title="Saliency", paper="Simonyan et al. 2013, section 3", signed=False, reduce=strongest)
def saliency(model: nn.Module, images: Float[Tensor, "n c h w"], target: ResolvedTarget) -> RawAttribution:
    """Measure how strongly a small change of each value of the image changes the score: |∂S/∂x|.

    Values (n c h w); as one map, the largest over the channels (the paper's M = max_c |w|).
    """
    return RawAttribution(gradient(model, images, target).abs())


@attribution_method(title="Input × gradient", paper="Shrikumar et al. 2016, arXiv:1605.01713, equation 2", signed=True)
def input_x_gradient(model: nn.Module, images: Float[Tensor, "n c h w"], target: ResolvedTarget) -> RawAttribution:
    """Multiply the image by its gradient, x ⊙ ∂S/∂x: each value's share of the score if the network were linear.

    Values (n c h w), in units of the score; as one map, their sum over the channels. x is the image as prepared, so
    that what lies at the mean of the data adds nothing. The values sum to the score only where the network is linear
    between the image and zero, and without biases; so the method does not count as additive.
    """
    return RawAttribution(images * gradient(model, images, target))


def gradient(
    model: nn.Module, images: Float[Tensor, "n c h w"], score: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n c h w"]:
    """Compute ∂S/∂x of each image's own score S, which `score` computes from the answer.

    Raises:
        NoGradientError: no gradient reaches the image from the score.
    """
    images = images.detach().requires_grad_()
    found = None
    scores = score(model(images))
    if scores.requires_grad:
        (found,) = torch.autograd.grad(scores.sum(), images, allow_unused=True)
    if found is None:
        raise NoGradientError(
            "No gradient of the score reaches the image: the network, or the target if it is a function, "
            "detaches what it computes, or runs a part under torch.no_grad or inference_mode. Explain it by a method "
            "that needs no gradient, occlusion or rise, or by grad_cam at a place after that part."
        )
    return found
