"""DeepDream: amplify in a photograph what a network detects in it, at one size after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from striate.core.errors import first_line
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.explaining.visualize.ascent import Ascent
from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.model_view import ObjectiveError, view_model
from striate.explaining.visualize.objective import Objective, as_objective
from striate.explaining.visualize.visualization import Recording, Visualization


def deep_dream(
    model: nn.Module,
    image: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"],
    objective: Objective | str | Sequence[str],
    spec: InputSpec,
    *,
    octaves: int = 4,
    octave_scale: float = 1.4,
    steps: int = 10,
    rate: float = 0.005,
    frames: int = 0,
    seed: int = 0,
    progress: Progress = silent,
) -> Visualization:
    """Change `image` (values from 0 to 1, or uint8) to raise `objective`, which may be the name of a place.

    A place, as "stage2", stands for `layer("stage2")`, the objective of the original; several are added.

    From the smallest of `octaves` sizes, each `octave_scale` times larger than the one before, to the image's own:
    the image at that size, with what was dreamt so far enlarged and added, takes `steps` of

        x ← x + rate · g / mean |g|     then kept from 0 to 1

    while it is shifted at random, around its edges, so that no grid shows (Mordvintsev, Olah and Tyka 2015, "DeepDream:
    a code example for visualizing neural networks"). `rate` is a share of full intensity. The network runs only up
    to the places of the objective, so the image may have any size that these take; its head need not.

    Raises:
        ImageError: the image is not one for this network.
        ObjectiveError: the network has no such channel, unit or class.
        PlaceError: the network has no such place.
    """
    if octaves < 1 or octave_scale <= 1:
        raise ObjectiveError(
            f"There must be at least 1 octave, and octave_scale must be above 1; received {octaves} octaves, "
            f"octave_scale {octave_scale:g}."
        )
    aim = as_objective(objective)
    scaling = ImageScaling(spec)
    recording = Recording(octaves * steps, frames, progress)
    generator = torch.Generator().manual_seed(seed)
    with view_model(model, aim.places, scaling, part=not aim.reads_answer) as view:
        ascent = Ascent(view, aim)
        photograph = scaling.tensor(image).to(view.empty())
        height, width = photograph.shape[-2:]
        dreamt = torch.zeros_like(photograph)
        for octave in reversed(range(octaves)):
            size = max(1, round(height / octave_scale**octave)), max(1, round(width / octave_scale**octave))
            base = _resized(photograph, size)
            values = (base + _resized(dreamt, size)).clamp(0, 1).requires_grad_()
            for _ in range(steps):
                shift = _shift(size, generator)
                score, gradient = _gradient(ascent, values, lambda: values.roll(shift, (2, 3)))  # noqa: B023
                with torch.no_grad():
                    values.add_(gradient, alpha=rate / gradient.abs().mean().item()).clamp_(0, 1)
                recording.step(score, lambda: _resized(values, (height, width)))  # noqa: B023
            dreamt = values.detach() - base
        return recording.visualization(ascent, photograph + dreamt)


def _gradient(ascent: Ascent, values: Tensor, seen: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the objective and its gradient.

    Raises:
        ObjectiveError: the network cannot run on images of this size.
    """
    try:
        return ascent.gradient(values, seen)
    except RuntimeError as error:
        height, width = values.shape[-2:]
        raise ObjectiveError(
            f"The network cannot compute {ascent.objective} of an image of {height}×{width}: name an earlier place, "
            f"dream in fewer octaves, or begin with an image of another size. ({first_line(error)})"
        ) from error


def _resized(images: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c y x"]:
    return F.interpolate(images.detach(), size, mode="bilinear", align_corners=False, antialias=True)


def _shift(size: tuple[int, int], generator: torch.Generator) -> list[int]:
    """Draw any cyclic shift."""
    return [int(torch.randint(side, (1,), generator=generator)) for side in size]
