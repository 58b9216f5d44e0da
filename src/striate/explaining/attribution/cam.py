"""Class activation maps: the last feature maps of a network, weighted by what they mean to the score."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining.attribution._method import RawAttribution, attribution_method
from striate.explaining.attribution.attribution import strongest
from striate.explaining.attribution.guided import by_rule
from striate.explaining.layout import Grid
from striate.explaining.places import At, MapReading, read_map
from striate.explaining.target import ResolvedTarget
from striate.hooks import GUIDED

_MAP = "a map (n, c, h, w) from which the score is computed"


class UnsupportedModelError(StriateError):
    """A network that a method cannot explain, because its formula does not hold there."""


@attribution_method(
    title="CAM",
    paper="Zhou et al. 2016, arXiv:1512.04150, equation 2",
    signed=True,
    places=True,
    needs="global average pooling and one linear layer, or nothing, between a map and the score",
)
def cam(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    at: At = None,
    tokens: Grid | None = None,
) -> RawAttribution:
    """Sum the feature maps before global average pooling, weighted by the class's weights.

        M(y, x) = Σₖ wₖ fₖ(y, x),   score = 1/(H·W) · Σ M + bias

    Values (n h w), as fine as the map at place `at`; `at` and `tokens` as in `grad_cam`. The weights are read as
    H·W · ∂S/∂f, so it does not matter how the network spells its head; that they are the same everywhere, and
    the score is linear in f, is checked. In networks that pool one map for each class, M is that of the class.

    Raises:
        UnsupportedModelError: something other than global average pooling and a linear layer follows the place.
        PlaceError: there is no such place.
    """
    read = read_map(model, images, target, at, tokens, differentiable=True)
    weight = read.gradient.mean((2, 3), keepdim=True)
    uneven = (read.gradient - weight).abs().amax() > 1e-5 * read.gradient.abs().amax()
    if read.gradient.requires_grad or uneven:
        raise UnsupportedModelError(
            f"CAM needs a network in which global average pooling and one linear layer follow the map; what follows "
            f"{read.at!r} is something else: use grad_cam, which needs neither."
        )
    area = read.maps.shape[2] * read.maps.shape[3]
    return RawAttribution((area * weight * read.maps).sum(1), at=read.at, notes=read.notes)


@attribution_method(
    title="Grad-CAM",
    paper="Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2",
    signed=False,
    places=True,
    needs=_MAP,
)
def grad_cam(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    at: At = None,
    tokens: Grid | None = None,
) -> RawAttribution:
    """Sum the maps at a place, weighted by the mean gradient of each; clip negative values.

        αₖ = 1/(H·W) · Σ ∂S/∂Aₖ,   L = max(Σₖ αₖ Aₖ, 0)

    Values (n h w), as fine as the map at place `at`: a declared feature map, a module or its path, or an operation
    ("relu:3"). Before `at` nothing needs a gradient, and none is computed.

    Without `at`, read the last place that is laid out over the image: one that the score depends on, and of which each
    position depends most on what lies there on the image, which is tried. The search runs once for a network and a
    size of images, and again when the network runs other operations.

    The place may give tokens (n, t, k), of a ViT, a DeiT or a Mixer: the last h · w of them are laid out as h × w, and
    those before, such as a class token, are left out; or maps with their channels last (n, h, w, k), of a Swin. The
    grid has the proportions of the image, or is stated as `tokens`, (rows, columns). A note says what was done.

    Raises:
        PlaceError: there is no such place, its value is not a map, or the score does not depend on it.
        NoMapError: there is no `at`, and no place is laid out over the image.
        ConfigError: `tokens` is not a grid.
    """
    read = read_map(model, images, target, at, tokens)
    return RawAttribution(_grad_cam(read), at=read.at, notes=read.notes)


@attribution_method(
    title="Grad-CAM++",
    paper="Chattopadhyay et al. 2018, arXiv:1710.11063, equations 5 and 10",
    signed=False,
    places=True,
    needs=_MAP,
)
def grad_cam_plus_plus(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    at: At = None,
    tokens: Grid | None = None,
) -> RawAttribution:
    """Compute Grad-CAM with weights that do not favour large objects: each position's gradient g counts by its own α.

        wₖ = Σ α · max(g, 0),   α = g² / (2 g² + g³ · Σ Aₖ),   L = max(Σₖ wₖ Aₖ, 0)

    Values (n h w), as fine as the map at place `at` (see `grad_cam`). The paper takes exp(S) as the score, which turns
    its second and third derivatives into g² and g³, if what follows is piecewise linear, and multiplies the map of a
    image by exp(S); that factor is left out here, for it overflows. α is 0 where g is, or where its denominator is 0,
    which it can be for maps with negative values only.

    Raises:
        PlaceError: there is no such place, its value is not a map, or the score does not depend on it.
    """
    read = read_map(model, images, target, at, tokens)
    g = read.gradient
    # g² / (2 g² + g³ ΣA) without the powers, which vanish in float32 where gradients are small.
    denominator = 2 + g * read.maps.sum((2, 3), keepdim=True)
    alpha = torch.where((g != 0) & (denominator != 0), 1 / denominator, 0)
    weight = (alpha * g.clamp(min=0)).sum((2, 3), keepdim=True)
    return RawAttribution((weight * read.maps).sum(1).clamp(min=0), at=read.at, notes=read.notes)


@attribution_method(
    title="LayerCAM",
    paper="Jiang et al. 2021, LayerCAM, IEEE Transactions on Image Processing 30, equations 6 to 8",
    signed=False,
    places=True,
    needs=_MAP,
)
def layer_cam(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    at: At = None,
    tokens: Grid | None = None,
) -> RawAttribution:
    """Sum the maps at a place, each position weighted by its own gradient where that is positive: for early stages too.

        L = max(Σₖ max(∂S/∂Aₖ, 0) ⊙ Aₖ, 0)

    Values (n h w), as fine as the map at place `at`; `at` and `tokens` as in `grad_cam`. Where Grad-CAM takes one
    weight for a whole map, which says little where a unit means different things in different places, here each
    position has its own. The paper scales the maps of early stages by tanh to lay them over those of later ones; that
    is left out here.

    Raises:
        PlaceError: there is no such place, its value is not a map, or the score does not depend on it.
    """
    read = read_map(model, images, target, at, tokens)
    return RawAttribution((read.gradient.clamp(min=0) * read.maps).sum(1).clamp(min=0), at=read.at, notes=read.notes)


@attribution_method(
    title="HiResCAM",
    paper="Draelos and Carin 2020, arXiv:2011.08891, equation 5",
    signed=True,
    places=True,
    needs=_MAP,
)
def hires_cam(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    at: At = None,
    tokens: Grid | None = None,
) -> RawAttribution:
    """Multiply the maps at a place by their gradients, position by position, and sum over the channels.

        L = Σₖ ∂S/∂Aₖ ⊙ Aₖ

    Values (n h w), as fine as the map at place `at`; `at` and `tokens` as in `grad_cam`. Where the score is linear in
    the map, the values add up to it, except for the bias: then each is what its position adds to the score, which is
    what Grad-CAM promises and, by averaging gradients, breaks where they differ from place to place. As in the paper,
    both signs are kept.

    Raises:
        PlaceError: there is no such place, its value is not a map, or the score does not depend on it.
    """
    read = read_map(model, images, target, at, tokens)
    return RawAttribution((read.gradient * read.maps).sum(1), at=read.at, notes=read.notes)


@attribution_method(
    title="Guided Grad-CAM",
    paper="Selvaraju et al. 2017, arXiv:1610.02391, section 3.2",
    signed=False,
    places=True,
    reduce=strongest,
    needs=f"{_MAP}, and a ReLU",
)
def guided_grad_cam(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    at: At = None,
    tokens: Grid | None = None,
) -> RawAttribution:
    """Multiply guided backpropagation by the Grad-CAM, enlarged to the size of the image.

    Values (n c h w), with their sign; as one map, the largest absolute value over the channels. The Grad-CAM is
    interpolated bilinearly between the centres of its values. `at` is its place (see `grad_cam`).

    Raises:
        PlaceError: there is no such place, its value is not a map, or the score does not depend on it.
        RewriteError: nothing rectifies, or a region hides its operations.
    """
    read = read_map(model, images, target, at, tokens)
    guided = by_rule(model, images, target, GUIDED)
    enlarged = F.interpolate(_grad_cam(read)[:, None], images.shape[2:], mode="bilinear", align_corners=False)
    return RawAttribution(guided.values.float() * enlarged, at=read.at, notes=(*read.notes, *guided.notes))


def _grad_cam(read: MapReading) -> Float[Tensor, "n h w"]:
    alpha = read.gradient.mean((2, 3), keepdim=True)
    return (alpha * read.maps).sum(1).clamp(min=0)
