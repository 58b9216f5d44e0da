"""Test whether the positions of a place correspond to positions on the image, by changing parts of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from striate.core.rng import Stream
from striate.explaining.layout import Layout
from striate.explaining.target import ResolvedTarget
from striate.hooks import Captured, PlaceError, capture

AGREEING = 0.6
"""Of the positions, how many must be changed most by their own quarter of the image. By chance it is a quarter of them,
and in the logits of attention (tokens × tokens), which have no layout, about two fifths."""


@dataclass(frozen=True)
class GradientReach:
    """Reach of a backward pass: whether the score depends on each place (`depends`) and on its maps (`reached`).

    The two differ where a transformer reads its answer from a class token: after the last attention, all other tokens
    are discarded.
    """

    score: Float[Tensor, " 1"]
    depends: list[bool]
    reached: list[bool]


def receiving(
    model: nn.Module, image: Float[Tensor, "1 c h w"], target: ResolvedTarget, places: Sequence[tuple[str, Layout]]
) -> GradientReach:
    """Run the backward pass from the score of `image`, and return which of `places` it reaches."""
    with torch.enable_grad(), capture(model, [name for name, _ in places]) as captured:
        score = target(model(image))
        kept = [_value(captured, name) for name, _ in places]
        wanted = [value for value in kept if value is not None and value.requires_grad]
        given: Sequence[Tensor | None] = ()
        if score.requires_grad and wanted:
            # Not-a-number comes through weights of zero as well, and stops where values are thrown away.
            # A factor instead of `grad_outputs`, for which torch imports sympy: 0.8 s.
            given = torch.autograd.grad((score * torch.nan).sum(), wanted, allow_unused=True)
    gradients = dict(zip(map(id, wanted), given, strict=False))
    found = [gradients.get(id(value)) for value in kept]
    reached = [
        gradient is not None and bool(layout.lay(gradient).isnan().any())
        for gradient, (_, layout) in zip(found, places, strict=True)
    ]
    return GradientReach(score.detach(), [gradient is not None for gradient in found], reached)


def _value(captured: Captured, name: str) -> Tensor | None:
    try:
        return captured[name]
    except PlaceError:  # overwritten unseen
        return None


@torch.no_grad()
def agreements(model: nn.Module, image: Float[Tensor, "1 c h w"], places: Sequence[tuple[str, Layout]]) -> list[float]:
    """Return, for each place, the fraction of its positions that depend most on the same position of the image.

    One quarter of a noise image after another is drawn again; the quarter in which a position lies should change it
    most. A place that does not depend on the image has 0.
    """
    stream = Stream(0, "explaining.places")
    spread = image.std() if image.numel() > 1 and bool(image.std() > 0) else image.new_ones(())

    def noise(draw: int) -> Float[Tensor, "1 c h w"]:
        drawn = torch.randn(image.shape, generator=stream.torch_generator((draw,)))
        return image.mean() + spread * drawn.to(image)

    base = noise(0)
    changes = [torch.zeros(4, *layout.grid) for _, layout in places]
    with capture(model, [name for name, _ in places]) as captured:

        def look(images: Float[Tensor, "1 c h w"]) -> list[Tensor]:
            model(images)
            return [layout.lay(captured[name]).float() for name, layout in places]

        clean = look(base)
        for quarter in range(4):
            found = look(torch.where(_quarter(quarter, image), noise(1), base))
            for change, now, before in zip(changes, found, clean, strict=True):
                change[quarter] = (now - before).square().sum((0, 1)).sqrt()
    return [_agreement(change) for change in changes]


def _quarter(number: int, image: Float[Tensor, "1 c h w"]) -> Bool[Tensor, "1 1 h w"]:
    """Return the mask of one quarter of the image: upper left, upper right, lower left, lower right."""
    height, width = image.shape[2:]
    chosen = torch.zeros(1, 1, height, width, dtype=torch.bool, device=image.device)
    rows, columns = divmod(number, 2)
    half = (slice(None, height // 2), slice(height // 2, None)), (slice(None, width // 2), slice(width // 2, None))
    chosen[:, :, half[0][rows], half[1][columns]] = True
    return chosen


def _agreement(changes: Float[Tensor, "4 h w"]) -> float:
    """Return the fraction of the changing positions that their own quarter changes most; 0 if none changes.

    The change by each quarter is divided by its mean, because attention and normalization over the whole image let
    every position change with the strongest quarter. A position on the line between two quarters belongs to both.
    """
    changes = changes.nan_to_num(0.0)
    height, width = changes.shape[1:]
    most = (changes / changes.mean((1, 2), keepdim=True).clamp(min=torch.finfo().tiny)).argmax(0)
    side = (torch.arange(height) * 2 + 1 - height).sign()[:, None], (torch.arange(width) * 2 + 1 - width).sign()[None]
    own = (side[0] * ((most >= 2) * 2 - 1) >= 0) & (side[1] * ((most % 2 == 1) * 2 - 1) >= 0)
    changing = changes.amax(0) > 0
    return float(own[changing].float().mean()) if bool(changing.any()) else 0.0
