"""Maps from the gradient of a score with respect to the picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining._explains import Relevance, explains
from striate.explaining.method import strongest
from striate.explaining.target import Aim


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
    """∂S/∂x of each picture's own score S, which `score` makes of the logits."""
    images = images.detach().requires_grad_()
    (found,) = torch.autograd.grad(score(model(images)).sum(), images)
    return found
