"""Maps from a gradient that ReLUs pass backward by another rule than their own."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from striate.explaining.attribution._method import RawAttribution, attribution_method
from striate.explaining.attribution.attribution import strongest
from striate.explaining.attribution.gradient import gradient
from striate.explaining.target import ResolvedTarget
from striate.hooks import DECONVNET, GUIDED, Rule, rewrite

_RELU = "a ReLU or a similar activation between the image and the score"


@attribution_method(
    title="Guided backpropagation",
    paper="Springenberg et al. 2015, arXiv:1412.6806, section 3.4",
    signed=False,
    reduce=strongest,
    needs=_RELU,
)
def guided_backpropagation(
    model: nn.Module, images: Float[Tensor, "n c h w"], target: ResolvedTarget
) -> RawAttribution:
    """Compute the gradient of the score with ReLUs that pass only positive values, where they were active.

    Values (n c h w), with their sign, to be shown as a colour image; as one map, the largest absolute value over the
    channels. The rule, and what it means for operations that the paper does not know, is `GUIDED` of
    `striate.hooks`; which operations it met is in the `notes`. It draws the edges of the image, whatever the class
    and nearly whatever the weights (Adebayo et al. 2018; Nie et al. 2018): run `check`.

    Raises:
        RewriteError: nothing rectifies, or a region hides its operations.
    """
    return by_rule(model, images, target, GUIDED)


@attribution_method(
    title="Deconvnet",
    paper="Zeiler and Fergus 2014, arXiv:1311.2901, section 2.1; for a class: Simonyan et al. 2013, section 4",
    signed=False,
    reduce=strongest,
    needs=_RELU,
)
def deconvnet(model: nn.Module, images: Float[Tensor, "n c h w"], target: ResolvedTarget) -> RawAttribution:
    """Project the score to pixels: filters transposed, max-pooling reversed by its switches, ReLU on the way back.

    Values (n c h w), with their sign, to be shown as a colour image; as one map, the largest absolute value over the
    channels. The paper projects a unit of a convolutional layer; here the projection begins with a 1 at the score, and
    comes through fully connected layers as through convolutions, which they are. The rule is `DECONVNET` of
    `striate.hooks`; which operations it met is in the `notes`. Only the switches depend on the image: without
    max-pooling, the projection is the same for every image.

    Raises:
        RewriteError: nothing rectifies, or a region hides its operations.
    """
    return by_rule(model, images, target, DECONVNET)


def by_rule(model: nn.Module, images: Float[Tensor, "n c h w"], target: ResolvedTarget, rule: Rule) -> RawAttribution:
    """Compute the gradient (n c h w) with ReLUs that follow `rule`, and a note of the operations it met."""
    with rewrite(model, rule) as rewritten:
        found = gradient(model, images, target)
    return RawAttribution(found, notes=(f"{rewritten}.",))
