"""Neural style transfer: the content of one image in the style of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from striate.core.compiler import without_compiler
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.explaining.visualize.ascent import Ascent
from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.fourier import Fourier
from striate.explaining.visualize.model_view import view_model
from striate.explaining.visualize.similarity import content, grams_of, maps_of, style
from striate.explaining.visualize.visualization import Recording, Visualization

_LBFGS = without_compiler(torch.optim.LBFGS)

_HISTORY = 20  # steps from which L-BFGS knows the curvature


def transfer_style(
    model: nn.Module,
    things: Float[np.ndarray, "h w c"],
    manner: Float[np.ndarray, "y x c"],
    spec: InputSpec,
    *,
    content_at: str,
    style_at: Sequence[str],
    style_weight: float = 100.0,
    steps: int = 80,
    frames: int = 0,
    progress: Progress = silent,
) -> Visualization:
    """Draw the image `things` in the style of the image `manner` (values from 0 to 1; any two sizes).

    The objective is content(content_at) + style_weight · style(style_at): activations as in one image, Gram matrices
    as in the other (Gatys et al. 2016, equation 7, with both losses as shares; see `content` and `style`), by L-BFGS,
    from the first image. Where we differ: L-BFGS changes the coefficients of `Fourier` instead of pixels, so that
    networks other than VGG draw strokes and no noise (Mordvintsev et al. 2018, https://distill.pub/2018/
    differentiable-parameterizations). Nothing is random. The network must take images of these sizes.

    Raises:
        ImageError: an image is not one for this network.
        ObjectiveError: the value of a place is not a map.
        PlaceError: the network has no such place.
    """
    scaling = ImageScaling(spec)
    recording = Recording(steps, frames, progress)
    things_seen = maps_of(model, things, [content_at], spec)
    objective = content(things_seen) + style_weight * style(grams_of(model, manner, style_at, spec))
    with view_model(model, objective.places, scaling) as view:
        ascent = Ascent(view, objective)
        canvas = Fourier().holding(scaling, scaling.tensor(things).to(view.empty()))
        climber = _LBFGS([canvas.values], max_iter=1, history_size=_HISTORY)

        def loss() -> float:
            nonlocal score
            score, gradient = ascent.gradient(canvas.values, canvas.images)
            canvas.values.grad = -gradient
            return -score.sum().item()

        for _ in range(steps):
            score = torch.zeros(1)
            climber.step(loss)
            recording.step(score, canvas.images)
        return recording.visualization(ascent, canvas.images())
