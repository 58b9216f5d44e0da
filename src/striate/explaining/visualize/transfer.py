"""Neural style transfer: the things of one picture in the manner of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.explaining.visualize.ascent import Ascent
from striate.explaining.visualize.color import Palette
from striate.explaining.visualize.fourier import Fourier
from striate.explaining.visualize.model_view import looking
from striate.explaining.visualize.similarity import content, grams_of, maps_of, style
from striate.explaining.visualize.visualization import Recording, Visualization

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
    """The picture `things` drawn in the manner of the picture `manner` (values from 0 to 1; any two sizes).

    What is raised is content(content_at) + style_weight · style(style_at): activations as in one picture, Gram matrices
    as in the other (Gatys et al. 2016, equation 7, with both losses as shares; see `content` and `style`), by L-BFGS,
    from the first picture. Where we differ: L-BFGS changes the coefficients of `Fourier` instead of pixels, so that
    networks other than VGG draw strokes and no noise (Mordvintsev et al. 2018, https://distill.pub/2018/
    differentiable-parameterizations). Nothing is random. The network must take pictures of these sizes.

    Raises:
        PictureError: a picture is not one for this network.
        ObjectiveError: a place gives no maps.
        PlaceError: the network has no such place.
    """
    palette = Palette(spec)
    recording = Recording(steps, frames, progress)
    things_seen = maps_of(model, things, [content_at], spec)
    objective = content(things_seen) + style_weight * style(grams_of(model, manner, style_at, spec))
    with looking(model, objective.places, palette) as eye:
        ascent = Ascent(eye, objective)
        canvas = Fourier().holding(palette, palette.tensor(things).to(eye.blank()))
        climber = torch.optim.LBFGS([canvas.values], max_iter=1, history_size=_HISTORY)

        def loss() -> Tensor:
            nonlocal score
            score, gradient = ascent.gradient(canvas.values, canvas.picture)
            canvas.values.grad = -gradient
            return -score.sum()

        for _ in range(steps):
            score = torch.zeros(1)
            climber.step(loss)
            recording.step(score, canvas.picture)
        return recording.visualization(ascent, canvas.picture())
