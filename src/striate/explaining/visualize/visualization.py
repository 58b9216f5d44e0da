"""The result of gradient ascent: the images, their scores, and how they grew."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from striate.core.files import make_folder, write_atomically
from striate.core.notebook import show_png
from striate.core.progress import Progress
from striate.explaining.visualize.ascent import Ascent
from striate.explaining.visualize.color import array, frame
from striate.explaining.visualize.model_view import ObjectiveError


@dataclass(frozen=True, eq=False)
class Visualization:
    """Images made to excite an objective.

    `images`: values from 0 to 1 in the order `channels`. `objective`: the objective, as a program. `score` (n): that of
    the images as they are. `course`: at each step, the score of the views of them that the network received. `frames`:
    the images at some steps, the last included.
    """

    images: Float[np.ndarray, "n h w c"]
    channels: tuple[str, ...]
    objective: str
    score: Float[np.ndarray, " n"]
    course: Float[np.ndarray, "steps n"]
    frames: tuple[UInt8[np.ndarray, "n h w c"], ...]

    def __repr__(self) -> str:
        count, height, width, _ = self.images.shape
        scores = ", ".join(f"{score:.4g}" for score in self.score[:4]) + (", …" if count > 4 else "")
        return f"Visualization({self.objective}: {count} of {height}×{width}, score {scores})"

    def save(self, path: str | Path) -> Path:
        """Write the images, side by side, as a PNG.

        Raises:
            StriateError: the file cannot be written.
        """
        make_folder(Path(path).parent)
        write_atomically(Path(path), self._repr_png_())
        return Path(path)

    def show(self) -> None:
        """Display the images in a notebook; elsewhere, open them in the system's image viewer."""
        show_png(self._repr_png_())

    def _repr_png_(self) -> bytes:
        beside = np.round(np.concatenate(list(self.images), axis=1) * 255).astype(np.uint8)
        grey = beside if beside.shape[2] == 3 else beside[:, :, 0]
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, format="PNG")
        return buffer.getvalue()

    def film(self, image: int = 0) -> list[UInt8[np.ndarray, "h w c"]]:
        """Return the frames of one image."""
        return [frames[image] for frames in self.frames]


class Recording:
    """Record the steps of an ascent and report progress."""

    def __init__(self, steps: int, frames: int, progress: Progress) -> None:
        if steps < 1 or not 0 <= frames <= steps:
            raise ObjectiveError(
                f"An ascent needs at least 1 step, and from 0 frames to one for each step; received {steps} steps, "
                f"{frames} frames."
            )
        self._steps = steps
        self._kept = {round((number + 1) * steps / frames) for number in range(frames)}  # evenly, the last among them
        self._progress = progress
        self._course: list[np.ndarray] = []
        self._frames: list[np.ndarray] = []

    def step(self, score: Float[Tensor, " n"], images: Callable[[], Float[Tensor, "n c h w"]]) -> None:
        """Record a step, before which the score was `score`; `images` returns the images after it."""
        self._course.append(_array(score))
        done = len(self._course)
        if done in self._kept:
            self._frames.append(frame(images()))
        self._progress("making the image", done, self._steps)

    def visualization(self, ascent: Ascent, images: Float[Tensor, "n c h w"]) -> Visualization:
        """Return the result for the last `images`."""
        shown = images.detach().clamp(0, 1)
        with torch.no_grad():
            score = _array(ascent.score(shown))
        channels, objective = ascent.view.scaling.channels, str(ascent.objective)
        return Visualization(array(shown), channels, objective, score, np.stack(self._course), tuple(self._frames))


def _array(score: Tensor) -> np.ndarray:
    return score.detach().to("cpu", torch.float32).numpy()
