"""Maps from the gradient of a score with respect to the picture."""

from __future__ import annotations

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


def gradient(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim) -> Float[Tensor, "n c h w"]:
    """∂S/∂x of each picture's own score."""
    images = images.detach().requires_grad_()
    (found,) = torch.autograd.grad(aim(model(images)).sum(), images)
    return found
