"""What would excite it most? A picture that grows by gradient ascent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.explaining.visualize.ascent import Ascent
from striate.explaining.visualize.canvas import Parameterization
from striate.explaining.visualize.color import Palette
from striate.explaining.visualize.fourier import Fourier
from striate.explaining.visualize.model_view import ObjectiveError, looking
from striate.explaining.visualize.objective import Objective
from striate.explaining.visualize.objectives import as_objective
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
    """Pictures that excite `objective`, from almost nothing, by `steps` of gradient ascent.

    A place, as "stage2", stands for `layer("stage2")`: all that it computes; several are added.

    `spec` says how pictures are scaled for the network; they are made in its size unless `size` (height, width) is
    given. `count` pictures grow side by side from different starts. `parameterization` is how they are held:
    `Fourier()` (the default), `BlurredPixels()` or `Pixels()`. `robustness=None` shows the network the pictures as they
    are. Of the growing pictures, `frames` are kept, evenly over the steps. The same `seed` gives the same pictures,
    bit for bit on one machine's CPU.

    Raises:
        ObjectiveError: the objective asks for what the network does not have, or does not depend on the picture.
        PlaceError: the network has no such place.
    """
    height, width = size or spec.size
    if min(count, height, width) < 1:
        raise ObjectiveError(
            f"At least 1 picture of at least 1×1 pixels can be made; received count {count}, size {height}×{width}."
        )
    aim = as_objective(objective)
    palette = Palette(spec)
    recording = Recording(steps, frames, progress)
    generator = torch.Generator().manual_seed(seed)
    down, right = robustness.margins((height, width)) if robustness else (0, 0)
    with looking(model, aim.places, palette) as eye:
        ascent = Ascent(eye, aim)
        shape = count, height + 2 * down, width + 2 * right
        canvas = parameterization.canvas(palette, shape, generator, eye.blank())

        def whole() -> Float[Tensor, "n c h w"]:
            return canvas.picture()[:, :, down : down + height, right : right + width]

        def seen() -> Float[Tensor, "n c h w"]:
            return robustness.view(canvas.picture(), (height, width), generator) if robustness else whole()

        for _ in range(steps):
            score, gradient = ascent.gradient(canvas.values, seen)
            canvas.ascend(gradient)
            recording.step(score, whole)
        return recording.visualization(ascent, whole())
