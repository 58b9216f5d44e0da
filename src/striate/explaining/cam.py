"""Maps from the last feature maps of a network, weighted by what they mean to the score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining._explains import Relevance, explains
from striate.explaining.guided import by_rule
from striate.explaining.method import strongest
from striate.explaining.places import last_map
from striate.explaining.target import Aim
from striate.hooks import GUIDED, PlaceError, capture

_MAP = "a map (n, c, h, w) behind which the score is computed"


class UnsuitedError(StriateError):
    """A network that a method cannot explain, because its formula does not hold there."""


@dataclass(frozen=True)
class Read:
    """What stood at a place, and the gradient of the score there."""

    at: str
    maps: Float[Tensor, "n k h w"]
    gradient: Float[Tensor, "n k h w"]


@explains(
    title="CAM",
    paper="Zhou et al. 2016, arXiv:1512.04150, equation 2",
    signed=True,
    places=True,
    needs="global average pooling and one linear layer, or nothing, between a map and the score",
)
def cam(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim, *, at: str | None = None) -> Relevance:
    """The feature maps before global average pooling, summed with the weights that the class gives them.

        M(y, x) = Σₖ wₖ fₖ(y, x),   score = 1/(H·W) · Σ M + bias

    Values (n h w), as fine as the map at place `at` (by default the last with the plan of the picture). The weights are
    read as H·W · ∂S/∂f, so it does not matter how the network spells its head; that they are the same everywhere, and
    the score is linear in f, is made sure of. In networks that pool one map for each class, M is that of the class.

    Raises:
        UnsuitedError: something other than global average pooling and a linear layer follows the place.
        PlaceError: there is no such place.
    """
    read = read_map(model, images, aim, at, differentiable=True)
    weight = read.gradient.mean((2, 3), keepdim=True)
    uneven = (read.gradient - weight).abs().amax() > 1e-5 * read.gradient.abs().amax()
    if read.gradient.requires_grad or uneven:
        raise UnsuitedError(
            f"CAM needs a network in which global average pooling and one linear layer follow the map; what follows "
            f"{read.at!r} is something else: use grad_cam, which asks for neither."
        )
    area = read.maps.shape[2] * read.maps.shape[3]
    return Relevance((area * weight * read.maps).sum(1), at=read.at)


@explains(
    title="Grad-CAM",
    paper="Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2",
    signed=False,
    places=True,
    needs=_MAP,
)
def grad_cam(model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim, *, at: str | None = None) -> Relevance:
    """The maps at a place, summed with the mean gradient that each receives; what speaks against the class is cut off.

        αₖ = 1/(H·W) · Σ ∂S/∂Aₖ,   L = max(Σₖ αₖ Aₖ, 0)

    Values (n h w), as fine as the map at place `at`: a declared feature map, a module's path or an operation
    ("relu:3"); by default the last with the plan of the picture, which is looked for once for a network and a size of
    pictures. Below it nothing needs a gradient, and none is computed.

    Raises:
        PlaceError: there is no such place, it gives no map, or the score does not depend on it.
    """
    read = read_map(model, images, aim, at)
    return Relevance(_grad_cam(read), at=read.at)


@explains(
    title="Grad-CAM++",
    paper="Chattopadhyay et al. 2018, arXiv:1710.11063, equations 5 and 10",
    signed=False,
    places=True,
    needs=_MAP,
)
def grad_cam_plus_plus(
    model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim, *, at: str | None = None
) -> Relevance:
    """Grad-CAM with weights that do not favour large objects: each position's gradient g counts by its own α.

        wₖ = Σ α · max(g, 0),   α = g² / (2 g² + g³ · Σ Aₖ),   L = max(Σₖ wₖ Aₖ, 0)

    Values (n h w), as fine as the map at place `at` (see `grad_cam`). The paper takes exp(S) as the score, which turns
    its second and third derivatives into g² and g³, if what follows is piecewise linear, and multiplies the map of a
    picture by exp(S); that factor is left out here, for it overflows. α is 0 where g is, or where its denominator is 0,
    which it can be for maps with negative values only.

    Raises:
        PlaceError: there is no such place, it gives no map, or the score does not depend on it.
    """
    read = read_map(model, images, aim, at)
    g = read.gradient
    # g² / (2 g² + g³ ΣA) without the powers, which vanish in float32 where gradients are small.
    denominator = 2 + g * read.maps.sum((2, 3), keepdim=True)
    alpha = torch.where((g != 0) & (denominator != 0), 1 / denominator, 0)
    weight = (alpha * g.clamp(min=0)).sum((2, 3), keepdim=True)
    return Relevance((weight * read.maps).sum(1).clamp(min=0), at=read.at)


@explains(
    title="Guided Grad-CAM",
    paper="Selvaraju et al. 2017, arXiv:1610.02391, section 3.2",
    signed=False,
    places=True,
    reduce=strongest,
    needs=f"{_MAP}, and a ReLU",
)
def guided_grad_cam(
    model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim, *, at: str | None = None
) -> Relevance:
    """Guided backpropagation, multiplied by the Grad-CAM, enlarged to the size of the picture.

    Values (n c h w), with their sign; as one map, the largest absolute value over the channels. The Grad-CAM is
    interpolated bilinearly between the centres of its values. `at` is its place (see `grad_cam`).

    Raises:
        PlaceError: there is no such place, it gives no map, or the score does not depend on it.
        RewriteError: nothing rectifies, or something hides how.
    """
    read = read_map(model, images, aim, at)
    guided = by_rule(model, images, aim, GUIDED)
    enlarged = F.interpolate(_grad_cam(read)[:, None], images.shape[2:], mode="bilinear", align_corners=False)
    return Relevance(guided.values.float() * enlarged, at=read.at, notes=guided.notes)


def read_map(
    model: nn.Module, images: Float[Tensor, "n c h w"], aim: Aim, at: str | None, *, differentiable: bool = False
) -> Read:
    """The map at place `at`, or at the last that has the plan of the picture, and the gradient there; in float32.

    `differentiable`: the gradient can be differentiated again, and so knows whether it depends on the map.
    """
    place = last_map(model, images) if at is None else at
    with capture(model, [place]) as captured:
        score = aim(model(images)).sum()
    maps = captured[place]
    if maps.ndim != 4:
        raise PlaceError(
            f"Place {place!r} gives {tuple(maps.shape)}, and a map (n, channels, height, width) is needed: "
            f"name a place before the picture is flattened."
        )
    found = None
    if score.requires_grad:
        (found,) = torch.autograd.grad(score, maps, allow_unused=True, create_graph=differentiable)
    if found is None:
        raise PlaceError(f"The score does not depend on place {place!r}: name one on the way to it.")
    return Read(place, maps.detach().float(), found.float())


def _grad_cam(read: Read) -> Float[Tensor, "n h w"]:
    alpha = read.gradient.mean((2, 3), keepdim=True)
    return (alpha * read.maps).sum(1).clamp(min=0)
