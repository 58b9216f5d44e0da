"""Gradient ascent from noise to an image that excites an objective."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.explaining.visualize.ascent import Ascent
from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.fourier import Fourier
from striate.explaining.visualize.model_view import ObjectiveError, view_model
from striate.explaining.visualize.objective import Objective, as_objective
from striate.explaining.visualize.parameterization import Parameterization
from striate.explaining.visualize.transform import Robustness
from striate.explaining.visualize.visualization import Recording, Visualization

_HELD = Fourier()
_SEEN = Robustness()


def maximize(
    model: nn.Module,
    objective: Objective | str | Sequence[str],
    spec: InputSpec,
    *,
    count: int = 1,
    size: tuple[int, int] | None = None,
    parameterization: Parameterization = _HELD,
    robustness: Robustness | None = _SEEN,
    steps: int = 128,
    frames: int = 0,
    seed: int = 0,
    progress: Progress = silent,
) -> Visualization:
    """Make images that excite `objective`, from almost nothing, by `steps` of gradient ascent.

    A place, as "stage2", stands for `layer("stage2")`: all that it computes; several are added.

    `spec` says how images are scaled for the network; they are made in its size unless `size` (height, width) is
    given. `count` images grow side by side from different starts. `parameterization` is how they are held:
    `Fourier()` (the default), `BlurredPixels()` or `Pixels()`. `robustness=None` shows the network the images as they
    are. Of the growing images, `frames` are kept, evenly over the steps. The same `seed` gives the same images,
    bit for bit on one machine's CPU.

    Raises:
        ObjectiveError: the network has no such channel, unit or class, or does not depend on the image.
        PlaceError: the network has no such place.
    """
    height, width = size or spec.size
    if min(count, height, width) < 1:
        raise ObjectiveError(
            f"Expected at least 1 image of at least 1×1 pixels; received count {count}, size {height}×{width}."
        )
    aim = as_objective(objective)
    scaling = ImageScaling(spec)
    recording = Recording(steps, frames, progress)
    generator = torch.Generator().manual_seed(seed)
    down, right = robustness.margins((height, width)) if robustness else (0, 0)
    with view_model(model, aim.places, scaling) as view:
        ascent = Ascent(view, aim)
        shape = count, height + 2 * down, width + 2 * right
        canvas = parameterization.canvas(scaling, shape, generator, view.empty())

        def whole() -> Float[Tensor, "n c h w"]:
            return canvas.images()[:, :, down : down + height, right : right + width]

        def seen() -> Float[Tensor, "n c h w"]:
            return robustness.view(canvas.images(), (height, width), generator) if robustness else whole()

        for _ in range(steps):
            score, gradient = ascent.gradient(canvas.values, seen)
            canvas.ascend(gradient)
            recording.step(score, whole)
        return recording.visualization(ascent, whole())
