"""Maps from a gradient that ReLUs pass by another rule than their own."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.attribution._method import Relevance, explains
from striate.explaining.attribution.gradient import gradient
from striate.explaining.attribution.methods import strongest
from striate.explaining.target import Aim
from striate.hooks import DECONVNET, GUIDED, Rule, rewrite

_RELU = "a ReLU, or what stands in its place, on the way from the picture to the score"


@explains(
    title="Guided backpropagation",
    paper="Springenberg et al. 2015, arXiv:1412.6806, section 3.4",
    signed=False,
    reduce=strongest,
    needs=_RELU,
)
def guided_backpropagation(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim) -> Relevance:
    """The gradient of the score, with nothing negative passed back by a ReLU, nor anything where it was not active.

    Values (n c h w), with their sign, to be shown as a colour picture; as one map, the largest absolute value over the
    channels. The rule, and what it means for operations that the paper does not know, is `GUIDED` of
    `striate.hooks`; which operations it met is in the `notes`. It draws the edges of the picture, whatever the class
    and nearly whatever the weights (Adebayo et al. 2018; Nie et al. 2018): `check` tells.

    Raises:
        RewriteError: nothing rectifies, or something hides how.
    """
    return by_rule(model, images, aim, GUIDED)


@explains(
    title="Deconvnet",
    paper="Zeiler and Fergus 2014, arXiv:1311.2901, section 2.1; for a class: Simonyan et al. 2013, section 4",
    signed=False,
    reduce=strongest,
    needs=_RELU,
)
def deconvnet(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim) -> Relevance:
    """The score projected to pixels: filters transposed, max-pooling undone by its switches, ReLU on the way back.

    Values (n c h w), with their sign, to be shown as a colour picture; as one map, the largest absolute value over the
    channels. The paper projects a unit of a convolutional layer; here the projection begins with a 1 at the score, and
    comes through fully connected layers as through convolutions, which they are. The rule is `DECONVNET` of
    `striate.hooks`; which operations it met is in the `notes`. Only the switches know of the picture: without
    max-pooling, the projection is the same for every picture.

    Raises:
        RewriteError: nothing rectifies, or something hides how.
    """
    return by_rule(model, images, aim, DECONVNET)


def by_rule(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim, rule: Rule) -> Relevance:
    """What comes back to the pixels (n c h w) where ReLUs pass it by `rule`, and a note of the operations it met."""
    with rewrite(model, rule) as rewritten:
        found = gradient(model, images, aim)
    return Relevance(found, notes=(f"{rewritten}.",))
