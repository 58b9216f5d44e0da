"""What would excite it most? A picture that grows by gradient ascent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from striate.core.spec import InputSpec
from striate.explaining.visualize.ascent import Ascent, ascending, blank
from striate.explaining.visualize.canvas import Parameterization
from striate.explaining.visualize.fourier import Fourier
from striate.explaining.visualize.objective import Objective, ObjectiveError
from striate.explaining.visualize.palette import Palette, array, frame
from striate.explaining.visualize.robustness import Robustness

Progress = Callable[[int, int], None]
"""Called as `progress(done, total)`."""

_HELD = Fourier()
_SEEN = Robustness()


@dataclass(frozen=True, eq=False)
class Visualization:
    """Pictures made to excite something.

    `images`: values from 0 to 1 in the order `channels`. `objective`: what it was, as a program. `score` (n): what the
    pictures as they are reach. `course`: at each step, what the views of them reached that the network saw then.
    `frames`: the pictures as they grew, to the last.
    """

    images: Float[np.ndarray, "n h w c"]
    channels: tuple[str, ...]
    objective: str
    score: Float[np.ndarray, " n"]
    course: Float[np.ndarray, "steps n"]
    frames: tuple[UInt8[np.ndarray, "n h w c"], ...]

    def film(self, picture: int = 0) -> list[UInt8[np.ndarray, "h w c"]]:
        """The frames of one picture."""
        return [pictures[picture] for pictures in self.frames]


def maximize(
    model: nn.Module,
    objective: Objective,
    input: InputSpec,
    *,
    count: int = 1,
    size: tuple[int, int] | None = None,
    parameterization: Parameterization = _HELD,
    robustness: Robustness | None = _SEEN,
    steps: int = 160,
    frames: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Visualization:
    """Pictures that excite `objective`, from almost nothing, by `steps` of gradient ascent.

    `input` says how pictures are scaled for the network; they are made in its size unless `size` (height, width) is
    given. `count` pictures grow side by side from different starts. `parameterization` is how they are held:
    `Fourier()` (the default), `BlurredPixels()` or `Pixels()`. `robustness=None` shows the network the pictures as they
    are. Of the growing pictures, `frames` are kept, evenly over the steps. The same `seed` gives the same pictures,
    bit for bit on one machine's CPU.

    Raises:
        ObjectiveError: the objective asks for what the network does not have, or does not depend on the picture.
        PlaceError: the network has no such place.
    """
    if count < 1 or steps < 1 or not 0 <= frames <= steps:
        raise ObjectiveError(
            f"count and steps are at least 1, frames from 0 to steps; received count {count}, steps {steps}, frames "
            f"{frames}."
        )
    size = size or input.size
    palette = Palette(input)
    generator = torch.Generator().manual_seed(seed)
    down, right = robustness.margins(size) if robustness else (0, 0)
    with ascending(model, objective, palette) as ascent:
        canvas = parameterization.canvas(
            palette, (count, size[0] + 2 * down, size[1] + 2 * right), generator, blank(ascent.like)
        )

        def whole() -> Float[Tensor, "n c h w"]:
            return canvas.picture()[:, :, down : down + size[0], right : right + size[1]]

        def seen() -> Float[Tensor, "n c h w"]:
            return robustness.view(canvas.picture(), size, generator) if robustness else whole()

        kept = _evenly(frames, steps)
        course, film = [], []
        for step in range(steps):
            score, gradient = ascent.gradient(canvas.values, seen)
            canvas.ascend(gradient)
            course.append(_array(score))
            if step in kept:
                film.append(frame(whole()))
            if progress:
                progress(step + 1, steps)
        return Visualization(
            array(whole()), palette.channels, str(objective), _final(ascent, whole()), np.stack(course), tuple(film)
        )


def _evenly(frames: int, steps: int) -> set[int]:
    """The steps after which a frame is kept: the last one is always among them."""
    return {round((number + 1) * steps / frames) - 1 for number in range(frames)}


def _final(ascent: Ascent, pictures: Float[Tensor, "n c h w"]) -> Float[np.ndarray, " n"]:
    with torch.no_grad():
        return _array(ascent.score(pictures.clamp(0, 1)))


def _array(score: Tensor) -> np.ndarray:
    return score.detach().to("cpu", torch.float32).numpy()
