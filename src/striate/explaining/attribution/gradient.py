"""Maps from the gradient of a score with respect to the picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining.attribution._method import Relevance, explains
from striate.explaining.attribution.methods import strongest
from striate.explaining.target import Aim


class NoGradientError(StriateError):
    """A score through which no gradient comes back to the image."""


@explains(title="Saliency", paper="Simonyan et al. 2013, section 3", signed=False, reduce=strongest)
def saliency(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim) -> Relevance:
    """How strongly a small change of each value of the picture changes the score: |∂S/∂x|.

    Values (n c h w); as one map, the largest over the channels (the paper's M = max_c |w|).
    """
    return Relevance(gradient(model, images, aim).abs())


@explains(title="Input × gradient", paper="Shrikumar et al. 2016, arXiv:1605.01713, equation 2", signed=True)
def input_x_gradient(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim) -> Relevance:
    """What each value of the picture adds to the score, if the network were linear: x ⊙ ∂S/∂x.

    Values (n c h w), in units of the score; as one map, their sum over the channels. x is the picture as prepared, so
    that what lies at the mean of the data adds nothing. The values sum to the score only where the network is linear
    between the picture and zero, and without biases; so the method does not count as additive.
    """
    return Relevance(images * gradient(model, images, aim))


def gradient(
    model: nn.Module, images: Float[Tensor, "n c h w"], score: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n c h w"]:
    """∂S/∂x of each image's own score S, which `score` makes of the answer.

    Raises:
        NoGradientError: no gradient comes from the score to the image.
    """
    images = images.detach().requires_grad_()
    found = None
    scores = score(model(images))
    if scores.requires_grad:
        (found,) = torch.autograd.grad(scores.sum(), images, allow_unused=True)
    if found is None:
        raise NoGradientError(
            "No gradient comes from the score back to the image: the network, or the target if it is a function, "
            "detaches what it computes, or runs a part under torch.no_grad or inference_mode. Explain it by a method "
            "that needs no gradient, occlusion or rise, or by grad_cam at a place behind that part."
        )
    return found
